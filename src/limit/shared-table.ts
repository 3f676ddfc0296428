import type { BucketView, Charge, Limiter, LimiterStats, LimitName, LimitOutcome, Take } from '../core/limit.ts';
import type { LimitSpec } from '../core/principal.ts';
import {
  BYTES_PER_SLOT,
  bucketMemory,
  closeBucket,
  giveTokensBack,
  idleMs,
  isInUse,
  openBucket,
  reshapeBucket,
  takeTokens,
  untilFullMs,
  wholeBurst,
} from './bucket.ts';
import type { BucketMemory } from './bucket.ts';

export interface TableOptions {
  /** Most keys held at once; 32 bytes of shared memory each, resident only once touched. */
  readonly capacity: number;
  /** A full bucket is forgotten after this long without a take. */
  readonly idleTtlMs: number;
  /**
   * Monotonic: since when nothing was admitted, if another table was in use before this one. An unknown key then has what
   * it can have earned since. Null: full.
   */
  readonly emptySinceMs?: number | null;
}

/** Slots looked at to find the one to evict when the table is full: bounds the cost of an unknown key. */
const EVICTION_SCAN = 64;
/** A sweep looks at this many slots, or an eighth of those ever used, whichever is more. */
const SWEEP_SLOTS = 8_192;

/**
 * The buckets of one worker: state in shared memory (layout in `bucket.ts`), keys in a bounded map on the event loop.
 *
 * When every slot is taken an unknown key evicts a full bucket, which loses nothing. If none of the slots looked at is
 * full, the one nearest to it is evicted, and every key that is unknown before that bucket would have been full starts
 * *empty* instead of full. So rotating keys can only ever cost tokens: each key is admitted at most burst + rate × T in
 * any window, whatever is evicted. The price is paid by newcomers of an overfull table, who wait 1 / rate once.
 */
export class SharedTable implements Limiter {
  readonly buffer: SharedArrayBuffer;
  readonly #memory: BucketMemory;
  readonly #capacity: number;
  readonly #idleTtlMs: number;
  readonly #emptySinceMs: number | null;
  /** Reused for every charge but the first. */
  readonly #next: LimitOutcome = {
    isAllowed: false,
    decidedBy: 'principal',
    limit: 0,
    remaining: 0,
    resetSecs: 0,
    retryAfterSecs: 0,
    mode: 'remote',
  };
  readonly #slots = new Map<string, number>();
  #keys: string[] = [];
  #specs: LimitSpec[] = [];
  #limits: LimitName[] = [];
  /** Refusals since the bucket was opened. */
  #refused: number[] = [];
  #free: number[] = [];
  /** Slots ever used since the table was last empty. */
  #used = 0;
  #evictionHand = 0;
  #sweepHand = 0;
  /** Monotonic; before it an unknown key may be an evicted one with a debt. */
  #startEmptyUntilMs = Number.NEGATIVE_INFINITY;

  constructor(options: TableOptions) {
    if (!Number.isInteger(options.capacity) || options.capacity < 1) throw new RangeError('capacity must be a positive integer');
    this.#capacity = options.capacity;
    this.#idleTtlMs = options.idleTtlMs;
    this.#emptySinceMs = options.emptySinceMs ?? null;
    this.buffer = new SharedArrayBuffer(options.capacity * BYTES_PER_SLOT);
    this.#memory = bucketMemory(this.buffer);
  }

  get size(): number {
    return this.#slots.size;
  }

  /** A worker that is alone asks nobody: its take is short as it is. */
  takePlain(): boolean {
    return false;
  }

  /** Exact, and never `unknown`: this table is all there is. */
  take(charges: readonly Charge[], nowMs: number, out: LimitOutcome): Take {
    if (!this.#takeOne(charges[0] as Charge, nowMs, out)) return 'refused';
    for (let i = 1; i < charges.length; i++) {
      const isTaken = this.#takeOne(charges[i] as Charge, nowMs, this.#next);
      if (!isTaken || this.#next.remaining * out.limit < out.remaining * this.#next.limit) Object.assign(out, this.#next);
      if (isTaken) continue;
      this.giveBack(charges.slice(0, i), nowMs, nowMs);
      return 'refused';
    }
    return 'taken';
  }

  /** Nothing is ever unknown here. */
  whenKnown(_charges: readonly Charge[], again: () => void): void {
    queueMicrotask(again);
  }

  /** Nothing for a key that was evicted meanwhile: its bucket starts anew. */
  giveBack(charges: readonly Charge[], nowMs: number, takenMs: number): void {
    for (const { key, spec, tokens } of charges) {
      const slot = this.#slots.get(key);
      if (slot === undefined) continue;
      if (this.#specs[slot] !== spec) this.#reshape(slot, spec, nowMs);
      giveTokensBack(this.#memory, slot, tokens, nowMs, takenMs);
    }
  }

  stats(): LimiterStats {
    return { mode: 'remote', asks: 0, waits: 0, timeouts: 0, waiting: 0 };
  }

  view(nowMs: number, max: number): readonly BucketView[] {
    const slots = [...this.#slots.values()].sort((a, b) => (this.#refused[b] as number) - (this.#refused[a] as number));
    return slots.slice(0, max).map((slot) => this.#viewOf(slot, nowMs));
  }

  close(): void {}

  sweep(nowMs: number): void {
    let visits = Math.min(this.#used, Math.max(SWEEP_SLOTS, Math.ceil(this.#used / 8)));
    for (; visits > 0; visits--) {
      if (this.#sweepHand >= this.#used) this.#sweepHand = 0;
      const slot = this.#sweepHand++;
      if (!isInUse(this.#memory, slot) || idleMs(this.#memory, slot, nowMs) < this.#idleTtlMs) continue;
      if (untilFullMs(this.#memory, slot, nowMs) <= 0) this.#free.push(this.#evict(slot));
    }
    if (this.#slots.size === 0) this.#forgetAll();
  }

  #takeOne(charge: Charge, nowMs: number, out: LimitOutcome): boolean {
    let slot = this.#slots.get(charge.key);
    if (slot === undefined) slot = this.#open(charge, nowMs);
    else if (this.#specs[slot] !== charge.spec) this.#reshape(slot, charge.spec, nowMs);
    out.decidedBy = charge.limit;
    out.mode = 'remote';
    const isTaken = takeTokens(this.#memory, slot, charge.tokens, nowMs, out);
    if (!isTaken) this.#refused[slot] = (this.#refused[slot] as number) + 1;
    return isTaken;
  }

  #open({ key, limit, spec }: Charge, nowMs: number): number {
    const slot = this.#vacantSlot(nowMs);
    const isUnknown = nowMs >= this.#startEmptyUntilMs;
    // Filling since a moment in the past is what a bucket can have earned since then.
    if (isUnknown && this.#emptySinceMs !== null) openBucket(this.#memory, slot, spec, false, this.#emptySinceMs);
    else openBucket(this.#memory, slot, spec, isUnknown, nowMs);
    this.#slots.set(key, slot);
    this.#keys[slot] = key;
    this.#specs[slot] = spec;
    this.#limits[slot] = limit;
    this.#refused[slot] = 0;
    return slot;
  }

  #viewOf(slot: number, nowMs: number): BucketView {
    const spec = this.#specs[slot] as LimitSpec;
    const burst = wholeBurst(spec);
    const missing = (Math.max(0, untilFullMs(this.#memory, slot, nowMs)) * spec.perSecond) / 1000;
    const remaining = Math.max(0, Math.floor(burst - missing + 1e-6));
    return {
      key: this.#keys[slot] as string,
      limit: this.#limits[slot] as LimitName,
      perSecond: spec.perSecond,
      burst,
      leased: remaining,
      remaining,
      refused: this.#refused[slot] as number,
      deniedForMs: remaining > 0 ? 0 : Math.max(0, Math.ceil(((missing - burst + 1) / spec.perSecond) * 1000)),
      mode: 'remote',
    };
  }

  #vacantSlot(nowMs: number): number {
    const slot = this.#free.pop();
    if (slot !== undefined) return slot;
    return this.#used < this.#capacity ? this.#used++ : this.#evictNearestToFull(nowMs);
  }

  /** Only called when every slot is in use. */
  #evictNearestToFull(nowMs: number): number {
    let best = this.#evictionHand;
    let bestMs = Number.POSITIVE_INFINITY;
    for (let visits = Math.min(EVICTION_SCAN, this.#capacity); visits > 0 && bestMs > 0; visits--) {
      const slot = this.#evictionHand;
      this.#evictionHand = (slot + 1) % this.#capacity;
      const waitMs = untilFullMs(this.#memory, slot, nowMs);
      if (waitMs >= bestMs) continue;
      best = slot;
      bestMs = waitMs;
    }
    if (bestMs > 0) this.#startEmptyUntilMs = Math.max(this.#startEmptyUntilMs, nowMs + bestMs);
    return this.#evict(best);
  }

  #evict(slot: number): number {
    this.#slots.delete(this.#keys[slot] as string);
    this.#keys[slot] = '';
    closeBucket(this.#memory, slot);
    return slot;
  }

  #reshape(slot: number, spec: LimitSpec, nowMs: number): void {
    const old = this.#specs[slot] as LimitSpec;
    this.#specs[slot] = spec;
    if (old.perSecond !== spec.perSecond || old.burst !== spec.burst) reshapeBucket(this.#memory, slot, spec, nowMs);
  }

  /** Lets the arrays shrink again; the shared memory stays, bounded by the capacity. */
  #forgetAll(): void {
    this.#keys = [];
    this.#specs = [];
    this.#limits = [];
    this.#refused = [];
    this.#free = [];
    this.#used = 0;
  }
}
