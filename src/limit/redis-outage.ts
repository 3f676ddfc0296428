import { Breaker } from './breaker.ts';

/** Whether a part of Redis answers, and since when it does not. */
export class RedisOutage {
  readonly #breaker: Breaker;
  #sinceMs: number | null = null;
  #id = 0;

  constructor(random: () => number) {
    this.#breaker = new Breaker({ random });
  }

  /** Nobody may wait any more. */
  get isOpen(): boolean {
    return !this.#breaker.isClosed;
  }

  /** Of the outage that is going on; −1 without one. */
  get id(): number {
    return this.#sinceMs === null ? -1 : this.#id;
  }

  /** When the first call failed after the last that succeeded; now if none has. */
  sinceMs(nowMs: number): number {
    return this.#sinceMs ?? nowMs;
  }

  /** Whether a call may be sent now to see; the next may about a second later. */
  mayProbe(nowMs: number): boolean {
    return this.#breaker.mayProbe(nowMs);
  }

  failed(nowMs: number): void {
    this.#begin(nowMs);
    this.#breaker.failed(nowMs);
  }

  /** An answer stays away for so long that nobody needs to see more fail. */
  lost(nowMs: number): void {
    this.#begin(nowMs);
    this.#breaker.open(nowMs);
  }

  succeeded(): void {
    this.#sinceMs = null;
    this.#breaker.succeeded();
  }

  #begin(nowMs: number): void {
    if (this.#sinceMs !== null) return;
    this.#sinceMs = nowMs;
    this.#id++;
  }
}
