import type { Clock } from '../core/clock.ts';
import type { BreakerSettings } from '../core/config.ts';
import type { CircuitReport, PlaceToWorker } from '../core/place-messages.ts';
import { CircuitBreaker } from './circuit-breaker.ts';

export interface CircuitAuthorityOptions {
  readonly clock: Clock;
  readonly send: (holder: number, message: PlaceToWorker) => void;
  /** To every worker there is. */
  readonly broadcast: (message: PlaceToWorker) => void;
}

interface Shared {
  readonly breaker: CircuitBreaker;
  /** The worker whose request is the probe; −1 = none. */
  probing: number;
}

/** The circuits of all upstreams, kept in the primary for all workers. Servers come from the configuration: the map is bounded by it. */
export class CircuitAuthority {
  readonly #circuits: ReadonlyMap<string, Shared>;
  readonly #options: CircuitAuthorityOptions;

  constructor(breakers: ReadonlyMap<string, BreakerSettings>, options: CircuitAuthorityOptions) {
    const shared = ({ failures, openMs }: BreakerSettings): Shared => ({ breaker: new CircuitBreaker(failures, openMs), probing: -1 });
    this.#circuits = new Map(Array.from(breakers, ([server, settings]) => [server, shared(settings)]));
    this.#options = options;
  }

  receive(holder: number, server: string, what: CircuitReport): void {
    const circuit = this.#circuits.get(server);
    if (circuit === undefined) return;
    const nowMs = this.#options.clock.nowMs();
    switch (what) {
      case 'ask_state':
        return this.#options.send(holder, this.#told(server, circuit, nowMs));
      case 'ask_probe':
        return this.#answerProbe(holder, server, circuit, nowMs);
      case 'failed':
        circuit.breaker.failed(nowMs);
        break;
      case 'alive':
        circuit.breaker.alive();
        break;
      case 'probe_alive':
      case 'probe_failed':
      case 'probe_over':
        if (circuit.probing !== holder) return;
        circuit.probing = -1;
        circuit.breaker.probed(what === 'probe_over' ? null : what === 'probe_alive', nowMs);
    }
    this.#options.broadcast(this.#told(server, circuit, nowMs));
  }

  /** A worker is gone: the probe that it had sent tells nothing any more. */
  lost(holder: number): void {
    for (const [server, circuit] of this.#circuits) if (circuit.probing === holder) this.receive(holder, server, 'probe_over');
  }

  #answerProbe(holder: number, server: string, circuit: Shared, nowMs: number): void {
    const isGranted = circuit.breaker.takeProbe(nowMs);
    if (isGranted) circuit.probing = holder;
    else this.#options.send(holder, this.#told(server, circuit, nowMs));
    this.#options.send(holder, { type: 'probe', server, isGranted });
  }

  #told(server: string, { breaker }: Shared, nowMs: number): PlaceToWorker {
    return { type: 'circuit', server, phase: breaker.phase(nowMs), waitMs: breaker.waitMs(nowMs) };
  }
}
