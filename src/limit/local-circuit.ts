import type { Clock } from '../core/clock.ts';
import type { BreakerSettings } from '../core/config.ts';
import type { Admission, Circuit, CircuitState, Health } from '../core/upstream.ts';
import { CircuitBreaker } from './circuit-breaker.ts';

/** The circuit of a gateway with one event loop: knows everything itself. */
export class LocalCircuit implements Circuit {
  onChange: (() => void) | null = null;
  readonly #breaker: CircuitBreaker;
  readonly #clock: Clock;
  #state: CircuitState = 'closed';
  #lastAliveMs = Number.NEGATIVE_INFINITY;

  constructor(settings: BreakerSettings, clock: Clock) {
    this.#breaker = new CircuitBreaker(settings.failures, settings.openMs);
    this.#clock = clock;
  }

  get state(): CircuitState {
    return this.#state;
  }

  get retryAfterSecs(): number {
    return Math.max(Math.ceil(this.#breaker.waitMs(this.#clock.nowMs()) / 1000), 1);
  }

  admit(): Admission {
    if (this.#state === 'closed') return 'pass';
    if (!this.#breaker.takeProbe(this.#clock.nowMs())) return 'refused';
    this.#show('half_open');
    return 'probe';
  }

  /** Never asked: `admit` knows. */
  askProbe(done: (isGranted: boolean) => void): void {
    queueMicrotask(() => done(this.#breaker.takeProbe(this.#clock.nowMs())));
  }

  report(health: Health | null, sentMs: number, isProbe: boolean): void {
    const nowMs = this.#clock.nowMs();
    if (health === 'alive') this.#lastAliveMs = nowMs;
    if (isProbe) this.#breaker.probed(health === null ? null : health === 'alive', nowMs);
    else if (health === 'alive') this.#breaker.alive();
    else if (health === 'failed' && sentMs >= this.#lastAliveMs) this.#breaker.failed(nowMs);
    this.#show(stateOf(this.#breaker.phase(nowMs)));
  }

  #show(state: CircuitState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.onChange?.();
  }
}

function stateOf(phase: ReturnType<CircuitBreaker['phase']>): CircuitState {
  return phase === 'suspect' ? 'closed' : phase;
}
