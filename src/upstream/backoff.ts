export interface BackoffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** Doubling delays between attempts. */
export class Backoff {
  readonly #options: BackoffOptions;
  #attempts = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** Attempts since the last reset. */
  get attempts(): number {
    return this.#attempts;
  }

  /** Milliseconds to wait before the next attempt. */
  next(): number {
    const delayMs = Math.min(this.#options.firstMs * 2 ** Math.min(this.#attempts, 30), this.#options.maxMs);
    this.#attempts += 1;
    return delayMs;
  }

  reset(): void {
    this.#attempts = 0;
  }
}
