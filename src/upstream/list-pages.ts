import type { ListKind } from '../core/upstream.ts';

/** Most pages, and most bytes of them, that a worker keeps of one upstream: cursors are the clients' to choose. */
const MAX_PAGES = 256;
const MAX_BYTES = 16 * 1024 * 1024;

/** A page that could not be fetched anew is served so long at most. */
const MAX_STALE_MS = 3_600_000;
/** After a failure the old page is served as long before the upstream is asked again. */
const RETRY_MS = 5_000;

/** An answer to a request for a list: a JSON-RPC response as it came, and where its id stands. */
export interface ListReply {
  readonly bytes: Buffer;
  readonly idStart: number;
  readonly idEnd: number;
  /** Of revision 2026-07-28: for how long the server says that it holds, and where it says so (−1: nowhere). */
  readonly ttlMs: number;
  readonly ttlStart: number;
  readonly ttlEnd: number;
}

/** One that is kept. */
export interface ListPage extends ListReply {
  readonly kind: ListKind;
  readonly bornMs: number;
  freshUntilMs: number;
  /** Fetching it anew failed: served as it is until then. */
  heldUntilMs: number;
}

/** The pages of one upstream's lists, bounded; the ones longest unused go first. */
export class ListPages {
  readonly #ttlMs: number;
  /** Least recently used first. */
  readonly #pages = new Map<string, ListPage>();
  #bytes = 0;

  constructor(ttlMs: number) {
    this.#ttlMs = ttlMs;
  }

  get size(): number {
    return this.#pages.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  has(key: string): boolean {
    return this.#pages.has(key);
  }

  get(key: string, nowMs: number): ListPage | null {
    const page = this.#pages.get(key);
    if (page === undefined) return null;
    this.#pages.delete(key);
    if (nowMs < page.freshUntilMs + MAX_STALE_MS) this.#pages.set(key, page);
    else this.#bytes -= page.bytes.length;
    return this.#pages.has(key) ? page : null;
  }

  /** With `isOld` it is kept for want of a better one only. */
  put(key: string, kind: ListKind, reply: ListReply, nowMs: number, isOld: boolean): void {
    this.remove(key);
    const { bytes, ttlMs } = reply;
    if (bytes.length > MAX_BYTES) return;
    const freshUntilMs = isOld ? nowMs : nowMs + Math.min(this.#ttlMs, ttlMs);
    // A copy of its own: what came may be a small part of a large buffer.
    this.#pages.set(key, { ...reply, kind, bytes: Buffer.from(bytes), bornMs: nowMs, freshUntilMs, heldUntilMs: 0 });
    this.#bytes += bytes.length;
    for (const oldest of this.#pages.keys()) {
      if (this.#pages.size <= MAX_PAGES && this.#bytes <= MAX_BYTES) break;
      this.remove(oldest);
    }
  }

  /** It could not be fetched anew. */
  hold(page: ListPage, nowMs: number): void {
    page.heldUntilMs = nowMs + RETRY_MS;
  }

  remove(key: string): void {
    const page = this.#pages.get(key);
    if (page === undefined) return;
    this.#pages.delete(key);
    this.#bytes -= page.bytes.length;
  }

  /** Pages of this kind (null = all) that were fetched before `bornBeforeMs` are asked for again. */
  expire(kind: ListKind | null, bornBeforeMs: number): void {
    for (const page of this.#pages.values()) {
      if ((kind !== null && page.kind !== kind) || page.bornMs > bornBeforeMs) continue;
      page.freshUntilMs = Math.min(page.freshUntilMs, bornBeforeMs);
      page.heldUntilMs = 0;
    }
  }

  /** The same on a suspicion: one that could not be fetched anew is left alone for as long as before. */
  doubt(kind: ListKind, bornBeforeMs: number): void {
    for (const page of this.#pages.values()) {
      if (page.kind === kind && page.bornMs <= bornBeforeMs) page.freshUntilMs = Math.min(page.freshUntilMs, bornBeforeMs);
    }
  }
}
