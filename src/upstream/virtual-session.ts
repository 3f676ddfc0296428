import type { Access } from '../core/access.ts';
import type { Clock } from '../core/clock.ts';
import type { Envelope } from '../core/envelope.ts';
import { BAD_PARAMS, METHOD_UNKNOWN, SESSION_UNKNOWN, UPSTREAM_BUSY, UPSTREAM_DOWN } from '../core/errors.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import { MAX_NEWS_URI_CHARS } from '../core/server-news.ts';
import type { InFlight, ListKind, ReplySink, RequestOptions, Upstream } from '../core/upstream.ts';
import type { ClientHello, Listening, SessionAgreement, SessionPlace, StreamSink, UpstreamSession } from '../core/upstream-session.ts';
import type { Aim, Selection } from '../core/virtual.ts';
import { rpcResult } from '../mcp/messages.ts';
import { LATEST_LEGACY_REVISION, RESUMABLE_REVISIONS } from '../mcp/revisions.ts';
import { AskAll } from './ask-all.ts';
import { ClientCall, type ClientCallHost } from './client-call.ts';
import type { EventStore } from './event-store.ts';
import { KeptStreams } from './kept-streams.ts';
import type { Member } from './list-merge.ts';
import { LocalReply } from './local-reply.ts';
import { MemberPart, type PartHost } from './member-part.ts';
import { ownMessage } from './own-message.ts';
import { PartView } from './part-call.ts';
import { CANCELLED, PROGRESS } from './rewrite.ts';
import { SessionTalk } from './session-talk.ts';
import { sessionInfo } from './virtual-info.ts';
import { type MemberRequests, resourceUnknown } from './virtual-requests.ts';

/** Requests of one session at once, and resources that its client may subscribe to at one member. */
const MAX_CALLS = 1000;
const MAX_URIS = 256;
const INITIALIZED = 'notifications/initialized';

/** What a session needs of its virtual server. */
export interface VirtualSessionHost {
  readonly name: string;
  readonly version: string;
  readonly clock: Clock;
  readonly kept: EventStore | null;
  readonly selection: Selection;
  /** So long a member may take to open a session, or to agree to what all are asked. */
  readonly timeoutMs: number;
  reachable(access: Access): readonly Member[];
  aim(message: Envelope, access: Access): Aim | Refusal | null;
  /** For what concerns several members: those requests are this session's own. */
  newRequests(): MemberRequests;
  /** A place, and room, for one more; null when there is none. From now on it is found by that place, until `ended`. */
  admit(session: VirtualSession): Buffer | null;
  ended(session: VirtualSession): void;
}

/**
 * One client's session at a virtual server (revisions with `initialize`): behind it a session with each member that keeps any, for this client alone.
 * What a member asks and tells is sorted out here, so that none of them can speak for another. Lives in this worker.
 */
export class VirtualSession implements UpstreamSession, PartHost, ClientCallHost {
  agreement: SessionAgreement | null = null;
  place: SessionPlace | null = null;
  usedMs: number;
  readonly clock: Clock;
  readonly hello: ClientHello;
  readonly openMs: number;
  principalKey = '';
  isInitialized = false;
  readonly #host: VirtualSessionHost;
  readonly #requests: MemberRequests;
  readonly #calls = new Set<ClientCall>();
  readonly #talk: SessionTalk;
  /** Those that the client may reach, in order. A session is its principal's, and what that may does not change meanwhile. */
  #parts: readonly MemberPart[] = [];
  #access: Access | null = null;
  #streams: KeptStreams = new KeptStreams({ memory: null, isPrimed: false });
  /** The client's last `logging/setLevel`, for sessions that are opened later. */
  #level: Envelope | null = null;
  #isBeginning = false;
  #isOver = false;

  constructor(host: VirtualSessionHost, hello: ClientHello) {
    this.#host = host;
    this.hello = hello;
    this.clock = host.clock;
    this.openMs = host.timeoutMs;
    this.usedMs = host.clock.nowMs();
    this.#requests = host.newRequests();
    this.#talk = new SessionTalk({
      calls: this.#calls,
      isOffered: (uri) => host.selection.resource(uri),
      deliver: (bytes, isQuestion) => this.#streams.deliver(bytes, isQuestion),
    });
  }

  /** Nothing is under way, and nobody listens. */
  get isIdle(): boolean {
    return this.#calls.size === 0 && !this.#streams.isRead;
  }

  get hasBegun(): boolean {
    return this.place !== null;
  }

  get isHeard(): boolean {
    return !this.#isOver && this.#streams.isHeard;
  }

  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    if (this.#isOver) return SESSION_UNKNOWN;
    this.#touch();
    if (this.place === null || this.#access === null) return this.#begin(message, options, sink);
    if (this.#calls.size >= MAX_CALLS) return UPSTREAM_BUSY;
    const stream = this.#streams.beginReply();
    const call = new ClientCall(this, message, stream, sink);
    this.#calls.add(call);
    const flight = this.#send(message, call, this.#access);
    if (!isRefusal(flight)) return flight;
    this.#calls.delete(call);
    stream.forget();
    return flight;
  }

  notify(message: Envelope, _options: RequestOptions, taken: () => void = () => undefined): Refusal | null {
    if (this.#isOver) return SESSION_UNKNOWN;
    this.#touch();
    if (message.method === INITIALIZED) this.isInitialized = true;
    if (message.method === CANCELLED) this.#cancel(message);
    else if (message.method === PROGRESS) this.#talk.progress(message);
    else return this.#tellAll(message, taken);
    taken();
    return null;
  }

  respond(message: Envelope): Refusal | null {
    if (this.#isOver) return SESSION_UNKNOWN;
    this.#touch();
    this.#talk.answer(message);
    return null;
  }

  listen(lastEventId: string, _options: RequestOptions, sink: StreamSink): Listening | Refusal {
    if (this.#isOver) return SESSION_UNKNOWN;
    this.#touch();
    const listening = this.#streams.listen(lastEventId, sink);
    if (isRefusal(listening)) return listening;
    this.#refresh();
    return {
      leave: () => {
        listening.leave();
        this.#refresh();
      },
      resume: () => listening.resume(),
    };
  }

  /** The notification itself comes here, from whatever worker. */
  cancelled(): void {}

  close(closed: () => void = () => undefined): void {
    this.end(SESSION_UNKNOWN, 'its client ended the session', closed);
  }

  end(refusal: Refusal, reason: string, closed: () => void = () => undefined): void {
    if (this.#isOver) return closed();
    this.#isOver = true;
    for (const call of this.#calls) call.fail(refusal, reason);
    this.#streams.end(reason);
    this.#host.ended(this);
    let left = this.#parts.length + 1;
    const one = (): void => {
      left -= 1;
      if (left === 0) closed();
    };
    for (const part of this.#parts) part.close(one);
    one();
  }

  /** A member that all share says so of its lists; those with sessions of their own say it there. */
  memberChanged(name: string, kind: ListKind | null): void {
    const part = this.#parts.find((one) => one.name === name);
    if (part?.isShared === true) this.#talk.changed(part, kind);
  }

  // PartHost

  onNews(part: MemberPart, bytes: Buffer): void {
    if (!this.#isOver) this.#talk.news(part, bytes);
  }

  onLost(part: MemberPart): void {
    this.#talk.lost(part);
  }

  /** What the client has set holds for it as well, and its lists may be others: nobody heard it meanwhile. */
  onRenewed(part: MemberPart): void {
    if (this.#level !== null && part.info?.capabilities.has('logging') === true) this.#repeat(part, this.#level);
    for (const uri of part.uris) this.#repeat(part, subscribing(uri));
    this.#talk.changed(part, null);
  }

  // ClientCallHost

  heard(part: MemberPart, bytes: Buffer, call: ClientCall): Buffer | null {
    return this.#isOver ? null : this.#talk.heard(part, bytes, call);
  }

  over(call: ClientCall): void {
    this.#calls.delete(call);
    this.#talk.over(call);
  }

  /** Opens a session at each member that keeps any: what the client is told of them is what they have agreed to. */
  #begin(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    const { access } = options;
    if (message.method !== 'initialize' || access === undefined || this.#isBeginning) return METHOD_UNKNOWN;
    this.#isBeginning = true;
    this.principalKey = options.principalKey;
    this.#parts = this.#host.reachable(access).map((member) => new MemberPart(member, this));
    if (this.#parts.length === 0) return UPSTREAM_DOWN;
    let left = this.#parts.length;
    const one = (): void => {
      left -= 1;
      // Nothing is answered inside.
      if (left === 0) queueMicrotask(() => this.#onOpened(message, access, sink));
    };
    for (const part of this.#parts) part.whenReady(one);
    return { detach: (whenOver) => whenOver(), resume: () => undefined };
  }

  #onOpened(message: Envelope, access: Access, sink: ReplySink): void {
    if (this.#isOver) return sink.onFail(UPSTREAM_DOWN, 'closed');
    const info = sessionInfo(this.#host.name, this.#host.version, this.hello.revision, this.#parts);
    if (info === null) return this.#refuse(this.#parts[0]?.refusal ?? UPSTREAM_DOWN, 'none of its servers is there', sink);
    const hasOwn = this.#parts.some((part) => part.hasOwn);
    const bytes = hasOwn ? this.#host.admit(this) : null;
    if (hasOwn && bytes === null) return this.#refuse(UPSTREAM_BUSY, 'there are as many sessions as there may be', sink);
    if (bytes !== null) this.#settle({ kind: 'owned', revision: this.hello.revision, bytes }, access);
    // Nothing lives here then: the client gets no id, and its requests go the way that all share.
    else this.end(SESSION_UNKNOWN, 'none of its servers keeps sessions');
    this.agreement = { info, place: this.place };
    sink.onReply(Buffer.from(rpcResult(idOf(message), '{}')), false, 0);
  }

  #refuse(refusal: Refusal, detail: string, sink: ReplySink): void {
    this.end(refusal, detail);
    sink.onFail(refusal, detail);
  }

  #settle(place: SessionPlace, access: Access): void {
    const { revision } = this.hello;
    const memory = RESUMABLE_REVISIONS.has(revision) ? (this.#host.kept?.memoryFor(this.principalKey) ?? null) : null;
    this.#streams = new KeptStreams({ memory, isPrimed: revision === LATEST_LEGACY_REVISION });
    this.#access = access;
    this.place = place;
  }

  /** Names say which member; the message is renamed for it as it was when it was decided on. */
  #send(message: Envelope, call: ClientCall, access: Access): InFlight | Refusal {
    switch (message.method) {
      case 'logging/setLevel':
        return this.#setLevel(message, call);
      case 'resources/subscribe':
        return this.#subscribe(message, call);
      case 'resources/unsubscribe':
        return this.#unsubscribe(message, call);
    }
    const aim = this.#host.aim(message, access);
    if (aim !== null) return isRefusal(aim) ? aim : this.#sendTo(aim, call);
    const members = this.#parts.map((part) => ({ upstream: new PartView(part, call), prefix: part.member.prefix }));
    const flight = this.#requests.send(message, members, access, this.#options, call);
    return isRefusal(flight) ? flight : call.attach(flight, (cancellation) => this.#requests.cancel(cancellation, this.principalKey));
  }

  #sendTo({ upstream, message }: Aim, call: ClientCall): InFlight | Refusal {
    const part = this.#parts.find(({ name }) => name === upstream.name);
    // It was decided that the caller may reach it.
    if (part === undefined) return UPSTREAM_DOWN;
    const view = new PartView(part, call);
    const flight = view.request(message, this.#options, call);
    return isRefusal(flight) ? flight : call.attach(flight, (cancellation) => void view.notify(cancellation, this.#options));
  }

  #setLevel(message: Envelope, call: ClientCall): InFlight | Refusal {
    const parts = this.#parts.filter((part) => part.hasOwn && part.info?.capabilities.has('logging') === true);
    return this.#askAll(parts, message, call, () => {
      this.#level = message;
    });
  }

  /** Who has the resource is known to the members only: whoever takes subscriptions is asked. */
  #subscribe(message: Envelope, call: ClientCall): InFlight | Refusal {
    const { uri } = message;
    if (uri === null || uri.length > MAX_NEWS_URI_CHARS) return BAD_PARAMS;
    if (!this.#host.selection.resource(uri)) return resourceUnknown(message);
    const parts = this.#parts.filter(takesSubscriptions);
    if (parts.some(({ uris }) => uris.size >= MAX_URIS && !uris.has(uri))) return UPSTREAM_BUSY;
    return this.#askAll(parts, message, call, (part) => part.uris.add(uri));
  }

  #unsubscribe(message: Envelope, call: ClientCall): InFlight | Refusal {
    const { uri } = message;
    if (uri === null) return BAD_PARAMS;
    const parts = this.#parts.filter(({ uris }) => uris.has(uri));
    for (const { uris } of parts) uris.delete(uri);
    if (parts.length > 0) return this.#askAll(parts, message, call, () => undefined);
    if (!this.#parts.some(takesSubscriptions)) return METHOD_UNKNOWN;
    return call.attach(new LocalReply(call, rpcResult(call.idToken, '{}')), () => undefined);
  }

  #askAll(parts: readonly MemberPart[], message: Envelope, call: ClientCall, onAgreed: (part: MemberPart) => void): InFlight | Refusal {
    if (parts.length === 0) return METHOD_UNKNOWN;
    const views = new Map<Upstream, MemberPart>(parts.map((part) => [new PartView(part, call), part]));
    const all = new AskAll(
      {
        members: [...views.keys()],
        message,
        options: this.#options,
        idToken: call.idToken,
        clock: this.clock,
        timeoutMs: this.#host.timeoutMs,
        onAgreed: (member) => {
          const part = views.get(member);
          if (part !== undefined) onAgreed(part);
        },
      },
      call,
    ).start();
    return call.attach(all, () => all.cancel());
  }

  #tellAll(message: Envelope, taken: () => void): null {
    const parts = this.#parts.filter((part) => part.hasOwn);
    let left = parts.length;
    if (left === 0) taken();
    for (const part of parts) {
      part.tell(message, () => {
        left -= 1;
        if (left === 0) taken();
      });
    }
    return null;
  }

  #cancel(message: Envelope): void {
    const { bytes, requestIdStart, requestIdEnd } = message;
    const idToken = requestIdStart < 0 ? '' : bytes.toString('utf8', requestIdStart, requestIdEnd);
    const named = [...this.#calls].filter((call) => call.idToken === idToken);
    // With several of that id nobody can tell which is meant.
    if (named.length === 1) named[0]?.cancel(message);
  }

  #repeat(part: MemberPart, message: Envelope): void {
    part.send(message, this.#options, {
      onStream: () => undefined,
      onMessage: () => true,
      onReply: () => undefined,
      onFail: () => undefined,
      onCancelled: () => undefined,
    });
  }

  #refresh(): void {
    for (const part of this.#parts) part.refresh();
  }

  get #options(): RequestOptions {
    return { restPath: '', principalKey: this.principalKey };
  }

  #touch(): void {
    this.usedMs = this.clock.nowMs();
  }
}

function takesSubscriptions(part: MemberPart): boolean {
  if (!part.hasOwn || part.info === null) return false;
  const { resources } = JSON.parse(part.info.capabilitiesJson) as { readonly resources?: { readonly subscribe?: unknown } };
  return resources?.subscribe === true;
}

function subscribing(uri: string): Envelope {
  return ownMessage(`{"jsonrpc":"2.0","id":"again","method":"resources/subscribe","params":{"uri":${JSON.stringify(uri)}}}`);
}

function idOf({ bytes, idStart, idEnd }: Envelope): string {
  return bytes.toString('utf8', idStart, idEnd);
}
