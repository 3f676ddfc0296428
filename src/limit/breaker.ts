/** What a breaker lets through: all, nothing but a probe, or nothing. */
export type BreakerState = 'closed' | 'half_open' | 'open';

export interface BreakerOptions {
  /** So many failures within `windowMs` open it. */
  readonly failures: number;
  readonly windowMs: number;
  /** About so long after it opened, and after each probe that failed, one probe is due. */
  readonly probeAfterMs: number;
  /** 0 … 1: by how much of itself a wait is longer at most, so that those who failed together do not come back together. */
  readonly jitter: number;
  readonly random: () => number;
}

/** 5 failures in 1 s open it; a probe each second or a little later. */
export const BREAKER_DEFAULTS: BreakerOptions = { failures: 5, windowMs: 1_000, probeAfterMs: 1_000, jitter: 0.2, random: Math.random };

/**
 * Circuit breaker in front of something that may not answer: while open nobody waits for it. Time is handed in; nothing
 * runs by itself.
 */
export class Breaker {
  readonly #options: BreakerOptions;
  /** When the last failures were, oldest first; fewer than `failures`. */
  #failedMs: number[] = [];
  #probeAtMs = 0;
  #state: BreakerState = 'closed';

  constructor(options: Partial<BreakerOptions> = {}) {
    this.#options = { ...BREAKER_DEFAULTS, ...options };
    if (!(this.#options.failures >= 1)) throw new RangeError('a breaker opens after at least one failure');
  }

  get state(): BreakerState {
    return this.#state;
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  /** True once for each probe that is due: who asks sends it. */
  mayProbe(nowMs: number): boolean {
    if (this.#state === 'closed' || nowMs < this.#probeAtMs) return false;
    this.#state = 'half_open';
    // A probe of which nothing is heard has failed by the time of the next.
    this.#probeAtMs = this.#nextProbe(nowMs);
    return true;
  }

  failed(nowMs: number): void {
    if (this.#state !== 'closed') {
      this.#state = 'open';
      return;
    }
    const { failures, windowMs } = this.#options;
    this.#failedMs = [...this.#failedMs.filter((ms) => nowMs - ms < windowMs), nowMs];
    if (this.#failedMs.length >= failures) this.open(nowMs);
  }

  /** Opens it now, if it is closed, however few have failed. */
  open(nowMs: number): void {
    if (this.#state !== 'closed') return;
    this.#state = 'open';
    this.#failedMs = [];
    this.#probeAtMs = this.#nextProbe(nowMs);
  }

  /** Closes it when open. Failures of the last second still count: one answer in time does not make five late ones good. */
  succeeded(): void {
    this.#state = 'closed';
  }

  #nextProbe(nowMs: number): number {
    const { probeAfterMs, jitter, random } = this.#options;
    return nowMs + probeAfterMs * (1 + jitter * random());
  }
}
