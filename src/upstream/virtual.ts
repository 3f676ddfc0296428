import type { Access } from '../core/access.ts';
import type { VirtualSettings } from '../core/config.ts';
import type { Envelope } from '../core/envelope.ts';
import { BAD_CURSOR, BAD_PARAMS, NAME_UNKNOWN } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import type { InFlight, ListKind, ModernInfo, ReplySink, RequestOptions, Upstream, UpstreamInfo, UpstreamState } from '../core/upstream.ts';
import type { ClientHello, SessionPlace, UpstreamSession } from '../core/upstream-session.ts';
import type { Aim, VirtualServer } from '../core/virtual.ts';
import { LIST_SHAPES } from '../mcp/list-page.ts';
import { type NamedPart, namedPartOf, renamed } from '../mcp/member-name.ts';
import { LISTEN } from '../mcp/modern-methods.ts';
import { listenToOffered } from '../mcp/task-messages.ts';
import type { EventStore } from './event-store.ts';
import type { Member } from './list-merge.ts';
import { MergedListen } from './merged-listen.ts';
import { MAX_NAME_CHARS } from './merged-page.ts';
import type { OwnedPlacesDeps } from './owned-places.ts';
import { CANCELLED } from './rewrite.ts';
import { VirtualCalls } from './virtual-calls.ts';
import { mergedInfo, mergedModern, modernOf } from './virtual-info.ts';
import { MemberRequests, type MemberRequestsDeps, resourceUnknown, startOf } from './virtual-requests.ts';
import { VirtualSessions } from './virtual-sessions.ts';

export interface VirtualDeps extends MemberRequestsDeps, OwnedPlacesDeps {
  readonly kept: EventStore | null;
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
  readonly #requests: MemberRequests;
  readonly #sessions: VirtualSessions;
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
    this.#requests = new MemberRequests(settings, deps);
    this.#sessions = new VirtualSessions({
      name: settings.name,
      version: deps.version,
      clock: deps.clock,
      kept: deps.kept,
      selection: deps.selection,
      timeoutMs: settings.listTimeoutMs,
      members: this.#members,
      sessions: deps.sessions,
      peers: deps.peers,
      longestMs: deps.longestMs,
      aim: (message, access) => this.aim(message, access),
      newRequests: () => new MemberRequests(settings, deps),
    });
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

  /** It speaks revision 2026-07-28 when all its members do, of themselves or by the bridge. Asked for with every such request, so worked out when a member changes. */
  get modern(): ModernInfo | null {
    const current = this.#members.map(({ upstream }) => modernOf(upstream));
    if (current.some((one, index) => one !== this.#modernOf[index])) {
      this.#modernOf = current;
      this.#modern = mergedModern(this.name, this.#deps.version, this.#members);
    }
    return this.#modern;
  }

  get inFlight(): number {
    return this.#requests.size + this.#listens.size;
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
        return LIST_SHAPES.has(message.method) && startOf(message, this.#reachable(access)) === null ? BAD_CURSOR : null;
    }
  }

  start(): void {}

  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    const { access, session = null } = options;
    if (session !== null) return session.request(message, options, sink);
    if (access === undefined) throw new Error('a virtual server is asked for nobody');
    if (message.method === LISTEN && options.modern !== undefined) return this.#listen(message, options, access, sink);
    return this.#requests.send(message, this.#reachable(access), access, options, sink);
  }

  /** A member says that one of its lists is another; null: that any may be. Sessions in which it has none of its own hear of it here. */
  memberChanged(name: string, kind: ListKind | null): void {
    if (this.member(name) !== null) this.#sessions.memberChanged(name, kind);
  }

  /** Null where none of its members keeps sessions. */
  newSession(hello: ClientHello): UpstreamSession | null {
    return this.#sessions.open(hello);
  }

  resumeSession(place: SessionPlace): UpstreamSession | null {
    return this.#sessions.resume(place);
  }

  /** Outside of sessions only a cancellation concerns it: the members know their own requests. */
  notify(message: Envelope, options: RequestOptions, taken?: () => void): Refusal | null {
    const { session = null } = options;
    if (session !== null) return session.notify(message, options, taken);
    if (message.method !== CANCELLED || message.requestIdStart < 0) return null;
    const idToken = message.bytes.toString('utf8', message.requestIdStart, message.requestIdEnd);
    if (this.#requests.cancel(message, options.principalKey)) return null;
    const member = this.#calls.memberWith(idToken, options.principalKey);
    return member?.notify(message, { restPath: '', principalKey: options.principalKey }) ?? null;
  }

  /** Its sessions end here. */
  async close(): Promise<void> {
    await this.#sessions.close();
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
}
