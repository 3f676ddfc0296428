import type { Clock } from '../core/clock.ts';

/** Remembers keys for a while, at most `limit` of them: the oldest go first. */
export class RecentSet {
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #limit: number;
  readonly #until = new Map<string, number>();

  constructor(clock: Clock, ttlMs: number, limit: number) {
    this.#clock = clock;
    this.#ttlMs = ttlMs;
    this.#limit = limit;
  }

  /** True when the key was not added within the time; it is added then. */
  addIfNew(key: string): boolean {
    const nowMs = this.#clock.nowMs();
    const untilMs = this.#until.get(key);
    if (untilMs !== undefined && nowMs < untilMs) return false;
    this.#until.delete(key);
    if (this.#until.size >= this.#limit) this.#dropOldest();
    this.#until.set(key, nowMs + this.#ttlMs);
    return true;
  }

  /** Until when the key counts as added; −∞ for one that does not. */
  untilMs(key: string): number {
    return this.#until.get(key) ?? Number.NEGATIVE_INFINITY;
  }

  get size(): number {
    return this.#until.size;
  }

  #dropOldest(): void {
    const oldest = this.#until.keys().next();
    if (!oldest.done) this.#until.delete(oldest.value);
  }
}
