import type { Clock, Timer } from '../core/clock.ts';
import type { Envelope } from '../core/envelope.ts';
import { MODERN_NOT_SERVED, UPSTREAM_BUSY, UPSTREAM_DOWN } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import type { ClientHello, SessionPlace, UpstreamSession } from '../core/upstream-session.ts';
import type {
  CircuitState,
  InFlight,
  ModernInfo,
  ReplySink,
  RequestOptions,
  TransportName,
  Upstream,
  UpstreamEvents,
  UpstreamInfo,
  UpstreamState,
} from '../core/upstream.ts';
import { rpcResult } from '../mcp/messages.ts';
import { DISCOVER } from '../mcp/modern-methods.ts';
import type { UpstreamDeps } from './deps.ts';
import { HeldRequest } from './held-request.ts';
import { LegacyOnModern } from './legacy-on-modern.ts';
import { LocalReply } from './local-reply.ts';
import { ModernOnLegacy } from './modern-on-legacy.ts';
import type { EraVerdict, ModernSide, ModernSideHost } from './modern-side.ts';
import { Status } from './status.ts';

/** Requests that wait until it is known which revisions the server speaks. */
const MAX_HELD = 256;
/** A server that is a program may take its time to start, and then to answer. */
const HOLD_MS = 10_000;
/** How long a server that is there may wait for what else it can do. */
const PATIENCE_MS = 1000;
/** A server that took handshakes once may only be starting anew. */
const GIVEN_UP_MS = 15_000;

/** Makes the two halves. The legacy one reports to the given events. */
export interface EraParts {
  /**
   * When the modern half asks: at once, or when the first request needs to know and where the server takes no handshake. That costs
   * a program of its own where the server is one, which nobody should pay who has no use for it.
   */
  readonly asks: 'at_start' | 'when_needed';
  /** Whether requests of the new revision are translated for a server that knows only older ones. */
  readonly isBridged: boolean;
  legacy(deps: UpstreamDeps): Upstream;
  modern(host: ModernSideHost): ModernSide;
}

/**
 * A server in both eras of the protocol: the revisions with `initialize` by one half, revision 2026-07-28 by the other, each request
 * by the half whose revision it is written in, translated where there is none. Ready as soon as either is.
 */
export class EraUpstream implements Upstream, ModernSideHost {
  readonly #events: UpstreamEvents;
  readonly #status: Status;
  readonly #legacy: Upstream;
  readonly #modern: ModernSide;
  readonly #clock: Clock;
  readonly #isEager: boolean;
  readonly #upwards: LegacyOnModern;
  readonly #downwards: ModernOnLegacy | null;
  readonly #held = new Set<HeldRequest>();
  #patience: Timer | null = null;
  /** Of the older half. */
  #downSinceMs = Number.POSITIVE_INFINITY;

  constructor(deps: UpstreamDeps, parts: EraParts) {
    this.#events = deps.events;
    this.#clock = deps.clock;
    this.#isEager = parts.asks === 'at_start';
    this.#status = new Status(deps.events);
    this.#legacy = parts.legacy({ ...deps, events: this.#eventsOfLegacy() });
    this.#modern = parts.modern(this);
    this.#upwards = new LegacyOnModern(this.#modern, deps.version);
    this.#downwards = parts.isBridged ? new ModernOnLegacy(this.#legacy) : null;
  }

  get name(): string {
    return this.#legacy.name;
  }

  get transport(): TransportName {
    return this.#legacy.transport;
  }

  get isRequired(): boolean {
    return this.#legacy.isRequired;
  }

  get state(): UpstreamState {
    return this.#status.state;
  }

  get detail(): string | null {
    return this.#status.detail;
  }

  get info(): UpstreamInfo | null {
    return this.#legacy.info ?? this.#modern.info?.legacy ?? null;
  }

  get modern(): ModernInfo | null {
    return this.#modern.info;
  }

  get inFlight(): number {
    return this.#legacy.inFlight + this.#modern.inFlight;
  }

  get circuit(): CircuitState {
    return this.#legacy.circuit;
  }

  get retryAfterSecs(): number {
    return this.#legacy.retryAfterSecs;
  }

  get pids(): readonly number[] {
    const { pid } = this.#modern;
    return pid === null ? this.#legacy.pids : [...this.#legacy.pids, pid];
  }

  start(): void {
    this.#legacy.start();
    if (this.#isEager) this.#modern.start();
  }

  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    if (options.modern === undefined) return (this.#isModernOnly ? this.#upwards : this.#legacy).request(message, options, sink);
    this.#modern.start();
    const { verdict } = this.#modern;
    return verdict === 'asking' || this.#modern.isReturning ? this.#hold(message, options, sink) : this.#sendModern(message, options, sink);
  }

  notify(message: Envelope, options: RequestOptions, taken?: () => void): Refusal | null {
    const isLegacy = options.modern === undefined && !this.#isModernOnly;
    return isLegacy ? this.#legacy.notify(message, options, taken) : this.#modern.notify(message, options);
  }

  /**
   * Where the older half has found nothing, `initialize` is answered by what is known of the server. Not while it has yet to find out, or is
   * down for once: the client would be without a session for good.
   */
  newSession(hello: ClientHello): UpstreamSession | null {
    const { state, info } = this.#legacy;
    return state === 'ready' || state === 'starting' || info !== null ? this.#legacy.newSession(hello) : null;
  }

  resumeSession(place: SessionPlace): UpstreamSession | null {
    return this.#legacy.resumeSession(place);
  }

  async close(): Promise<void> {
    this.#patience?.cancel();
    for (const held of this.#held) held.fail(UPSTREAM_DOWN, 'closed');
    this.#held.clear();
    await Promise.all([this.#legacy.close(), this.#modern.close()]);
    this.#status.set(this, 'closed', 'closed');
  }

  /** Nobody takes a handshake, and has not for a while, but the revision that needs none is spoken. */
  get #isModernOnly(): boolean {
    const { state, info } = this.#legacy;
    if (state === 'ready' || !this.#modern.isUp) return false;
    return info === null || this.#clock.nowMs() - this.#downSinceMs >= GIVEN_UP_MS;
  }

  // ModernSideHost

  isAlone(): boolean {
    return this.#legacy.state !== 'ready';
  }

  onChange(): void {
    const { state, detail, info } = this.#legacy;
    const { verdict, isUp } = this.#modern;
    if (verdict !== 'idle' && verdict !== 'asking' && !this.#modern.isReturning) this.#release();
    if (state !== 'down') this.#downSinceMs = Number.POSITIVE_INFINITY;
    else if (this.#downSinceMs === Number.POSITIVE_INFINITY) this.#downSinceMs = this.#clock.nowMs();
    if (state === 'closed') return this.#status.set(this, 'closed', detail);
    // What a server can do should be known before anybody is told that it is there.
    if (state === 'ready' && verdict === 'asking' && this.#isEager) return this.#wait();
    if (state === 'ready' || isUp) return this.#status.set(this, 'ready', null);
    this.#status.set(this, state, detail);
    // It may take no handshake because it knows none.
    if (state === 'down' && info === null) this.#modern.start();
  }

  #sendModern(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    const { verdict, info } = this.#modern;
    if (info === null) return this.#sendDown(verdict, message, options, sink);
    if (message.method !== DISCOVER) return this.#modern.request(message, options, sink);
    return new LocalReply(sink, rpcResult(message.bytes.toString('utf8', message.idStart, message.idEnd), info.discover));
  }

  /** The server does not speak the revision, or could not be asked. */
  #sendDown(verdict: EraVerdict, message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    if (this.#downwards !== null && this.#legacy.info !== null) return this.#downwards.request(message, options, sink);
    return verdict === 'legacy' ? MODERN_NOT_SERVED : UPSTREAM_DOWN;
  }

  #hold(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    if (this.#held.size >= MAX_HELD) return UPSTREAM_BUSY;
    const held = new HeldRequest(message, options, sink);
    this.#held.add(held);
    this.#clock.after(HOLD_MS, () => {
      if (this.#held.delete(held)) held.fail(UPSTREAM_DOWN, 'its revisions are not known in time');
    });
    return held;
  }

  #release(): void {
    for (const held of this.#held) {
      this.#held.delete(held);
      if (!held.isOver) held.release((message, options, sink) => this.#sendModern(message, options, sink), this.#modern.detail);
    }
  }

  /** Not for long: it works without that. */
  #wait(): void {
    this.#patience ??= this.#clock.after(PATIENCE_MS, () => {
      if (this.#legacy.state === 'ready') this.#status.set(this, 'ready', null);
    });
  }

  #eventsOfLegacy(): UpstreamEvents {
    const events = this.#events;
    return {
      stateChanged: () => this.onChange(),
      stderrLine: (server, line) => events.stderrLine(server, line),
      noise: (server, kind) => events.noise(server, kind),
      restarted: (server, attempt) => events.restarted(server, attempt),
      leftOut: () => undefined,
      listChanged: (server, kind) => events.listChanged(server, kind),
      childrenChanged: () => undefined,
      circuitChanged: () => events.circuitChanged(this),
    };
  }
}
