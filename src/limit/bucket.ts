import type { LimitOutcome } from '../core/limit.ts';
import type { LimitSpec } from '../core/principal.ts';

/**
 * Buckets in shared memory. A slot is 32 bytes:
 *
 * | bytes | type    | word       | written by                                                                          |
 * |-------|---------|------------|-------------------------------------------------------------------------------------|
 * | 0–3   | int32   | level      | any thread, only by Atomics read-modify-write: units that may be taken now          |
 * | 4–7   | int32   | capacity   | event loop: the burst in units, ≤ 2^30                                              |
 * | 8–11  | int32   | shift      | event loop: one token is `1 << shift` units                                         |
 * | 12–15 | int32   | generation | event loop: odd while the slot is in use; changes with each owner                   |
 * | 16–23 | float64 | filledAt   | event loop only: monotonic ms up to which refill has been credited                  |
 * | 24–31 | float64 | rate       | event loop only: units per ms                                                       |
 *
 * Levels are integers, so no admission depends on rounding; what an elapsed time is worth beyond whole units stays in
 * `filledAt`. Time is a 64-bit float: nothing wraps around, however long a bucket idles.
 */
export interface BucketMemory {
  readonly ints: Int32Array;
  readonly floats: Float64Array;
}

export const BYTES_PER_SLOT: number = 32;

const MAX_UNITS = 2 ** 30;
const MAX_SHIFT = 20;
/** Units by which a refill may be early, so that who waits exactly `retryAfterSecs` is not refused by a rounding error. */
const EARLY_UNITS = 2 ** -8;
/** Seconds by which a wait may be rounded down, for the same reason. */
const EARLY_SECS = 1e-9;
/** Moves `filledAt` up by an ulp, so that rounding never credits a moment twice. */
const NEXT_UP = 1 + Number.EPSILON;

/** Views on a buffer of whole slots. */
export function bucketMemory(buffer: SharedArrayBuffer): BucketMemory {
  return { ints: new Int32Array(buffer), floats: new Float64Array(buffer) };
}

/** Whole tokens that fit: at least one, at most 2^30. Throws RangeError for a spec that no configuration can produce. */
export function wholeBurst(spec: LimitSpec): number {
  if (!(spec.perSecond > 0 && spec.perSecond <= 1e9 && spec.burst > 0)) throw new RangeError('rate and burst must be positive numbers');
  return Math.min(MAX_UNITS, Math.max(1, Math.floor(spec.burst)));
}

function configure(memory: BucketMemory, slot: number, spec: LimitSpec): void {
  const burst = wholeBurst(spec);
  const shift = Math.min(MAX_SHIFT, Math.floor(Math.log2(MAX_UNITS / burst)));
  const word = slot * 8;
  memory.ints[word + 1] = burst * 2 ** shift;
  memory.ints[word + 2] = shift;
  memory.floats[slot * 4 + 3] = (spec.perSecond * 2 ** shift) / 1000;
}

/** Takes a free slot into use. Empty: it fills from `nowMs` on, which may lie in the past. */
export function openBucket(memory: BucketMemory, slot: number, spec: LimitSpec, isFull: boolean, nowMs: number): void {
  configure(memory, slot, spec);
  memory.floats[slot * 4 + 2] = nowMs;
  Atomics.store(memory.ints, slot * 8, isFull ? (memory.ints[slot * 8 + 1] as number) : 0);
  Atomics.add(memory.ints, slot * 8 + 3, 1);
}

/** Gives a slot back. */
export function closeBucket(memory: BucketMemory, slot: number): void {
  Atomics.add(memory.ints, slot * 8 + 3, 1);
  Atomics.store(memory.ints, slot * 8, 0);
}

export function isInUse(memory: BucketMemory, slot: number): boolean {
  return ((memory.ints[slot * 8 + 3] as number) & 1) === 1;
}

/** Applies a changed limit: the tokens held are kept, up to the new burst; nothing is given for the change. */
export function reshapeBucket(memory: BucketMemory, slot: number, spec: LimitSpec, nowMs: number): void {
  const word = slot * 8;
  const tokens = exchangeUnits(memory, slot, nowMs, 0, 0) / 2 ** (memory.ints[word + 2] as number);
  configure(memory, slot, spec);
  const level = Math.floor(tokens * 2 ** (memory.ints[word + 2] as number));
  Atomics.store(memory.ints, word, Math.min(level, memory.ints[word + 1] as number));
}

/**
 * Credits the time passed, then adds `change` units unless that would leave less than none; never above the capacity
 * less what is reserved. Returns the level in between. One read-modify-write, because other threads may grant and
 * reclaim meanwhile.
 */
export function exchangeUnits(memory: BucketMemory, slot: number, nowMs: number, change: number, reserved: number): number {
  const { ints, floats } = memory;
  const word = slot * 8;
  const ceiling = Math.max(0, (ints[word + 1] as number) - reserved);
  const filledAt = floats[slot * 4 + 2] as number;
  const rate = floats[slot * 4 + 3] as number;
  // A reading older than the last one (taken before an await) earns nothing, and never a negative time.
  const gained = Math.max(0, Math.floor((nowMs - filledAt) * rate + EARLY_UNITS));
  for (;;) {
    const seen = Atomics.load(ints, word);
    const level = Math.min(ceiling, seen + gained);
    const next = level + change < 0 ? level : Math.min(ceiling, level + change);
    if (next !== seen && Atomics.compareExchange(ints, word, seen, next) !== seen) continue;
    if (level === ceiling) floats[slot * 4 + 2] = Math.max(filledAt, nowMs);
    else if (gained > 0) floats[slot * 4 + 2] = (filledAt + gained / rate) * NEXT_UP;
    return level;
  }
}

/** Whole seconds, rounded up, for headers. */
export function wholeSecs(ms: number): number {
  return ms <= 0 ? 0 : Math.ceil(ms / 1000 - EARLY_SECS);
}

/** Refills by the time passed, takes the tokens if all are there, and says so in `out`, but for `decidedBy` and `mode`. */
export function takeTokens(memory: BucketMemory, slot: number, tokens: number, nowMs: number, out: LimitOutcome): boolean {
  const { ints, floats } = memory;
  const shift = ints[slot * 8 + 2] as number;
  const units = tokens * (1 << shift);
  const level = exchangeUnits(memory, slot, nowMs, -units, 0);
  const isAllowed = level >= units;
  const left = isAllowed ? level - units : level;
  const capacity = ints[slot * 8 + 1] as number;
  const rate = floats[slot * 4 + 3] as number;
  const creditMs = nowMs - (floats[slot * 4 + 2] as number);
  out.isAllowed = isAllowed;
  out.limit = capacity >> shift;
  out.remaining = left >> shift;
  out.resetSecs = wholeSecs((capacity - left) / rate - creditMs);
  out.retryAfterSecs = isAllowed ? 0 : Math.max(1, wholeSecs((units - level) / rate - creditMs));
  return isAllowed;
}

/**
 * Puts tokens back that were taken at `takenMs`, never above the burst. What the time since then is worth is kept: the
 * bucket may have been full again, and then the tokens would have been lost, had they not been taken.
 */
export function giveTokensBack(memory: BucketMemory, slot: number, tokens: number, nowMs: number, takenMs: number): void {
  const since = Math.ceil(Math.max(0, nowMs - takenMs) * unitsPerMs(memory, slot));
  exchangeUnits(memory, slot, nowMs, Math.max(0, unitsOf(memory, slot, tokens) - since), 0);
}

/** Whole tokens of a level. */
export function tokensOf(memory: BucketMemory, slot: number, units: number): number {
  return units >> (memory.ints[slot * 8 + 2] as number);
}

/** Units of so many whole tokens. */
export function unitsOf(memory: BucketMemory, slot: number, tokens: number): number {
  return tokens * (1 << (memory.ints[slot * 8 + 2] as number));
}

/** Milliseconds until the bucket is full, ≤ 0 when it is; changes nothing. */
export function untilFullMs(memory: BucketMemory, slot: number, nowMs: number): number {
  const word = slot * 8;
  const missing = (memory.ints[word + 1] as number) - Atomics.load(memory.ints, word);
  return missing / (memory.floats[slot * 4 + 3] as number) - (nowMs - (memory.floats[slot * 4 + 2] as number));
}

/** Whole tokens of a full bucket. */
export function burstOf(memory: BucketMemory, slot: number): number {
  return tokensOf(memory, slot, memory.ints[slot * 8 + 1] as number);
}

/** Milliseconds in which an empty bucket becomes full. */
export function fillMs(memory: BucketMemory, slot: number): number {
  return (memory.ints[slot * 8 + 1] as number) / (memory.floats[slot * 4 + 3] as number);
}

/** Milliseconds since refill was last credited, which every take does (to a unit's worth of time). */
export function idleMs(memory: BucketMemory, slot: number, nowMs: number): number {
  return nowMs - (memory.floats[slot * 4 + 2] as number);
}

/** Monotonic milliseconds up to which refill has been credited. */
export function filledAtMs(memory: BucketMemory, slot: number): number {
  return memory.floats[slot * 4 + 2] as number;
}

/** Units that one millisecond is worth. */
export function unitsPerMs(memory: BucketMemory, slot: number): number {
  return memory.floats[slot * 4 + 3] as number;
}
