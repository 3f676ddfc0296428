import type { CircuitPhase } from '../core/place-messages.ts';

/**
 * The state of one circuit, wherever it is kept: with the only worker, or with the primary for all of them. Time is the
 * caller's monotonic clock. While it is open or half open only the probe decides.
 */
export class CircuitBreaker {
  readonly #maxFailures: number;
  readonly #openMs: number;
  #failures = 0;
  /** Infinity while closed. */
  #openedAtMs = Number.POSITIVE_INFINITY;
  #isProbing = false;

  constructor(maxFailures: number, openMs: number) {
    this.#maxFailures = maxFailures;
    this.#openMs = openMs;
  }

  phase(nowMs: number): CircuitPhase {
    if (this.#openedAtMs !== Number.POSITIVE_INFINITY) return this.#isProbing || this.waitMs(nowMs) === 0 ? 'half_open' : 'open';
    return this.#failures > 0 ? 'suspect' : 'closed';
  }

  /** Until it is half open; 0 when it is, or closed. */
  waitMs(nowMs: number): number {
    if (this.#openedAtMs === Number.POSITIVE_INFINITY || this.#isProbing) return 0;
    return Math.max(this.#openedAtMs + this.#openMs - nowMs, 0);
  }

  failed(nowMs: number): void {
    if (this.#openedAtMs !== Number.POSITIVE_INFINITY) return;
    this.#failures += 1;
    if (this.#failures >= this.#maxFailures) this.#openedAtMs = nowMs;
  }

  alive(): void {
    if (this.#openedAtMs === Number.POSITIVE_INFINITY) this.#failures = 0;
  }

  /** One at a time; true: the caller's request is the probe, and its end must be told. */
  takeProbe(nowMs: number): boolean {
    if (this.#isProbing || this.phase(nowMs) !== 'half_open') return false;
    this.#isProbing = true;
    return true;
  }

  /** Null: the probe told nothing; the next request is another. */
  probed(isAlive: boolean | null, nowMs: number): void {
    if (!this.#isProbing) return;
    this.#isProbing = false;
    if (isAlive === null) return;
    this.#failures = 0;
    this.#openedAtMs = isAlive ? Number.POSITIVE_INFINITY : nowMs;
  }
}
