import type { Clock, Timer } from '../core/clock.ts';
import type { RedisBucket } from './redis-bucket.ts';

/** Buckets that Redis is to hear of soon, together: what they say in one turn of the event loop travels in few calls. */
export class RedisSoon {
  readonly #clock: Clock;
  readonly #afterMs: number;
  readonly #say: (bucket: RedisBucket, nowMs: number) => void;
  readonly #buckets = new Set<RedisBucket>();
  #timer: Timer | null = null;

  /** `afterMs`: how long the first of them waits for others. `say` has to look whether there is still something to be said. */
  constructor(clock: Clock, afterMs: number, say: (bucket: RedisBucket, nowMs: number) => void) {
    this.#clock = clock;
    this.#afterMs = afterMs;
    this.#say = say;
  }

  add(bucket: RedisBucket): void {
    this.#buckets.add(bucket);
    this.#timer ??= this.#clock.after(this.#afterMs, () => this.now());
  }

  delete(bucket: RedisBucket): void {
    this.#buckets.delete(bucket);
  }

  /** Does not wait any longer: a call leaves anyway. */
  now(): void {
    this.#timer?.cancel();
    this.#timer = null;
    if (this.#buckets.size === 0) return;
    const nowMs = this.#clock.nowMs();
    const buckets = [...this.#buckets];
    this.#buckets.clear();
    for (const bucket of buckets) this.#say(bucket, nowMs);
  }

  close(): void {
    this.#timer?.cancel();
    this.#buckets.clear();
  }
}
