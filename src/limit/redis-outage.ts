const FAILURES = 5;
const WINDOW_MS = 1000;
const PROBE_MS = 1000;
const PROBE_JITTER = 0.2;

/**
 * Whether a part of Redis answers. Five failures within a second open the circuit: nobody waits any more. About once a second one
 * call may probe, and the first that succeeds closes it.
 */
export class RedisOutage {
  readonly #random: () => number;
  #failedAtMs: number[] = [];
  #probeAtMs = Number.NEGATIVE_INFINITY;
  #isOpen = false;
  #sinceMs: number | null = null;
  #id = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Changes with every outage. */
  get id(): number {
    return this.#sinceMs === null ? -1 : this.#id;
  }

  /** When the first call failed after the last that succeeded; now if none has. */
  sinceMs(nowMs: number): number {
    return this.#sinceMs ?? nowMs;
  }

  /** Whether a call may be sent now to see; the next may about a second later. */
  mayProbe(nowMs: number): boolean {
    if (!this.#isOpen || nowMs < this.#probeAtMs) return false;
    this.#setProbe(nowMs);
    return true;
  }

  failed(nowMs: number): void {
    if (this.#sinceMs === null) {
      this.#sinceMs = nowMs;
      this.#id++;
    }
    this.#failedAtMs.push(nowMs);
    if (this.#failedAtMs.length > FAILURES) this.#failedAtMs.shift();
    if (this.#isOpen || this.#failedAtMs.length < FAILURES || nowMs - (this.#failedAtMs[0] as number) > WINDOW_MS) return;
    this.#isOpen = true;
    this.#setProbe(nowMs);
  }

  /** True when this ended an outage. */
  succeeded(): boolean {
    const isEnd = this.#sinceMs !== null;
    if (isEnd && this.#isOpen) this.#failedAtMs = [];
    this.#isOpen = false;
    this.#sinceMs = null;
    return isEnd;
  }

  #setProbe(nowMs: number): void {
    this.#probeAtMs = nowMs + PROBE_MS * (1 + PROBE_JITTER * (this.#random() - 0.5));
  }
}
