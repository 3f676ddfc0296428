/** Figures of a slot, in the order in which they lie. All are doubles, eight of them: 64 bytes. */
const USED_MS = 0;
const ANSWERED_MS = 1;
const LEFT = 2;
const BURST = 3;
const QUOTA = 4;
const URGENT = 5;
const IS_SMALL = 6;
const MODE = 7;
const FIGURES = 8;

/**
 * What each take looks at of a slot, in one piece: with ten thousand callers in turn none of it is in a cache, and an array for each figure
 * would be a miss for each. Pages that are never touched take no memory.
 */
export class LeaseFigures {
  readonly #values: Float64Array;

  constructor(capacity: number) {
    this.#values = new Float64Array(capacity * FIGURES);
  }

  /** Of a new owner. */
  reset(slot: number, nowMs: number): void {
    this.#values.fill(0, slot * FIGURES, (slot + 1) * FIGURES);
    this.setUsedMs(slot, nowMs);
    this.answer(slot, 0, nowMs);
  }

  /** Of its limit: whole burst; what is kept of it here; with fewer tokens than `urgent` it is asked for more at once; whether others may call it back. */
  shape(slot: number, burst: number, quota: number, urgent: number, isSmall: boolean): void {
    const at = slot * FIGURES;
    this.#values[at + BURST] = burst;
    this.#values[at + QUOTA] = quota;
    this.#values[at + URGENT] = urgent;
    this.#values[at + IS_SMALL] = isSmall ? 1 : 0;
  }

  /** Of the last answer of the authority: tokens left there, and when that was. */
  answer(slot: number, left: number, nowMs: number): void {
    const at = slot * FIGURES;
    this.#values[at + LEFT] = left;
    this.#values[at + ANSWERED_MS] = nowMs;
  }

  usedMs(slot: number): number {
    return this.#values[slot * FIGURES + USED_MS] as number;
  }

  setUsedMs(slot: number, nowMs: number): void {
    this.#values[slot * FIGURES + USED_MS] = nowMs;
  }

  answeredMs(slot: number): number {
    return this.#values[slot * FIGURES + ANSWERED_MS] as number;
  }

  left(slot: number): number {
    return this.#values[slot * FIGURES + LEFT] as number;
  }

  /** Tokens went back to the authority since it answered. */
  addLeft(slot: number, tokens: number): void {
    const at = slot * FIGURES + LEFT;
    this.#values[at] = (this.#values[at] as number) + tokens;
  }

  burst(slot: number): number {
    return this.#values[slot * FIGURES + BURST] as number;
  }

  quota(slot: number): number {
    return this.#values[slot * FIGURES + QUOTA] as number;
  }

  urgent(slot: number): number {
    return this.#values[slot * FIGURES + URGENT] as number;
  }

  isSmall(slot: number): boolean {
    return this.#values[slot * FIGURES + IS_SMALL] === 1;
  }

  /** Number of the mode in which it was decided last. */
  mode(slot: number): number {
    return this.#values[slot * FIGURES + MODE] as number;
  }

  setMode(slot: number, mode: number): void {
    this.#values[slot * FIGURES + MODE] = mode;
  }
}
