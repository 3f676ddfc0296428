import type { LimitSpec } from '../core/principal.ts';
import { wholeBurst } from './bucket.ts';
import { MAX_LEVEL } from './lease-memory.ts';

/** Of a burst, what all holders together may keep of a key that is in use: it bounds what idle ones can strand. */
const LEASE_FRACTION = 0.1;

/** Whole tokens that each of `holders` keeps of a limit; 0: too small for leases, each decision is asked for. */
export function leaseSize(spec: LimitSpec, holders: number): number {
  return Math.min(MAX_LEVEL >> 1, Math.floor((wholeBurst(spec) * LEASE_FRACTION) / holders));
}
