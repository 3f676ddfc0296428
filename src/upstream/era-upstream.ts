import type { Envelope } from '../core/envelope.ts';
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
import type { UpstreamDeps } from './deps.ts';
import type { ModernSide, ModernSideHost } from './modern-side.ts';
import { Status } from './status.ts';

/** Makes the two halves. The legacy one reports to the given events. */
export interface EraParts {
  legacy(deps: UpstreamDeps): Upstream;
  modern(host: ModernSideHost): ModernSide;
}

/**
 * A server in both eras of the protocol: the revisions with `initialize` by one half, revision 2026-07-28 by the other, each request
 * by the half whose revision it is written in. Ready as soon as either is.
 */
export class EraUpstream implements Upstream, ModernSideHost {
  readonly #events: UpstreamEvents;
  readonly #status: Status;
  readonly #legacy: Upstream;
  readonly #modern: ModernSide;

  constructor(deps: UpstreamDeps, parts: EraParts) {
    this.#events = deps.events;
    this.#status = new Status(deps.events);
    this.#legacy = parts.legacy({ ...deps, events: this.#eventsOfLegacy() });
    this.#modern = parts.modern(this);
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

  get pid(): number | null {
    return this.#legacy.pid;
  }

  start(): void {
    this.#legacy.start();
    this.#modern.start();
  }

  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    return (options.modern === undefined ? this.#legacy : this.#modern).request(message, options, sink);
  }

  notify(message: Envelope, options: RequestOptions, taken?: () => void): Refusal | null {
    return options.modern === undefined ? this.#legacy.notify(message, options, taken) : this.#modern.notify(message, options);
  }

  /** While the older half is not there, `initialize` is answered by what is known of the server. */
  newSession(hello: ClientHello): UpstreamSession | null {
    return this.#legacy.state === 'ready' ? this.#legacy.newSession(hello) : null;
  }

  resumeSession(place: SessionPlace): UpstreamSession | null {
    return this.#legacy.resumeSession(place);
  }

  async close(): Promise<void> {
    await Promise.all([this.#legacy.close(), this.#modern.close()]);
    this.#status.set(this, 'closed', 'closed');
  }

  // ModernSideHost

  isAlone(): boolean {
    return this.#legacy.state !== 'ready';
  }

  onChange(): void {
    const { state, detail } = this.#legacy;
    if (state === 'closed') return this.#status.set(this, 'closed', detail);
    // What a server can do should be known before anybody is told that it is there.
    if (state === 'ready' && !this.#modern.isKnown) return;
    if (state === 'ready' || (this.#modern.isUp && this.#modern.info !== null)) return this.#status.set(this, 'ready', null);
    this.#status.set(this, state, detail);
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
      circuitChanged: () => events.circuitChanged(this),
    };
  }
}
