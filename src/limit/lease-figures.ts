import { BYTES_PER_LEASE, WORDS_PER_LEASE } from './lease-memory.ts';

/** Doubles of a slot, in the order in which they lie. */
const USED_MS = 0;
const ANSWERED_MS = 1;
const LEFT = 2;
const BURST = 3;
const TENURE = 4;
const DOUBLES = BYTES_PER_LEASE / 8;
/** Words of a slot behind them. The one in between is the level (`lease-memory.ts`). */
const QUOTA = 10;
const URGENT = 11;
const FLAGS = 13;
const MODE = 14;
const IS_SMALL = 15;

/** One count for all limiters of the process: what one of them noted means nothing to another. */
let lastTenure = 0;

/**
 * What each take looks at of a slot, in the line of the processor's cache in which its level lies: with ten thousand callers in turn none of it is in a cache,
 * and an array for each figure would be a miss for each. Pages that are never touched take no memory.
 */
export class LeaseFigures {
  readonly #doubles: Float64Array;
  readonly #words: Int32Array;

  /** The memory of the levels. */
  constructor(buffer: SharedArrayBuffer) {
    this.#doubles = new Float64Array(buffer);
    this.#words = new Int32Array(buffer);
  }

  /** Of a new owner; `shape` follows. */
  reset(slot: number, nowMs: number): void {
    this.setUsedMs(slot, nowMs);
    this.answer(slot, 0, nowMs);
    this.setFlags(slot, 0);
    this.setMode(slot, 0);
  }

  /**
   * Of its limit: whole burst; what is kept of it here; with fewer tokens than `urgent` it is asked for more at once; whether others may call it back.
   * Another tenure of the slot begins.
   */
  shape(slot: number, burst: number, quota: number, urgent: number, isSmall: boolean): void {
    this.#doubles[slot * DOUBLES + BURST] = burst;
    this.#doubles[slot * DOUBLES + TENURE] = ++lastTenure;
    const at = slot * WORDS_PER_LEASE;
    this.#words[at + QUOTA] = quota;
    this.#words[at + URGENT] = urgent;
    this.#words[at + IS_SMALL] = isSmall ? 1 : 0;
  }

  /** Of an owner with a limit, ≥ 1, and never the same again; 0: the slot is nobody's. */
  tenure(slot: number): number {
    return this.#doubles[slot * DOUBLES + TENURE] as number;
  }

  /** The slot is nobody's. */
  endTenure(slot: number): void {
    this.#doubles[slot * DOUBLES + TENURE] = 0;
  }

  /** Of the last answer of the authority: tokens left there, and when that was. */
  answer(slot: number, left: number, nowMs: number): void {
    const at = slot * DOUBLES;
    this.#doubles[at + LEFT] = left;
    this.#doubles[at + ANSWERED_MS] = nowMs;
  }

  usedMs(slot: number): number {
    return this.#doubles[slot * DOUBLES + USED_MS] as number;
  }

  setUsedMs(slot: number, nowMs: number): void {
    this.#doubles[slot * DOUBLES + USED_MS] = nowMs;
  }

  answeredMs(slot: number): number {
    return this.#doubles[slot * DOUBLES + ANSWERED_MS] as number;
  }

  left(slot: number): number {
    return this.#doubles[slot * DOUBLES + LEFT] as number;
  }

  /** Tokens went back to the authority since it answered. */
  addLeft(slot: number, tokens: number): void {
    const at = slot * DOUBLES + LEFT;
    this.#doubles[at] = (this.#doubles[at] as number) + tokens;
  }

  burst(slot: number): number {
    return this.#doubles[slot * DOUBLES + BURST] as number;
  }

  quota(slot: number): number {
    return this.#words[slot * WORDS_PER_LEASE + QUOTA] as number;
  }

  urgent(slot: number): number {
    return this.#words[slot * WORDS_PER_LEASE + URGENT] as number;
  }

  isSmall(slot: number): boolean {
    return this.#words[slot * WORDS_PER_LEASE + IS_SMALL] === 1;
  }

  /** What the slot is in the middle of (`lease-table.ts`). */
  flags(slot: number): number {
    return this.#words[slot * WORDS_PER_LEASE + FLAGS] as number;
  }

  setFlags(slot: number, flags: number): void {
    this.#words[slot * WORDS_PER_LEASE + FLAGS] = flags;
  }

  /** Number of the mode in which it was decided last. */
  mode(slot: number): number {
    return this.#words[slot * WORDS_PER_LEASE + MODE] as number;
  }

  setMode(slot: number, mode: number): void {
    this.#words[slot * WORDS_PER_LEASE + MODE] = mode;
  }
}
