import type { Clock, Timer } from '../core/clock.ts';
import type { CircuitPhase, CircuitReport, PlaceToWorker } from '../core/place-messages.ts';
import type { Admission, Circuit, CircuitState, Health } from '../core/upstream.ts';

/** How long the question for the probe may take; then it is not granted. As long as for tokens: the primary may be busy. */
const ASK_MS = 100;

export interface SharedCircuitOptions {
  readonly clock: Clock;
  readonly send: (what: CircuitReport) => void;
}

/**
 * One worker's view of a circuit that the primary keeps for all workers: failures of all of them count together, and one
 * probes for all. Nothing is sent while the upstream answers.
 */
export class SharedCircuit implements Circuit {
  onChange: (() => void) | null = null;
  readonly #clock: Clock;
  readonly #send: (what: CircuitReport) => void;
  #phase: CircuitPhase = 'closed';
  #state: CircuitState = 'closed';
  #halfOpenAtMs = 0;
  #lastAliveMs = Number.NEGATIVE_INFINITY;
  /** Of the question for the probe: one at a time. */
  #asking: ((isGranted: boolean) => void) | null = null;
  #late: Timer | null = null;

  constructor({ clock, send }: SharedCircuitOptions) {
    this.#clock = clock;
    this.#send = send;
    // A worker that replaces another must not begin with a closed circuit.
    send('ask_state');
  }

  get state(): CircuitState {
    return this.#state;
  }

  get retryAfterSecs(): number {
    return Math.max(Math.ceil((this.#halfOpenAtMs - this.#clock.nowMs()) / 1000), 1);
  }

  admit(): Admission {
    if (this.#state === 'closed') return 'pass';
    if (this.#asking !== null) return 'refused';
    return this.#clock.nowMs() >= this.#halfOpenAtMs ? 'ask' : 'refused';
  }

  askProbe(done: (isGranted: boolean) => void): void {
    if (this.#asking !== null) return queueMicrotask(() => done(false));
    this.#asking = done;
    this.#send('ask_probe');
    this.#late = this.#clock.after(ASK_MS, () => this.#answered(false));
  }

  report(health: Health | null, sentMs: number, isProbe: boolean): void {
    if (health === 'alive') this.#lastAliveMs = this.#clock.nowMs();
    if (isProbe) return this.#send(health === null ? 'probe_over' : `probe_${health}`);
    if (health === 'failed' && this.#state === 'closed' && sentMs >= this.#lastAliveMs) this.#send('failed');
    if (health !== 'alive' || this.#phase !== 'suspect') return;
    this.#phase = 'closed';
    this.#send('alive');
  }

  /** What the primary says of this circuit. */
  receive(message: Extract<PlaceToWorker, { type: 'circuit' | 'probe' }>): void {
    if (message.type === 'circuit') return this.#told(message.phase, message.waitMs);
    if (!message.isGranted || this.#asking !== null) return this.#answered(message.isGranted);
    // Granted after the request that asked was refused: the next one asks again.
    this.#send('probe_over');
  }

  #told(phase: CircuitPhase, waitMs: number): void {
    this.#phase = phase;
    this.#halfOpenAtMs = this.#clock.nowMs() + waitMs;
    this.#show(phase === 'suspect' ? 'closed' : phase);
  }

  #answered(isGranted: boolean): void {
    const done = this.#asking;
    this.#asking = null;
    this.#late?.cancel();
    if (done === null) return;
    if (isGranted) this.#show('half_open');
    done(isGranted);
  }

  #show(state: CircuitState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.onChange?.();
  }
}
