import { createHash } from 'node:crypto';
import type { LimitName } from '../core/limit.ts';
import type { FailMode } from '../core/principal.ts';
import { type LeaseBatch, type LeaseReturn, MAX_BATCH_ENTRIES, type SlotAsk } from '../limit/lease-port.ts';

/**
 * Batches on their way from a worker to the primary, little endian: a head, the returns, the asks. Fixed layouts, because
 * both ends read and write thousands a second.
 *
 * | part   | bytes                                                                                                              |
 * |--------|--------------------------------------------------------------------------------------------------------------------|
 * | head   | stamp f64, sent f64, is reset u8, returns u16, asks u16                                                            |
 * | return | tokens u32, have u32, recall u32, key                                                                              |
 * | ask    | slot u32, generation u16, limit u8, fail mode u8, rate f64, burst f64, want, at least, have, ahead u32, key        |
 * | key    | length u16, UTF-8                                                                                                  |
 */
const HEAD_BYTES = 21;
const RETURN_BYTES = 12;
const ASK_BYTES = 40;
const KEY_HEAD_BYTES = 2;
/** A longer key travels as its digest: the same bucket in every worker, and nobody else's. */
const MAX_KEY_BYTES = 512;
const MAX_TOKENS = 2 ** 30;

const LIMITS: readonly LimitName[] = ['address', 'principal', 'tool', 'method', 'in_flight', 'upstream'];
const FAIL_MODES: readonly FailMode[] = ['local', 'closed', 'open'];

/** Room for every batch that a limiter may send. */
const SCRATCH_BYTES = HEAD_BYTES + MAX_BATCH_ENTRIES * (ASK_BYTES + KEY_HEAD_BYTES + MAX_KEY_BYTES);
/** Pages of it are resident only once they are written to. */
let scratch: Buffer | null = null;

/** A copy of the batch in bytes, with `before` bytes left free in front. */
export function writeBatch(batch: LeaseBatch, before: number): Uint8Array<ArrayBuffer> {
  if (batch.returns.length + batch.asks.length > MAX_BATCH_ENTRIES) throw new RangeError('a batch has too many entries');
  scratch ??= Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  const bytes = scratch;
  bytes.writeDoubleLE(batch.stamp, 0);
  bytes.writeDoubleLE(batch.sentMs, 8);
  bytes[16] = batch.isReset ? 1 : 0;
  bytes.writeUInt16LE(batch.returns.length, 17);
  bytes.writeUInt16LE(batch.asks.length, 19);
  let at = HEAD_BYTES;
  for (const entry of batch.returns) at = writeReturn(bytes, at, entry);
  for (const ask of batch.asks) at = writeAsk(bytes, at, ask);
  const copy = new Uint8Array(before + at);
  copy.set(bytes.subarray(0, at), before);
  return copy;
}

function writeReturn(bytes: Buffer, at: number, entry: LeaseReturn): number {
  bytes.writeUInt32LE(entry.tokens, at);
  bytes.writeUInt32LE(entry.have, at + 4);
  bytes.writeUInt32LE(entry.recall, at + 8);
  return writeKey(bytes, at + RETURN_BYTES, entry.key);
}

function writeAsk(bytes: Buffer, at: number, ask: SlotAsk): number {
  bytes.writeUInt32LE(ask.slot, at);
  bytes.writeUInt16LE(ask.generation, at + 4);
  bytes[at + 6] = LIMITS.indexOf(ask.limit);
  bytes[at + 7] = FAIL_MODES.indexOf(ask.spec.failMode);
  bytes.writeDoubleLE(ask.spec.perSecond, at + 8);
  bytes.writeDoubleLE(ask.spec.burst, at + 16);
  bytes.writeUInt32LE(ask.want, at + 24);
  bytes.writeUInt32LE(ask.atLeast, at + 28);
  bytes.writeUInt32LE(ask.have, at + 32);
  bytes.writeUInt32LE(ask.ahead, at + 36);
  return writeKey(bytes, at + ASK_BYTES, ask.key);
}

function writeKey(bytes: Buffer, at: number, key: string): number {
  const isShort = key.length <= MAX_KEY_BYTES / 3 || Buffer.byteLength(key) <= MAX_KEY_BYTES;
  const text = isShort ? key : `sha256:${createHash('sha256').update(key).digest('base64')}`;
  const length = bytes.write(text, at + KEY_HEAD_BYTES);
  bytes.writeUInt16LE(length, at);
  return at + KEY_HEAD_BYTES + length;
}

/** Null when any of it is not ours. */
export function readBatch(frame: Uint8Array): LeaseBatch | null {
  const cursor = new Cursor(frame);
  if (cursor.left < HEAD_BYTES) return null;
  const stamp = cursor.float();
  const sentMs = cursor.float();
  const reset = cursor.byte();
  const returnCount = cursor.short();
  const askCount = cursor.short();
  if (!isTime(stamp) || !isTime(sentMs) || reset > 1 || returnCount + askCount > MAX_BATCH_ENTRIES) return null;
  const returns = readAll(returnCount, () => readReturn(cursor));
  const asks = returns === null ? null : readAll(askCount, () => readAsk(cursor));
  if (returns === null || asks === null || cursor.left > 0) return null;
  return { stamp, sentMs, isReset: reset === 1, returns, asks };
}

function readAll<Entry>(count: number, read: () => Entry | null): Entry[] | null {
  const entries: Entry[] = [];
  while (entries.length < count) {
    const entry = read();
    if (entry === null) return null;
    entries.push(entry);
  }
  return entries;
}

function readReturn(cursor: Cursor): LeaseReturn | null {
  if (cursor.left < RETURN_BYTES) return null;
  const tokens = cursor.long();
  const have = cursor.long();
  const recall = cursor.long();
  const key = cursor.key();
  return key === null || tokens > MAX_TOKENS || have > MAX_TOKENS ? null : { key, tokens, have, recall };
}

function readAsk(cursor: Cursor): SlotAsk | null {
  if (cursor.left < ASK_BYTES) return null;
  const slot = cursor.long();
  const generation = cursor.short();
  const limit = LIMITS[cursor.byte()];
  const failMode = FAIL_MODES[cursor.byte()];
  const perSecond = cursor.float();
  const burst = cursor.float();
  const want = cursor.long();
  const atLeast = cursor.long();
  const have = cursor.long();
  const ahead = cursor.long();
  const key = cursor.key();
  if (key === null || limit === undefined || failMode === undefined || !isPositive(perSecond) || !isPositive(burst)) return null;
  if (want < 1 || want > MAX_TOKENS || atLeast > want || have > MAX_TOKENS || ahead > want) return null;
  return { slot, generation, key, limit, spec: { perSecond, burst, failMode }, want, atLeast, have, ahead };
}

function isTime(value: number): boolean {
  return value >= 0 && value < Number.POSITIVE_INFINITY;
}

function isPositive(value: number): boolean {
  return value > 0 && value < Number.POSITIVE_INFINITY;
}

/** Reads one value after the other; the caller has looked at `left`. */
class Cursor {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(frame: Uint8Array) {
    this.#bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.length);
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  byte(): number {
    return this.#bytes.readUInt8(this.#step(1));
  }

  short(): number {
    return this.#bytes.readUInt16LE(this.#step(2));
  }

  long(): number {
    return this.#bytes.readUInt32LE(this.#step(4));
  }

  float(): number {
    return this.#bytes.readDoubleLE(this.#step(8));
  }

  /** Checks for itself; null when it is cut off or too long. */
  key(): string | null {
    if (this.left < KEY_HEAD_BYTES) return null;
    const length = this.short();
    if (length > MAX_KEY_BYTES || length > this.left) return null;
    const from = this.#step(length);
    return this.#bytes.toString('utf8', from, from + length);
  }

  #step(bytes: number): number {
    const at = this.#at;
    this.#at += bytes;
    return at;
  }
}
