import type { RateLimitSettings } from '../core/config.ts';
import type { InFlightLimiter, Limiter } from '../core/limit.ts';
import { InFlightLimit } from './inflight.ts';
import { SharedTable } from './shared-table.ts';
import type { TableOptions } from './shared-table.ts';
import { unlimited, unlimitedInFlight } from './unlimited.ts';

/** 131,072 keys are 4 MB of shared memory at most; a bucket at the default rate is full again within half a second. */
const DEFAULTS: TableOptions = { capacity: 131_072, idleTtlMs: 10_000 };

/** The per-principal limiter of a worker. The bound holds per worker: N workers admit up to N times the limit. */
export function buildLimiter(settings: RateLimitSettings, options: Partial<TableOptions> = {}): Limiter {
  return settings.isEnabled ? new SharedTable({ ...DEFAULTS, ...options }) : unlimited;
}

/** Requests in progress per principal. With limits off there is none: what an upstream takes at once bounds them then. */
export function buildInFlightLimit(settings: RateLimitSettings): InFlightLimiter {
  return settings.isEnabled ? new InFlightLimit(settings.maxInFlight) : unlimitedInFlight;
}
