import type { LimitSpec } from '../core/principal.ts';
import { wholeBurst } from './bucket.ts';
import { MAX_LEVEL } from './lease-memory.ts';

/** Of a burst, what all holders together may keep of a key that is in use: it bounds what idle ones can strand. */
const LEASE_FRACTION = 0.1;

/** Of the burst of a small limit, what all holders together may keep: the rest is there for whoever asks. */
const SMALL_LEASE_FRACTION = 0.5;
/** What a lease of a small limit is worth at most in time: so soon it is earned again if its holder dies. */
const SMALL_LEASE_SECS = 0.05;

/** Of a lease, what is left when more is asked for with the next batch, however slowly it is spent. */
const AHEAD = 0.6;
/** Of a lease, what is left when the next batch looks whether it lasts for another turn: a lease that it leaves out may need a batch of its own in between. */
const LOOK = 0.9;
/** Of a lease, what is left for the time that an answer takes: never more, whatever the rate, and never less, because a burst is spent at any rate. */
const MOST_URGENT = 1 / 4;
const LEAST_URGENT = 1 / 8;
/** Within so long an ask that is sent at once is answered, on a machine that is busy. */
const ANSWER_SECS = 0.008;

/** Whole tokens that each of `holders` keeps of a limit; 0: too small for leases, each decision is asked for. */
export function leaseSize(spec: LimitSpec, holders: number): number {
  return Math.min(MAX_LEVEL >> 1, Math.floor((wholeBurst(spec) * LEASE_FRACTION) / holders));
}

/**
 * Whole tokens that each of `holders` keeps of a limit that is too small for leases, if they are called back whenever somebody lacks
 * them; 0: it is slow as well, and asked for each time.
 */
export function smallLeaseSize(spec: LimitSpec, holders: number): number {
  if (leaseSize(spec, holders) > 0) return 0;
  return Math.floor(Math.min((wholeBurst(spec) * SMALL_LEASE_FRACTION) / holders, spec.perSecond * SMALL_LEASE_SECS));
}

/** Tokens of a lease below which more is asked for with the next batch. */
export function aheadLevel(lease: number): number {
  return Math.ceil(lease * AHEAD);
}

/** Tokens of a lease below which the next batch asks for more if it is spent so fast that it would run low before another one. */
export function lookLevel(lease: number): number {
  return Math.ceil(lease * LOOK);
}

/**
 * Tokens of a lease below which it may be used up before an ask is answered that waits for the next batch: what the limit lets all workers
 * together spend meanwhile.
 */
export function urgentLevel(spec: LimitSpec, lease: number): number {
  return Math.ceil(Math.min(lease * MOST_URGENT, Math.max(lease * LEAST_URGENT, spec.perSecond * ANSWER_SECS)));
}
