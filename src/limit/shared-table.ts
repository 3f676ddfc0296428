import type { LimitOutcome, Limiter } from '../core/limit.ts';
import type { LimitSpec } from '../core/principal.ts';
import {
  BYTES_PER_SLOT,
  bucketMemory,
  closeBucket,
  giveTokenBack,
  idleMs,
  isInUse,
  openBucket,
  reshapeBucket,
  takeToken,
  untilFullMs,
} from './bucket.ts';
import type { BucketMemory } from './bucket.ts';

export interface TableOptions {
  /** Most keys held at once; 32 bytes of shared memory each, resident only once touched. */
  readonly capacity: number;
  /** A full bucket is forgotten after this long without a take. */
  readonly idleTtlMs: number;
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
  readonly #slots = new Map<string, number>();
  #keys: string[] = [];
  #specs: LimitSpec[] = [];
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
    this.buffer = new SharedArrayBuffer(options.capacity * BYTES_PER_SLOT);
    this.#memory = bucketMemory(this.buffer);
  }

  get size(): number {
    return this.#slots.size;
  }

  take(key: string, spec: LimitSpec, nowMs: number, out: LimitOutcome): void {
    let slot = this.#slots.get(key);
    if (slot === undefined) slot = this.#open(key, spec, nowMs);
    else if (this.#specs[slot] !== spec) this.#reshape(slot, spec, nowMs);
    takeToken(this.#memory, slot, nowMs, out);
  }

  /** Nothing for a key that was evicted meanwhile: its bucket starts anew. */
  giveBack(key: string, spec: LimitSpec, nowMs: number): void {
    const slot = this.#slots.get(key);
    if (slot === undefined) return;
    if (this.#specs[slot] !== spec) this.#reshape(slot, spec, nowMs);
    giveTokenBack(this.#memory, slot, nowMs);
  }

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

  #open(key: string, spec: LimitSpec, nowMs: number): number {
    const slot = this.#vacantSlot(nowMs);
    openBucket(this.#memory, slot, spec, nowMs >= this.#startEmptyUntilMs, nowMs);
    this.#slots.set(key, slot);
    this.#keys[slot] = key;
    this.#specs[slot] = spec;
    return slot;
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
    this.#free = [];
    this.#used = 0;
  }
}
