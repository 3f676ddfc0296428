import type { Access } from '../core/access.ts';
import type { Clock } from '../core/clock.ts';
import type { VirtualSettings } from '../core/config.ts';
import type { Envelope } from '../core/envelope.ts';
import { BAD_CURSOR, METHOD_UNKNOWN, MODERN_METHOD_UNKNOWN, NAME_UNKNOWN, RESOURCE_UNKNOWN } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import type { InFlight, ReplySink, RequestOptions, Upstream, UpstreamEvents } from '../core/upstream.ts';
import type { Selection } from '../core/virtual.ts';
import { LIST_SHAPES, type ListShape } from '../mcp/list-page.ts';
import { readListParams } from '../mcp/list-request.ts';
import { decodeCursor, type MergedCursor } from '../mcp/merged-cursor.ts';
import { neededCapability } from '../mcp/methods.ts';
import { FirstAnswer } from './first-answer.ts';
import { ListMerge, type Member, type MergeJob } from './list-merge.ts';
import { CANCELLED } from './rewrite.ts';
import { serverInfoOf } from './virtual-info.ts';

export interface MemberRequestsDeps {
  readonly clock: Clock;
  readonly events: UpstreamEvents;
  readonly selection: Selection;
  /** Version of the gateway. */
  readonly version: string;
}

/** Requests of one virtual server that concern several members, and which of them are under way: those without a session, or those of one. */
export class MemberRequests {
  readonly #settings: VirtualSettings;
  readonly #deps: MemberRequestsDeps;
  /** Lists under way. */
  readonly #merges = new Set<ListMerge>();
  /** Requests under way that any member may answer. */
  readonly #searches = new Set<FirstAnswer>();

  constructor(settings: VirtualSettings, deps: MemberRequestsDeps) {
    this.#settings = settings;
    this.#deps = deps;
  }

  get size(): number {
    return this.#merges.size + this.#searches.size;
  }

  /** `reachable`: the members that the caller may reach, in order. */
  send(message: Envelope, reachable: readonly Member[], access: Access, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    const members = reachable.filter(({ upstream }) => hasCapability(upstream, message.method));
    const shape = LIST_SHAPES.get(message.method);
    if (shape !== undefined) {
      const start = startOf(message, reachable);
      return start === null ? BAD_CURSOR : this.#merge(message, shape, members, start, access, options, sink);
    }
    if (message.method !== 'resources/read' && message.method !== 'completion/complete') return methodUnknown(options);
    return members.length === 0 ? resourceUnknown(message) : this.#search(message, members, options, sink);
  }

  /** Ends the one that the caller's cancellation names; with several of that id nobody can tell which is meant. False: none has it. */
  cancel(message: Envelope, principalKey: string): boolean {
    if (message.method !== CANCELLED || message.requestIdStart < 0) return false;
    const idToken = message.bytes.toString('utf8', message.requestIdStart, message.requestIdEnd);
    const own = [...this.#merges, ...this.#searches];
    const named = own.filter(({ job }) => job.idToken === idToken && job.principalKey === principalKey);
    if (named.length === 1) named[0]?.cancel();
    return named.length > 0;
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
    start: MergedCursor,
    access: Access,
    { principalKey, modern }: RequestOptions,
    sink: ReplySink,
  ): InFlight | Refusal {
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
        leftOut: (member, reason, what, count) => this.#deps.events.leftOut(this.#settings.name, member, reason, what, count),
        onOver: () => this.#merges.delete(merge),
      },
      sink,
    );
    this.#merges.add(merge);
    merge.start(this.#deps.clock);
    return merge;
  }

  #modernJob({ bytes, metaStart, metaEnd }: Envelope): MergeJob['modern'] {
    return { meta: bytes.toString('utf8', metaStart, metaEnd), serverInfo: serverInfoOf(this.#settings.name, this.#deps.version) };
  }

  /** What a caller sees of a list: what was chosen of it, and of tools only what they may call. */
  #offers(method: string, access: Access): (member: string, key: string) => boolean {
    const { selection } = this.#deps;
    if (method === 'tools/list') return (member, tool) => selection.tool(member, tool) && access.tool(member, tool).isAllowed;
    if (method === 'prompts/list') return (member, prompt) => selection.prompt(member, prompt);
    return (_member, uri) => selection.resource(uri);
  }
}

/** Where in the merged list a request begins; null for a cursor that was not given to this caller. No cursor: the member is empty. */
export function startOf(message: Envelope, reachable: readonly Member[]): MergedCursor | null {
  const { cursor } = readListParams(message);
  if (cursor === '') return { member: '', cursor: null, pages: 0 };
  const start = cursor === null ? null : decodeCursor(String(JSON.parse(cursor)));
  return start !== null && reachable.some(({ upstream }) => upstream.name === start.member) ? start : null;
}

/** Revision 2026-07-28 has another code for it. */
export function resourceUnknown({ modern }: Envelope): Refusal {
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
