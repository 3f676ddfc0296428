import type { Clock, Timer } from '../core/clock.ts';
import type { Envelope } from '../core/envelope.ts';
import { UPSTREAM_DOWN, UPSTREAM_INVALID, UPSTREAM_TIMEOUT } from '../core/errors.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { InFlight, ReplySink, RequestOptions, Upstream, UpstreamInfo } from '../core/upstream.ts';
import type { ClientHello, UpstreamSession } from '../core/upstream-session.ts';
import type { Member } from './list-merge.ts';
import { OwnCall } from './own-call.ts';
import { ownMessage } from './own-message.ts';
import { PartListening } from './part-listening.ts';

/** After a failure to open a session at the member, until it is tried again; twice as long after each further one. */
const RETRY_MS = 2000;
const MAX_RETRY_MS = 60_000;
/** A session that lives no longer counts as a failure, from the third in a row. */
const SHORT_LIFE_MS = 10_000;
const FORGIVEN = 2;

const OPENING: Envelope = ownMessage('{"jsonrpc":"2.0","id":"open","method":"initialize","params":{}}');
const INITIALIZED: Envelope = ownMessage('{"jsonrpc":"2.0","method":"notifications/initialized"}');

/** What a part needs of the session that it belongs to. */
export interface PartHost {
  readonly clock: Clock;
  readonly hello: ClientHello;
  /** Of the client: for whom everything is sent. */
  readonly principalKey: string;
  /** So long a member may take to open a session. */
  readonly openMs: number;
  /** The client has said that it is ready: members opened from now on are told at once. */
  readonly isInitialized: boolean;
  /** The client has its session: what is opened from now on comes late, or again. */
  readonly hasBegun: boolean;
  /** Somebody hears what members say of their own accord. */
  readonly isHeard: boolean;
  /** Said outside of requests. */
  onNews(part: MemberPart, bytes: Buffer): void;
  /** Its session is gone, and what it has asked with it. */
  onLost(part: MemberPart): void;
  /** It has a session now that it had not when the client's began, or another one, which knows nothing of the one before. */
  onRenewed(part: MemberPart): void;
}

/**
 * - `unsettled`: not tried yet, or it has failed, or its session was lost.
 * - `opening`: its answer to `initialize` is awaited.
 * - `own`: it has a session for this client.
 * - `shared`: it keeps none, and takes part as it does without sessions.
 */
type PartState = 'unsettled' | 'opening' | 'own' | 'shared' | 'closed';

/** One member of a virtual server in a client's session there: with a session of its own behind it, where the member keeps any. */
export class MemberPart {
  readonly member: Member;
  /** Resources that the client has subscribed to at this member. */
  readonly uris: Set<string> = new Set();
  readonly #host: PartHost;
  readonly #listening: PartListening;
  #state: PartState = 'unsettled';
  #session: UpstreamSession | null = null;
  /** When it failed its server was down. */
  #isAway = false;
  /** What it agreed to with this client. */
  #ownInfo: UpstreamInfo | null = null;
  /** Why it could not be opened, until it is tried again. */
  #refusal: Refusal | null = null;
  #retryAtMs = Number.NEGATIVE_INFINITY;
  #openedMs = 0;
  #failures = 0;
  #again: Timer | null = null;
  #late: Timer | null = null;
  #waiting: (() => void)[] = [];

  constructor(member: Member, host: PartHost) {
    this.member = member;
    this.#host = host;
    this.#listening = new PartListening({
      clock: host.clock,
      options: this.options,
      onNews: (bytes) => host.onNews(this, bytes),
      onLost: (session) => this.died(session),
    });
  }

  get upstream(): Upstream {
    return this.member.upstream;
  }

  get name(): string {
    return this.upstream.name;
  }

  /** It keeps a session for this client; at the moment that may be lost, until it is needed again. */
  get hasOwn(): boolean {
    return this.#ownInfo !== null && !this.isShared;
  }

  get isShared(): boolean {
    return this.#state === 'shared';
  }

  /** What it says of its lists outside of requests is heard: in its session, or on the channel that all share. One over HTTP is listened to for its session only. */
  get isHeard(): boolean {
    return this.hasOwn || (this.isShared && this.upstream.transport !== 'http');
  }

  /** Its session; null where it shares, or has none at the moment. */
  get session(): UpstreamSession | null {
    return this.#session;
  }

  /** What it said of itself, to this client where it has a session with it. Null for a member that was not reached. */
  get info(): UpstreamInfo | null {
    return this.#ownInfo ?? (this.isShared ? this.upstream.info : null);
  }

  get refusal(): Refusal {
    return this.#refusal ?? UPSTREAM_DOWN;
  }

  get options(): RequestOptions {
    return { restPath: '', principalKey: this.#host.principalKey };
  }

  /** Requests can be sent, or refused, now; else `whenReady` tells when. */
  get isReady(): boolean {
    if (this.#state === 'unsettled') return this.#isPaused;
    return this.#state !== 'opening';
  }

  get #isPaused(): boolean {
    if (this.#isAway && this.upstream.state === 'ready') return false;
    return this.#host.clock.nowMs() < this.#retryAtMs;
  }

  /** Opens a session if there should be one. `then` is called once, inside or later: it is there, or there is none. */
  whenReady(then: () => void): void {
    if (this.isReady) return then();
    this.#waiting.push(then);
    if (this.#state === 'unsettled') this.#open();
  }

  /** Sends a request in its session, or the way that all share. `SESSION_UNKNOWN`: the session is gone, and nothing was done. */
  send(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    if (this.#state !== 'own' && !this.isShared) return this.refusal;
    // Whoever came to the gateway could not come back to this server.
    return this.upstream.request(message, { ...options, session: this.#session, isFetchedHere: true }, sink);
  }

  /** A notification of the client's; only a session hears those. `taken` as with `UpstreamSession.notify`. */
  tell(message: Envelope, taken?: () => void): void {
    const session = this.#session;
    const lost = session === null || this.#state !== 'own' ? UPSTREAM_DOWN : session.notify(message, this.options, taken);
    if (lost !== null) taken?.();
  }

  /** The client's answer to a question of this member, as the member knows it. */
  respond(message: Envelope): void {
    this.#session?.respond(message, this.options);
  }

  /** Listens to what the member says of its own accord while somebody hears it. */
  refresh(): void {
    const { isHeard } = this.#host;
    this.#listening.follow(this.#state === 'own' && isHeard ? this.#session : null);
    if (this.#state === 'unsettled' && isHeard) this.whenReady(() => undefined);
  }

  /** The member has forgotten this session. */
  died(session: UpstreamSession | null): void {
    if (session === null || session !== this.#session || this.#state === 'closed') return;
    const { clock } = this.#host;
    this.#session = null;
    this.#state = 'unsettled';
    this.#failures = clock.nowMs() - this.#openedMs < SHORT_LIFE_MS ? this.#failures + 1 : 0;
    this.#listening.follow(null);
    this.#host.onLost(this);
    if (this.#failures > FORGIVEN) this.#retryLater();
    else this.refresh();
  }

  close(closed: () => void): void {
    const session = this.#session;
    this.#session = null;
    this.#state = 'closed';
    this.#listening.follow(null);
    this.#late?.cancel();
    this.#again?.cancel();
    this.#release();
    if (session === null) closed();
    else session.close(closed);
  }

  #open(): void {
    const { hello, clock, openMs } = this.#host;
    this.#isAway = false;
    const session = this.upstream.newSession(hello);
    if (session === null) return this.#share();
    this.#state = 'opening';
    this.#session = session;
    const opening = new OwnCall(({ refusal }) => this.#onOpened(session, refusal));
    const flight = this.upstream.request(OPENING, { ...this.options, session }, opening);
    if (isRefusal(flight)) return this.#fail(flight);
    this.#late = clock.after(openMs, () => this.#fail(UPSTREAM_TIMEOUT));
  }

  #onOpened(session: UpstreamSession, refusal: Refusal | null): void {
    // Too late, or the client has gone meanwhile: nobody has any use for it.
    if (session !== this.#session || this.#state !== 'opening') return session.close();
    if (refusal !== null) return this.#fail(refusal);
    if (session.agreement === null) return this.#fail(UPSTREAM_INVALID);
    if (session.place === null) return this.#share();
    if (!this.#host.isInitialized) return this.#settle('own');
    // Strict servers refuse what comes before it.
    const lost = session.notify(INITIALIZED, this.options, () => {
      if (session === this.#session && this.#state === 'opening') this.#settle('own');
    });
    if (lost !== null) this.#fail(lost);
  }

  /** Of a server that is down nobody knows what it keeps: it is asked again as soon as it is there. */
  #share(): void {
    const { state } = this.upstream;
    if (state === 'ready' || state === 'starting') return this.#settle('shared');
    this.#fail(UPSTREAM_DOWN);
    this.#isAway = true;
  }

  #settle(state: 'own' | 'shared'): void {
    this.#late?.cancel();
    this.#state = state;
    this.#openedMs = this.#host.clock.nowMs();
    if (state === 'shared') this.#session = null;
    this.#ownInfo = this.#session?.agreement?.info ?? this.#ownInfo;
    if (state === 'own' && this.#host.hasBegun) this.#host.onRenewed(this);
    this.#release();
    this.refresh();
  }

  #fail(refusal: Refusal): void {
    this.#late?.cancel();
    const session = this.#session;
    this.#session = null;
    // A process that starts for too long would go on beside that of the next try. What a server opens later is ended when its answer comes.
    session?.close();
    this.#state = 'unsettled';
    this.#refusal = refusal;
    this.#failures += 1;
    this.#retryLater();
    this.#release();
  }

  #retryLater(): void {
    const { clock } = this.#host;
    const pauseMs = Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** Math.min(this.#failures - 1, 10));
    this.#retryAtMs = clock.nowMs() + pauseMs;
    this.#again?.cancel();
    this.#again = clock.after(pauseMs, () => this.refresh());
  }

  #release(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const then of waiting) then();
  }
}
