import type { Clock } from '../core/clock.ts';
import type { Envelope } from '../core/envelope.ts';
import { MODERN_NOT_SERVED, UPSTREAM_DOWN } from '../core/errors.ts';
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
import { HeldRequests } from './held-requests.ts';
import { LegacyOnModern } from './legacy-on-modern.ts';
import { LocalReply } from './local-reply.ts';
import { type AskingParts, ModernOnLegacy } from './modern-on-legacy.ts';
import { ModernSessions } from './modern-sessions.ts';
import { ModernWatch } from './modern-watch.ts';
import type { EraVerdict, ModernSide, ModernSideHost } from './modern-side.ts';
import type { OwnedPlacesDeps } from './owned-places.ts';
import { PlacedModern, type PlacedModernDeps } from './placed-modern.ts';
import { Status } from './status.ts';
import { UndecidedSession } from './undecided-session.ts';

/** A server that took handshakes once may only be starting anew. */
const GIVEN_UP_MS = 15_000;

/** The way of a request of the older revisions. `undecided`: whether the server takes a handshake is not known yet. */
type OlderWay = 'legacy' | 'modern' | 'undecided';

/** Makes the two halves. The legacy one reports to the given events. */
export interface EraParts {
  /**
   * Which half begins. `modern`: the server is asked for its revisions before it is sent a handshake, which one of the newest revision gets only
   * when a client needs it (2026-07-28, Versioning). `legacy`: the other half begins with the first request of its own, or where the server takes no
   * handshake: it costs a program of its own where the server is one, which nobody should pay who has no use for it.
   */
  readonly first: 'modern' | 'legacy';
  /** Whether requests of the new revision are translated for a server that knows only older ones. */
  readonly isBridged: boolean;
  /** Longest time that a call may take anywhere. */
  readonly longestMs: number;
  /** Lists of the modern half are kept, and nothing else hears of their changes. */
  readonly isWatched: boolean;
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
  readonly #upwards: LegacyOnModern;
  readonly #upwardSessions: ModernSessions;
  readonly #watch: ModernWatch | null;
  readonly #downwards: ModernOnLegacy | null;
  /** What waits for either half: whether there is a modern one, and whether there is a legacy one. */
  readonly #heldModern: HeldRequests;
  readonly #heldLegacy: HeldRequests;
  #hasLegacyBegun: boolean;
  /** Of the older half. */
  #downSinceMs = Number.POSITIVE_INFINITY;

  constructor(deps: UpstreamDeps, parts: EraParts) {
    this.#events = deps.events;
    this.#clock = deps.clock;
    this.#hasLegacyBegun = parts.first === 'legacy';
    this.#status = new Status(deps.events);
    this.#heldModern = new HeldRequests(deps.clock, () => undefined);
    this.#heldLegacy = new HeldRequests(deps.clock, () => this.onChange());
    this.#legacy = parts.legacy({ ...deps, events: this.#eventsOfLegacy(), hasOtherWay: () => this.#modern.isUp });
    this.#modern = new PlacedModern(parts.modern(this), this.#placesFor(deps, parts.longestMs));
    this.#watch = parts.isWatched ? this.#buildWatch(deps) : null;
    this.#upwards = new LegacyOnModern(this.#modern, deps.version);
    this.#upwardSessions = new ModernSessions({
      ...waysOf(deps, parts.longestMs),
      server: this.name,
      modern: this.#modern,
      kept: deps.kept ?? null,
    });
    this.#downwards = parts.isBridged ? new ModernOnLegacy(this.#legacy, deps.clock, askingParts(deps, parts.longestMs)) : null;
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

  get bridged(): ModernInfo | null {
    return this.#modern.info === null ? (this.#downwards?.info ?? null) : null;
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
    if (this.#hasLegacyBegun) return this.#legacy.start();
    this.#modern.start();
    this.onChange();
  }

  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    if (options.modern === undefined) return this.#sendOlder(message, options, sink);
    if (options.modern.place !== undefined) return this.#modern.request(message, options, sink);
    this.#modern.start();
    const { verdict } = this.#modern;
    const isKnown = verdict !== 'asking' && !this.#modern.isReturning;
    return isKnown
      ? this.#sendModern(message, options, sink)
      : this.#heldModern.hold(message, options, sink, (...call) => this.#sendModern(...call));
  }

  notify(message: Envelope, options: RequestOptions, taken?: () => void): Refusal | null {
    const isLegacy = options.modern === undefined && this.#olderWay === 'legacy';
    return isLegacy ? this.#legacy.notify(message, options, taken) : this.#modern.notify(message, options);
  }

  /**
   * With the older half where there is one; else one that is kept here. Not while that has yet to be found out, or the older half is down for
   * once: the client would have less than the server offers.
   */
  newSession(hello: ClientHello): UpstreamSession | null {
    if (this.#olderWay !== 'undecided') return this.#chooseSession(hello);
    return new UndecidedSession({ info: () => this.info, held: this.#heldLegacy, choose: () => this.#chooseSession(hello) });
  }

  #chooseSession(hello: ClientHello): UpstreamSession | null {
    const { state, info } = this.#legacy;
    if (this.#olderWay === 'modern') return this.#upwardSessions.open(hello);
    const isThere = this.#hasLegacyBegun && (state === 'ready' || state === 'starting' || info !== null);
    return isThere ? this.#legacy.newSession(hello) : null;
  }

  resumeSession(place: SessionPlace): UpstreamSession | null {
    return this.#legacy.resumeSession(place) ?? (place.kind === 'owned' ? this.#upwardSessions.find(place.bytes) : null);
  }

  async close(): Promise<void> {
    this.#heldModern.close();
    this.#heldLegacy.close();
    this.#downwards?.close();
    this.#upwardSessions.close();
    this.#watch?.close();
    await Promise.all([this.#legacy.close(), this.#modern.close()]);
    this.#status.set(this, 'closed', 'closed');
  }

  /** `modern`: nobody takes a handshake, and has not for a while, but the revision that needs none is spoken. */
  get #olderWay(): OlderWay {
    const { state, info } = this.#legacy;
    if (state === 'ready') return 'legacy';
    if (!this.#hasLegacyBegun) return this.#modern.isUp || this.#modern.verdict === 'asking' ? 'undecided' : 'legacy';
    if (!this.#modern.isUp) return 'legacy';
    if (state === 'starting') return 'undecided';
    return info === null || this.#clock.nowMs() - this.#downSinceMs >= GIVEN_UP_MS ? 'modern' : 'legacy';
  }

  // ModernSideHost

  isAlone(): boolean {
    return this.#legacy.state !== 'ready';
  }

  onChange(): void {
    this.#watch?.refresh();
    if (this.#isLegacyDue) this.#beginLegacy();
    const { state, detail, info } = this.#legacy;
    const { verdict, isUp } = this.#modern;
    if (state !== 'down') this.#downSinceMs = Number.POSITIVE_INFINITY;
    else if (this.#downSinceMs === Number.POSITIVE_INFINITY) this.#downSinceMs = this.#clock.nowMs();
    if (verdict !== 'idle' && verdict !== 'asking' && !this.#modern.isReturning) this.#heldModern.release(this.#modern.detail);
    if (this.#olderWay !== 'undecided') this.#heldLegacy.release(detail ?? this.#modern.detail);
    if (state === 'closed') return this.#status.set(this, 'closed', detail);
    if (state === 'ready' || isUp) return this.#status.set(this, 'ready', null);
    if (!this.#hasLegacyBegun && verdict !== 'asking') return this.#status.set(this, 'down', this.#modern.detail);
    this.#status.set(this, state, detail);
    // It may take no handshake because it knows none.
    if (state === 'down' && info === null) this.#modern.start();
  }

  /**
   * It speaks no newer revision, or answers without saying which, or somebody waits who needs to know. One that refused a handshake and is of
   * the older kind by now may take it.
   */
  get #isLegacyDue(): boolean {
    const { verdict, isUnreachable } = this.#modern;
    if (this.#hasLegacyBegun) return verdict === 'legacy' && this.#legacy.state === 'down';
    if (verdict === 'unknown') return !isUnreachable;
    return verdict === 'legacy' || (verdict === 'modern' && this.#heldLegacy.isWaiting);
  }

  #beginLegacy(): void {
    this.#hasLegacyBegun = true;
    this.#legacy.start();
  }

  #sendOlder(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    switch (this.#olderWay) {
      case 'legacy':
        return this.#legacy.request(message, options, sink);
      case 'modern':
        return this.#upwards.request(message, options, sink);
      case 'undecided':
        return this.#heldLegacy.hold(message, options, sink, (...call) => this.#sendOlder(...call));
    }
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

  /** Every worker reaches the same server over HTTP, but has a process or connection of its own over other ways. */
  #placesFor(deps: UpstreamDeps, longestMs: number): PlacedModernDeps {
    const seal = this.transport === 'stdio' ? (deps.stateSeal ?? null) : null;
    return { ...waysOf(deps, longestMs), server: this.name, isPlaced: this.transport !== 'http', seal };
  }

  #buildWatch({ clock, version: gatewayVersion, events }: UpstreamDeps): ModernWatch {
    return new ModernWatch({ clock, modern: this.#modern, gatewayVersion, onChanged: (kind) => events.listChanged(this.name, kind) });
  }

  #eventsOfLegacy(): UpstreamEvents {
    const events = this.#events;
    return {
      stateChanged: () => this.onChange(),
      stderrLine: (server, line) => events.stderrLine(server, line),
      noise: (server, kind) => events.noise(server, kind),
      restarted: (server, attempt) => events.restarted(server, attempt),
      leftOut: () => undefined,
      listChanged: (server, kind) => {
        events.listChanged(server, kind);
        this.#downwards?.listChanged(kind);
      },
      childrenChanged: (server) => events.childrenChanged(server),
      circuitChanged: () => events.circuitChanged(this),
    };
  }
}

function askingParts(deps: UpstreamDeps, longestMs: number): AskingParts | null {
  return deps.stateSeal === undefined ? null : { ...waysOf(deps, longestMs), seal: deps.stateSeal };
}

function waysOf({ clock, sessions = null, peers = null }: UpstreamDeps, longestMs: number): OwnedPlacesDeps & { readonly clock: Clock } {
  return { clock, sessions, peers, longestMs };
}
