import type { InFlightLimiter } from '../core/limit.ts';

/**
 * Requests in progress per key. A key is held only while one of its requests is, so the map is bounded by the requests
 * a worker has open.
 */
export class InFlightLimit implements InFlightLimiter {
  readonly max: number;
  readonly #counts = new Map<string, number>();

  /** `max` per key, ≥ 1. */
  constructor(max: number) {
    if (!(max >= 1)) throw new RangeError('at least one request in flight must be possible');
    this.max = max;
  }

  /** Keys with a request in progress. */
  get size(): number {
    return this.#counts.size;
  }

  /** False when the key has as many in progress as it may; only after true does the caller owe a `leave`. */
  enter(key: string): boolean {
    const count = this.#counts.get(key) ?? 0;
    if (count >= this.max) return false;
    this.#counts.set(key, count + 1);
    return true;
  }

  /** Exactly once per successful `enter`; throws RangeError without one, because counts would drift open otherwise. */
  leave(key: string): void {
    const count = this.#counts.get(key);
    if (count === undefined) throw new RangeError('leave without enter');
    if (count === 1) this.#counts.delete(key);
    else this.#counts.set(key, count - 1);
  }
}
