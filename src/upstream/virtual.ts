import type { Access } from '../core/access.ts';
import type { Clock } from '../core/clock.ts';
import type { VirtualSettings } from '../core/config.ts';
import type { Envelope } from '../core/envelope.ts';
import { BAD_CURSOR, BAD_PARAMS, METHOD_UNKNOWN, MODERN_METHOD_UNKNOWN, NAME_UNKNOWN, RESOURCE_UNKNOWN } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import type {
  InFlight,
  ModernInfo,
  ReplySink,
  RequestOptions,
  Upstream,
  UpstreamEvents,
  UpstreamInfo,
  UpstreamState,
} from '../core/upstream.ts';
import type { Aim, Selection, VirtualServer } from '../core/virtual.ts';
import { LIST_SHAPES, type ListShape } from '../mcp/list-page.ts';
import { readListParams } from '../mcp/list-request.ts';
import { type NamedPart, namedPartOf, renamed } from '../mcp/member-name.ts';
import { decodeCursor, type MergedCursor } from '../mcp/merged-cursor.ts';
import { LISTEN } from '../mcp/modern-methods.ts';
import { listenToOffered } from '../mcp/task-messages.ts';
import { neededCapability } from '../mcp/methods.ts';
import { FirstAnswer } from './first-answer.ts';
import { MergedListen } from './merged-listen.ts';
import { ListMerge, type Member, type MergeJob } from './list-merge.ts';
import { MAX_NAME_CHARS } from './merged-page.ts';
import { CANCELLED } from './rewrite.ts';
import { VirtualCalls } from './virtual-calls.ts';
import { mergedInfo, mergedModern, serverInfoOf } from './virtual-info.ts';

export interface VirtualDeps {
  readonly clock: Clock;
  readonly events: UpstreamEvents;
  readonly selection: Selection;
  /** Version of the gateway. */
  readonly version: string;
}

/** See `VirtualServer`. Its members are started and closed by whoever has them. */
export class VirtualUpstream implements VirtualServer {
  readonly transport = 'virtual' as const;
  readonly isRequired = false;
  readonly circuit = 'closed' as const;
  readonly retryAfterSecs = 1;
  readonly pids: readonly number[] = [];
  readonly #settings: VirtualSettings;
  readonly #members: readonly Member[];
  readonly #deps: VirtualDeps;
  readonly #calls = new VirtualCalls();
  /** Each member, as calls go to it. */
  readonly #ways: ReadonlyMap<Member, Upstream>;
  /** Lists under way. */
  readonly #merges = new Set<ListMerge>();
  /** Requests under way that any member may answer. */
  readonly #searches = new Set<FirstAnswer>();
  readonly #listens = new Set<MergedListen>();
  /** What the members said when `#modern` was made of it. */
  #modernOf: readonly (ModernInfo | null)[] = [];
  #modern: ModernInfo | null = null;

  /** `upstreams` in the order of `settings.servers`. No prefix begins with another; `config/` sees to that. */
  constructor(settings: VirtualSettings, upstreams: readonly Upstream[], deps: VirtualDeps) {
    this.#settings = settings;
    this.#members = upstreams.map((upstream) => ({ upstream, prefix: upstream.name + settings.separator }));
    this.#ways = new Map(this.#members.map((member) => [member, this.#calls.watched(member.upstream)]));
    this.#deps = deps;
  }

  get name(): string {
    return this.#settings.name;
  }

  get state(): UpstreamState {
    return this.#members.some(({ upstream }) => upstream.state === 'ready') ? 'ready' : 'down';
  }

  get detail(): string | null {
    return this.state === 'ready' ? null : 'none of its servers is ready';
  }

  get info(): UpstreamInfo | null {
    return mergedInfo(this.name, this.#deps.version, this.#members);
  }

  /** It speaks revision 2026-07-28 when all its members do. Asked for with every such request, so worked out when a member changes. */
  get modern(): ModernInfo | null {
    const current = this.#members.map(({ upstream }) => upstream.modern);
    if (current.some((one, index) => one !== this.#modernOf[index])) {
      this.#modernOf = current;
      this.#modern = mergedModern(this.name, this.#deps.version, this.#members);
    }
    return this.#modern;
  }

  get inFlight(): number {
    return this.#merges.size + this.#searches.size + this.#listens.size;
  }

  isReachable(access: Access): boolean {
    return this.#reachable(access).length > 0;
  }

  viewFor(access: Access): Pick<Upstream, 'info' | 'modern' | 'detail'> {
    const members = this.#reachable(access);
    const { version } = this.#deps;
    const modern = members.length === this.#members.length ? this.modern : mergedModern(this.name, version, members);
    return { info: mergedInfo(this.name, version, members), modern, detail: this.detail };
  }

  member(name: string): Upstream | null {
    return this.#members.find(({ upstream }) => upstream.name === name)?.upstream ?? null;
  }

  aim(message: Envelope, access: Access): Aim | Refusal | null {
    switch (message.method) {
      case 'tools/call':
      case 'prompts/get':
      case 'completion/complete':
        return this.#aimAtName(message, namedPartOf(message));
      case 'resources/read':
        return this.#deps.selection.resource(message.uri ?? '') ? null : resourceUnknown(message);
      default:
        return LIST_SHAPES.has(message.method) && this.#startOf(message, access) === null ? BAD_CURSOR : null;
    }
  }

  start(): void {}

  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    const { access } = options;
    if (access === undefined) throw new Error('a virtual server is asked for nobody');
    const members = this.#reachable(access).filter(({ upstream }) => hasCapability(upstream, message.method));
    const shape = LIST_SHAPES.get(message.method);
    if (shape !== undefined) return this.#merge(message, shape, members, access, options, sink);
    if (message.method === LISTEN && options.modern !== undefined) return this.#listen(message, options, access, sink);
    if (message.method !== 'resources/read' && message.method !== 'completion/complete') return methodUnknown(options);
    if (members.length === 0) return resourceUnknown(message);
    return this.#search(message, members, options, sink);
  }

  /** Its members are shared by all clients. */
  newSession(): null {
    return null;
  }

  resumeSession(): null {
    return null;
  }

  /** Only a cancellation concerns it: the members know their own requests. */
  notify(message: Envelope, options: RequestOptions): Refusal | null {
    if (message.method !== CANCELLED || message.requestIdStart < 0) return null;
    const idToken = message.bytes.toString('utf8', message.requestIdStart, message.requestIdEnd);
    const own = [...this.#merges, ...this.#searches];
    const named = own.filter(({ job }) => job.idToken === idToken && job.principalKey === options.principalKey);
    if (named.length === 1) named[0]?.cancel();
    // With several of that id nobody can tell which is meant.
    if (named.length > 0) return null;
    const member = this.#calls.memberWith(idToken, options.principalKey);
    return member?.notify(message, { restPath: '', principalKey: options.principalKey }) ?? null;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #reachable(access: Access): readonly Member[] {
    return this.#members.filter(({ upstream }) => access.mayReach(upstream.name));
  }

  #aimAtName(message: Envelope, part: NamedPart | null): Aim | Refusal | null {
    const { selection } = this.#deps;
    if (part === null) return NAME_UNKNOWN;
    if (part.kind === 'uri') return selection.resource(part.text) ? null : resourceUnknown(message);
    const member = this.#members.find(({ prefix }) => part.text.startsWith(prefix));
    // A name that no list can show is not callable either.
    if (member === undefined || part.text.length > MAX_NAME_CHARS) return NAME_UNKNOWN;
    const name = part.text.slice(member.prefix.length);
    const kind = message.method === 'tools/call' ? 'tool' : 'prompt';
    if (!selection[kind](member.upstream.name, name)) return NAME_UNKNOWN;
    return { upstream: this.#ways.get(member) ?? member.upstream, message: renamed(message, part, name) };
  }

  #listen(message: Envelope, { principalKey, modern }: RequestOptions, access: Access, sink: ReplySink): InFlight | Refusal {
    const isOffered = (uri: string): boolean => this.#deps.selection.resource(uri);
    const request = listenToOffered(message, isOffered);
    if (request === null) return BAD_PARAMS;
    const listen: MergedListen = new MergedListen(
      {
        members: this.#reachable(access).map(({ upstream }) => upstream),
        message: request,
        options: { restPath: '', principalKey, access, ...(modern !== undefined && { modern }) },
        clock: this.#deps.clock,
        isOffered,
        onOver: () => this.#listens.delete(listen),
      },
      sink,
    );
    const refusal = listen.start();
    if (refusal !== null) return refusal;
    this.#listens.add(listen);
    return listen;
  }

  #search(message: Envelope, members: readonly Member[], options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    const search: FirstAnswer = new FirstAnswer(
      {
        members: members.map(({ upstream }) => upstream),
        message,
        idToken: message.bytes.toString('utf8', message.idStart, message.idEnd),
        principalKey: options.principalKey,
        options,
        silenceMs: this.#settings.listTimeoutMs,
        clock: this.#deps.clock,
        onOver: () => this.#searches.delete(search),
      },
      sink,
    );
    const refusal = search.start();
    if (refusal !== null) return refusal;
    this.#searches.add(search);
    return search;
  }

  #merge(
    message: Envelope,
    shape: ListShape,
    members: readonly Member[],
    access: Access,
    { principalKey, modern }: RequestOptions,
    sink: ReplySink,
  ): InFlight | Refusal {
    const start = this.#startOf(message, access);
    if (start === null) return BAD_CURSOR;
    const from = start.member === '' ? 0 : members.findIndex(({ upstream }) => upstream.name === start.member);
    const merge: ListMerge = new ListMerge(
      {
        method: message.method,
        shape,
        members: from < 0 ? [] : members.slice(from),
        cursor: start.cursor,
        pages: start.pages,
        idToken: message.bytes.toString('utf8', message.idStart, message.idEnd),
        principalKey,
        access,
        timeoutMs: this.#settings.listTimeoutMs,
        modern: modern === undefined ? null : this.#modernJob(message),
        isOffered: this.#offers(message.method, access),
        leftOut: (member, reason, what, count) => this.#deps.events.leftOut(this.name, member, reason, what, count),
        onOver: () => this.#merges.delete(merge),
      },
      sink,
    );
    this.#merges.add(merge);
    merge.start(this.#deps.clock);
    return merge;
  }

  #modernJob({ bytes, metaStart, metaEnd }: Envelope): MergeJob['modern'] {
    return { meta: bytes.toString('utf8', metaStart, metaEnd), serverInfo: serverInfoOf(this.name, this.#deps.version) };
  }

  /** What a caller sees of a list: what was chosen of it, and of tools only what they may call. */
  #offers(method: string, access: Access): (member: string, key: string) => boolean {
    const { selection } = this.#deps;
    if (method === 'tools/list') return (member, tool) => selection.tool(member, tool) && access.tool(member, tool).isAllowed;
    if (method === 'prompts/list') return (member, prompt) => selection.prompt(member, prompt);
    return (_member, uri) => selection.resource(uri);
  }

  /** Where in the merged list a request begins; null for a cursor that was not given to this caller. No cursor: the member is empty. */
  #startOf(message: Envelope, access: Access): MergedCursor | null {
    const { cursor } = readListParams(message);
    if (cursor === '') return { member: '', cursor: null, pages: 0 };
    const start = cursor === null ? null : decodeCursor(String(JSON.parse(cursor)));
    return start !== null && this.#reachable(access).some(({ upstream }) => upstream.name === start.member) ? start : null;
  }
}

/** Revision 2026-07-28 has another code for it. */
function resourceUnknown({ modern }: Envelope): Refusal {
  return modern === null ? RESOURCE_UNKNOWN : NAME_UNKNOWN;
}

function methodUnknown({ modern }: RequestOptions): Refusal {
  return modern === undefined ? METHOD_UNKNOWN : MODERN_METHOD_UNKNOWN;
}

/** A member that was never reached may have anything. */
function hasCapability({ info, modern }: Upstream, method: string): boolean {
  const needed = neededCapability(method);
  const known = info ?? modern?.legacy ?? null;
  return known === null || needed === null || known.capabilities.has(needed);
}
