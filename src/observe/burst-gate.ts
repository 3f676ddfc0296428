import type { Clock } from '../core/clock.ts';

export interface BurstGateOptions {
  readonly clock: Clock;
  readonly perSecond: number;
  readonly burst: number;
  /** Told once a second while there is something to tell. Must not throw. */
  readonly onSuppressed: (count: number) => void;
}

/** Lets a bounded number of log lines pass, so that a flood fills no disk; says how many it held back. */
export class BurstGate {
  readonly #options: BurstGateOptions;
  #tokens: number;
  #lastMs: number;
  #suppressed = 0;

  constructor(options: BurstGateOptions) {
    this.#options = options;
    this.#tokens = options.burst;
    this.#lastMs = options.clock.nowMs();
  }

  pass(): boolean {
    const { clock, perSecond, burst } = this.#options;
    const nowMs = clock.nowMs();
    this.#tokens = Math.min(burst, this.#tokens + ((nowMs - this.#lastMs) * perSecond) / 1000);
    this.#lastMs = nowMs;
    if (this.#tokens >= 1) {
      this.#tokens -= 1;
      return true;
    }
    if (this.#suppressed === 0) clock.after(1000, () => this.#tell());
    this.#suppressed += 1;
    return false;
  }

  #tell(): void {
    const count = this.#suppressed;
    this.#suppressed = 0;
    this.#options.onSuppressed(count);
  }
}
