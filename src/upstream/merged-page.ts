import type { LeftOutReason } from '../core/upstream.ts';
import type { ListPage, PageItem } from '../mcp/list-page.ts';
import type { Member, MergeJob } from './list-merge.ts';

/** Most bytes of one merged page: each member's own answer is bounded, their number is not. */
const MAX_BYTES = 32 * 1024 * 1024;
/** MCP 2025-11-25, server/tools, Tool Names: 1 to 128 characters. */
export const MAX_NAME_CHARS: number = 128;
/** Key of the result's `_meta` that names the members that are missing. */
const UNAVAILABLE = 'mcp-guard/unavailable';

/** Of revision 2026-07-28. */
const SERVER_INFO = 'io.modelcontextprotocol/serverInfo';

const COMMA = Buffer.from(',');

/** One page of a merged list while it is put together. Elements go out as they came, but for the names that get a prefix. */
export class MergedPage {
  readonly #job: MergeJob;
  readonly #parts: Buffer[] = [];
  readonly #keys = new Set<string>();
  readonly #missing: string[] = [];
  #bytes = 0;
  #ttlMs = Infinity;

  constructor(job: MergeJob) {
    this.#job = job;
  }

  leaveOut({ upstream }: Member, reason: LeftOutReason, detail: string): void {
    this.#missing.push(upstream.name);
    this.#job.leftOut(upstream.name, reason, detail, 1);
  }

  /** Adds what the caller may see of a member's page. */
  add(member: Member, bytes: Buffer, page: ListPage): void {
    if (this.#bytes + bytes.length > MAX_BYTES) return this.leaveOut(member, 'too_large', `${bytes.length} bytes`);
    this.#bytes += bytes.length;
    this.#ttlMs = Math.min(this.#ttlMs, page.ttlMs);
    const { name } = member.upstream;
    const opening = Buffer.from(`"${member.prefix}`);
    const leftOut = new Map<LeftOutReason, { readonly first: string; count: number }>();
    for (const item of page.items) {
      if (!this.#job.isOffered(name, item.key)) continue;
      const reason = this.#take(member, item.key);
      if (reason === null) this.#push(opening, bytes, item);
      else note(leftOut, reason, item.key);
    }
    // Told once for a page: a server may list as many unfit names as it likes.
    for (const [reason, { first, count }] of leftOut) this.#job.leftOut(name, reason, first, count);
  }

  /** The whole answer. */
  reply(nextCursor: string | null): Buffer {
    const { idToken, shape } = this.#job;
    const cursor = nextCursor === null ? '' : `,"nextCursor":${JSON.stringify(nextCursor)}`;
    const head = Buffer.from(`{"jsonrpc":"2.0","id":${idToken},"result":{"${shape.list}":[`);
    return Buffer.concat([head, ...this.#parts, Buffer.from(`]${cursor}${this.#modernMembers()}${this.#meta()}}}`)]);
  }

  /** What is missing in it may be there soon, and what one caller sees is nobody else's. */
  #modernMembers(): string {
    if (this.#job.modern === null) return '';
    const ttlMs = this.#missing.length === 0 && Number.isFinite(this.#ttlMs) ? this.#ttlMs : 0;
    return `,"resultType":"complete","ttlMs":${ttlMs},"cacheScope":"private"`;
  }

  #meta(): string {
    const members = this.#missing.length === 0 ? [] : [`"${UNAVAILABLE}":${JSON.stringify(this.#missing)}`];
    if (this.#job.modern !== null) members.push(`"${SERVER_INFO}":${this.#job.modern.serverInfo}`);
    return members.length === 0 ? '' : `,"_meta":{${members.join(',')}}`;
  }

  /** Null: it may stand in the list; else what is against it. */
  #take({ prefix }: Member, key: string): LeftOutReason | null {
    const isNamed = this.#job.shape.key === 'name';
    if (isNamed && prefix.length + key.length > MAX_NAME_CHARS) return 'name_too_long';
    const shown = isNamed ? prefix + key : key;
    if (this.#keys.has(shown)) return 'duplicate';
    this.#keys.add(shown);
    return null;
  }

  #push(opening: Buffer, bytes: Buffer, { start, end, keyStart }: PageItem): void {
    if (this.#parts.length > 0) this.#parts.push(COMMA);
    if (this.#job.shape.key !== 'name') return void this.#parts.push(bytes.subarray(start, end));
    // The prefix consists of plain characters, and the rest of the name stays as its server wrote it.
    this.#parts.push(bytes.subarray(start, keyStart), opening, bytes.subarray(keyStart + 1, end));
  }
}

function note(leftOut: Map<LeftOutReason, { readonly first: string; count: number }>, reason: LeftOutReason, key: string): void {
  const known = leftOut.get(reason);
  if (known === undefined) leftOut.set(reason, { first: key.slice(0, MAX_NAME_CHARS), count: 1 });
  else known.count += 1;
}
