import type { LeaseAsk } from '../core/limit.ts';
import { LocalShare } from './local-share.ts';
import { RedisBucket } from './redis-bucket.ts';

/** Buckets looked at to find the one to forget when the table is full: bounds the cost of an unknown key. */
const EVICTION_SCAN = 64;

interface TableOptions {
  readonly prefix: string;
  readonly maxHosts: number;
  readonly maxKeys: number;
  readonly clock: { nowMs(): number };
}

/** The buckets that a host knows, at most `maxKeys`. */
export class RedisTable {
  readonly #options: TableOptions;
  readonly #shares: LocalShare;
  readonly #buckets = new Map<string, RedisBucket>();
  #forgottenMs = Number.NEGATIVE_INFINITY;

  constructor(options: TableOptions) {
    if (!Number.isInteger(options.maxKeys) || options.maxKeys < 1) throw new RangeError('the table needs room for at least one key');
    this.#options = options;
    this.#shares = new LocalShare(options.maxHosts);
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** When a bucket was last forgotten that was not idle: shares that are unknown start empty then. */
  get forgottenMs(): number {
    return this.#forgottenMs;
  }

  get(key: string): RedisBucket | null {
    return this.#buckets.get(key) ?? null;
  }

  all(): Iterable<RedisBucket> {
    return this.#buckets.values();
  }

  delete(key: string): void {
    this.#buckets.delete(key);
  }

  /** The bucket of an ask, and the one that had to be forgotten for it, which may still hold tokens. */
  open(ask: LeaseAsk, nowMs: number): { bucket: RedisBucket; evicted: RedisBucket | null } {
    const known = this.#buckets.get(ask.key);
    if (known !== undefined) return { bucket: known, evicted: null };
    const evicted = this.#buckets.size < this.#options.maxKeys ? null : this.#evict(nowMs);
    const bucket = new RedisBucket(ask, this.#options.prefix, this.#options.maxHosts, this.#shares, nowMs);
    this.#buckets.set(ask.key, bucket);
    return { bucket, evicted };
  }

  /** Of the oldest, one that loses nothing, else the one with the fewest tokens. */
  #evict(nowMs: number): RedisBucket | null {
    let best: RedisBucket | null = null;
    let visits = EVICTION_SCAN;
    for (const bucket of this.#buckets.values()) {
      if (best === null || weightOf(bucket) < weightOf(best)) best = bucket;
      if (weightOf(best) === 0 || --visits === 0) break;
    }
    if (best === null) return null;
    this.#buckets.delete(best.key);
    this.#forgottenMs = nowMs;
    return best;
  }
}

/** Tokens that are lost, or not paid for, when the bucket is forgotten. */
function weightOf(bucket: RedisBucket): number {
  return bucket.have + bucket.debt;
}
