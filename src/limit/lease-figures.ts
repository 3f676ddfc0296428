import type { LimitTold } from '../core/limit.ts';
import { wholeSecs } from './bucket.ts';
import { BYTES_PER_LEASE, type LeaseMemory, WORDS_PER_LEASE } from './lease-memory.ts';
import { lookLevel } from './lease-size.ts';

/** What a slot is in the middle of. Only one with neither of the first two may change its owner. */
export const QUEUED: number = 1;
export const ASKING: number = 2;
/** What it holds is to be reported with the next turn. */
export const DIRTY: number = 4;
export const BUSY: number = QUEUED | ASKING;

/** Doubles of a slot, in the order in which they lie. */
const USED_MS = 0;
const ANSWERED_MS = 1;
const LEFT = 2;
const PER_SECOND = 3;
const DOUBLES = BYTES_PER_LEASE / 8;
/** Words of a slot behind them. The one in between is the level (`lease-memory.ts`). */
const BURST = 8;
const TENURE = 9;
const QUOTA = 10;
const URGENT = 11;
const FLAGS = 13;
const MODE = 14;
const NOTICE = 15;
/** `NOTICE` of a slot of which each take is told: no level is as high. */
const ALWAYS = 2 ** 30;
const MOST_TENURES = 2 ** 31 - 1;

/** One count for all limiters of the process: what one of them noted means nothing to another. */
let lastTenure = 0;

/** What a worker keeps of a limit. */
export interface KeptShare {
  /** Whole tokens; 0: none, each decision is asked for. */
  readonly quota: number;
  readonly urgent: number;
  readonly isSmall: boolean;
}

/**
 * What each take looks at of a slot, in the line of the processor's cache in which its level lies: with ten thousand callers in turn none of it is in a cache,
 * and an array for each figure would be a miss for each. Pages that are never touched take no memory.
 */
export class LeaseFigures {
  readonly #doubles: Float64Array;
  readonly #words: Int32Array;

  /** In the memory of the levels. */
  constructor(memory: LeaseMemory) {
    this.#doubles = new Float64Array(memory.buffer);
    this.#words = memory;
  }

  /** Of a new owner; `shape` follows. */
  reset(slot: number, nowMs: number): void {
    this.setUsedMs(slot, nowMs);
    this.answer(slot, 0, nowMs);
    this.setFlags(slot, 0);
    this.setMode(slot, 0);
  }

  /**
   * Of its limit: tokens per second and whole burst; what is kept of it here; with fewer tokens than `urgent` it is asked for more at once; whether others
   * may call it back. Another tenure of the slot begins.
   */
  shape(slot: number, perSecond: number, burst: number, { quota, urgent, isSmall }: KeptShare): void {
    this.#doubles[slot * DOUBLES + PER_SECOND] = perSecond;
    const at = slot * WORDS_PER_LEASE;
    this.#words[at + BURST] = burst;
    // After two thousand million owners there are no more: what is noted of a slot never holds again then, and it is found by its key.
    if (lastTenure < MOST_TENURES) lastTenure += 1;
    this.#words[at + TENURE] = lastTenure < MOST_TENURES ? lastTenure : 0;
    this.#words[at + QUOTA] = quota;
    this.#words[at + URGENT] = urgent;
    this.#words[at + NOTICE] = isSmall || quota === 0 ? ALWAYS : 0;
    this.#noteNext(at);
  }

  /** Of an owner with a limit, ≥ 1, and never the same again; 0: nobody's, or not to be noted. */
  tenure(slot: number): number {
    return this.#words[slot * WORDS_PER_LEASE + TENURE] as number;
  }

  /** The slot is nobody's. */
  endTenure(slot: number): void {
    this.#words[slot * WORDS_PER_LEASE + TENURE] = 0;
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

  /** Tokens went back to the authority since it answered. */
  addLeft(slot: number, tokens: number): void {
    const at = slot * DOUBLES + LEFT;
    this.#doubles[at] = (this.#doubles[at] as number) + tokens;
  }

  burst(slot: number): number {
    return this.#words[slot * WORDS_PER_LEASE + BURST] as number;
  }

  /** Tokens left at the authority by now, if nobody else took any; a fraction counts. */
  leftNow(slot: number, nowMs: number): number {
    const at = slot * DOUBLES;
    const refilled = ((nowMs - (this.#doubles[at + ANSWERED_MS] as number)) * (this.#doubles[at + PER_SECOND] as number)) / 1000;
    return Math.max(0, (this.#doubles[at + LEFT] as number) + Math.max(0, refilled));
  }

  /** Of `level` tokens that are held here and those known to be left, as many as fit into the burst. */
  remaining(slot: number, level: number, nowMs: number): number {
    return Math.min(this.burst(slot), level + Math.floor(this.leftNow(slot, nowMs) + 1e-6));
  }

  /** Seconds until the bucket is full again when so many tokens remain. */
  resetSecs(slot: number, remaining: number): number {
    return wholeSecs(((this.burst(slot) - remaining) / (this.#doubles[slot * DOUBLES + PER_SECOND] as number)) * 1000);
  }

  /** What an answer says of the limit when `level` tokens are left here. */
  tell(slot: number, level: number, nowMs: number, told: LimitTold): void {
    const remaining = this.remaining(slot, level, nowMs);
    told.limit = this.burst(slot);
    told.limitRemaining = remaining;
    told.limitResetSecs = this.resetSecs(slot, remaining);
  }

  quota(slot: number): number {
    return this.#words[slot * WORDS_PER_LEASE + QUOTA] as number;
  }

  urgent(slot: number): number {
    return this.#words[slot * WORDS_PER_LEASE + URGENT] as number;
  }

  /** A take that leaves fewer tokens than this has more to do than to take. */
  notice(slot: number): number {
    return this.#words[slot * WORDS_PER_LEASE + NOTICE] as number;
  }

  /** Others may call back what is kept of it here. */
  isSmall(slot: number): boolean {
    return this.notice(slot) === ALWAYS && this.quota(slot) > 0;
  }

  /** What the slot is in the middle of. */
  flags(slot: number): number {
    return this.#words[slot * WORDS_PER_LEASE + FLAGS] as number;
  }

  setFlags(slot: number, flags: number): void {
    const at = slot * WORDS_PER_LEASE;
    this.#words[at + FLAGS] = flags;
    this.#noteNext(at);
  }

  /** Takes of what is asked for have nothing more to do; of what will be, only when it is urgent. */
  #noteNext(at: number): void {
    if (this.#words[at + NOTICE] === ALWAYS) return;
    const flags = this.#words[at + FLAGS] as number;
    const later = (flags & QUEUED) !== 0 ? (this.#words[at + URGENT] as number) : lookLevel(this.#words[at + QUOTA] as number);
    this.#words[at + NOTICE] = (flags & ASKING) !== 0 ? 0 : later;
  }

  /** Number of the mode in which it was decided last. */
  mode(slot: number): number {
    return this.#words[slot * WORDS_PER_LEASE + MODE] as number;
  }

  setMode(slot: number, mode: number): void {
    this.#words[slot * WORDS_PER_LEASE + MODE] = mode;
  }
}
