import type { Clock, Timer } from '../core/clock.ts';
import { Backoff } from './backoff.ts';
import { initializeRequest, pingRequest, readInitializeReply } from './handshake.ts';
import type { HttpCall } from './http-call.ts';
import { isRefusalOfMethod, readSessionId, sessionHeaders } from './http-session.ts';
import type { HttpSession } from './http-session.ts';
import type { OwnOutcome } from './own-call.ts';

const FIRST_RETRY_MS = 250;
const MAX_RETRY_MS = 5000;

/** Without a sign of life for as long, the upstream is pinged; so long may the answer take. */
const LIVENESS_MS = 2000;
const PING_TIMEOUT_MS = 5000;

/** A session that never worked is not replaced before this age: an upstream that refuses every session is not asked in a loop. */
const UNPROVEN_MS = 5000;

/** A server of the newer revision that refused a handshake is believed for as long: it may be upgraded, or replaced, while it runs. */
const REFUSED_TTL_MS = 5 * 60_000;

/** What the link needs of its upstream. */
export interface LinkHost {
  /** Sends a request of the gateway itself. */
  sendOwn(
    build: (id: number) => Buffer,
    session: HttpSession | null,
    timeoutMs: number,
    done: (call: HttpCall, outcome: OwnOutcome) => void,
  ): void;
  /** Sends `notifications/initialized`; `done` gets the HTTP status, 0 for none. */
  sendInitialized(session: HttpSession, done: (status: number) => void): void;
  /** No request of a client is under way. */
  isIdle(): boolean;
  onReady(): void;
  onDown(detail: string): void;
}

export interface LinkOptions {
  readonly clock: Clock;
  readonly gatewayVersion: string;
  readonly headers: readonly string[];
  readonly timeoutMs: number;
  /** The server is reached without a handshake. */
  hasOtherWay(): boolean;
}

/**
 * The session with an HTTP upstream: initialises it, notices when the upstream is gone or has forgotten it, and brings
 * it back with a back-off. A dead upstream is noticed without traffic too, by pings.
 */
export class HttpLink {
  readonly #options: LinkOptions;
  readonly #host: LinkHost;
  readonly #backoff = new Backoff({ firstMs: FIRST_RETRY_MS, maxMs: MAX_RETRY_MS });
  #phase: 'new' | 'connecting' | 'up' | 'down' | 'closed' = 'new';
  #session: HttpSession | null = null;
  #retry: Timer | null = null;
  #liveness: Timer | null = null;
  #isPinging = false;
  /** It refused a handshake and is reached without one. */
  #isResting = false;
  #lastSignMs = 0;

  constructor(options: LinkOptions, host: LinkHost) {
    this.#options = options;
    this.#host = host;
  }

  /** The session to send in; null when nothing can be sent now. */
  get session(): HttpSession | null {
    return this.#phase === 'up' ? this.#session : null;
  }

  /** A session is being made: requests may wait for it. */
  get isConnecting(): boolean {
    return this.#phase === 'connecting';
  }

  /** Connects; again, and at once, where a refusal is still believed. */
  start(): void {
    if (this.#phase === 'down' && this.#isResting && !this.#options.hasOtherWay()) return this.#retryNow();
    if (this.#phase !== 'new') return;
    this.#liveness = this.#options.clock.every(LIVENESS_MS, () => this.#checkLiveness());
    this.#connect();
  }

  /** Ends everything; returns the session that the upstream still believes in. */
  close(): HttpSession | null {
    this.#phase = 'closed';
    this.#retry?.cancel();
    this.#liveness?.cancel();
    const session = this.#session;
    this.#session = null;
    return session;
  }

  /** A request was answered. */
  noteReply(session: HttpSession | null): void {
    this.#lastSignMs = this.#options.clock.nowMs();
    if (session !== null) session.isProven = true;
  }

  /** A client's request failed. What may mean more than that request makes the next liveness check ask at once. */
  noteFailure(call: Pick<HttpCall, 'isUnreachable'>, detail: string): void {
    this.#lastSignMs = 0;
    if (call.isUnreachable && this.#phase === 'up') this.#down(detail);
  }

  /** The upstream has forgotten `session`. False when a new one is not worth trying. */
  renew(session: HttpSession): boolean {
    if (this.#session !== session || this.#phase !== 'up') return this.#phase === 'up' || this.#phase === 'connecting';
    if (!this.#isRenewable(session)) return false;
    this.#connect();
    return true;
  }

  #isRenewable(session: HttpSession): boolean {
    return session.id !== null && (session.isProven || this.#options.clock.nowMs() - session.bornMs >= UNPROVEN_MS);
  }

  #connect(): void {
    const { gatewayVersion, timeoutMs } = this.#options;
    this.#phase = 'connecting';
    this.#session = null;
    this.#host.sendOwn(
      (id) => initializeRequest(id, gatewayVersion),
      null,
      timeoutMs,
      (call, outcome) => this.#onInitialized(call, outcome),
    );
  }

  #onInitialized(call: HttpCall, outcome: OwnOutcome): void {
    if (this.#phase !== 'connecting') return;
    if (outcome.bytes === null) return this.#down(outcome.detail, isRefusalOfMethod(call.status));
    const info = readInitializeReply(outcome.bytes);
    if (typeof info === 'string') return this.#down(info, true);
    const id = readSessionId(call.sessionHeader);
    if (id === undefined) return this.#down('answered initialize with a malformed session id');
    const headers = sessionHeaders(this.#options.headers, info.protocolVersion, id);
    const session: HttpSession = { info, id, headers, bornMs: this.#options.clock.nowMs(), isProven: false };
    this.#host.sendInitialized(session, (status) => this.#onAcknowledged(session, status));
  }

  #onAcknowledged(session: HttpSession, status: number): void {
    if (this.#phase !== 'connecting') return;
    if (status < 200 || status > 299)
      return this.#down(`answered ${status === 0 ? 'nothing' : `HTTP ${status}`} to notifications/initialized`);
    this.#session = session;
    this.#up();
  }

  #up(): void {
    this.#phase = 'up';
    this.#lastSignMs = this.#options.clock.nowMs();
    this.#backoff.reset();
    this.#host.onReady();
  }

  #down(detail: string, isRefused: boolean = false): void {
    this.#phase = 'down';
    this.#isResting = isRefused && this.#options.hasOtherWay();
    const delayMs = this.#isResting ? REFUSED_TTL_MS : this.#backoff.next();
    this.#retry?.cancel();
    this.#retry = this.#options.clock.after(delayMs, () => this.#onRetry());
    this.#host.onDown(detail);
  }

  #retryNow(): void {
    this.#retry?.cancel();
    this.#isResting = false;
    this.#onRetry();
  }

  /** A session that worked may have survived a broken network: it is tried before a new one is asked for. */
  #onRetry(): void {
    if (this.#phase !== 'down') return;
    if (this.#session === null) return this.#connect();
    this.#ping(this.#session);
  }

  #checkLiveness(): void {
    if (this.#phase !== 'up' || this.#session === null) return;
    if (this.#options.clock.nowMs() - this.#lastSignMs >= LIVENESS_MS) this.#ping(this.#session);
  }

  #ping(session: HttpSession): void {
    if (this.#isPinging) return;
    this.#isPinging = true;
    this.#host.sendOwn(pingRequest, session, PING_TIMEOUT_MS, (call, outcome) => {
      this.#isPinging = false;
      if (this.#session === session && this.#phase !== 'closed') this.#onPinged(session, call, outcome);
    });
  }

  #onPinged(session: HttpSession, call: HttpCall, outcome: OwnOutcome): void {
    if (outcome.bytes !== null) return this.#onAlive();
    // 404 is the standard's answer for a forgotten session, 400 that of many servers. While down, the back-off paces this.
    const isForgotten = call.status === 404 || call.status === 400;
    if (isForgotten && session.id !== null && (this.#phase === 'down' || this.#isRenewable(session))) return this.#connect();
    if (this.#phase === 'down' || this.#isFatal(call)) this.#down(outcome.detail);
  }

  #onAlive(): void {
    this.#lastSignMs = this.#options.clock.nowMs();
    if (this.#phase === 'down') this.#up();
  }

  /** A busy upstream may leave a ping unanswered for a while; one without work may not. */
  #isFatal(call: HttpCall): boolean {
    if (call.isUnreachable || call.status >= 500 || call.status === 401 || call.status === 403) return true;
    return call.status === 0 && this.#host.isIdle();
  }
}
