import type { RateLimitSettings } from '../core/config.ts';
import type { Limiter } from '../core/limit.ts';
import { SharedTable } from './shared-table.ts';
import type { TableOptions } from './shared-table.ts';
import { unlimited } from './unlimited.ts';

/** 131,072 keys are 4 MB of shared memory at most; a bucket at the default rate is full again within half a second. */
const DEFAULTS: TableOptions = { capacity: 131_072, idleTtlMs: 10_000 };

/** The per-principal limiter of a worker. The bound holds per worker: N workers admit up to N times the limit. */
export function buildLimiter(settings: RateLimitSettings, options: Partial<TableOptions> = {}): Limiter {
  return settings.isEnabled ? new SharedTable({ ...DEFAULTS, ...options }) : unlimited;
}
