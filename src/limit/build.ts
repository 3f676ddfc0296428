import type { Clock } from '../core/clock.ts';
import type { RateLimitSettings } from '../core/config.ts';
import type { Limiter } from '../core/limit.ts';
import { workerCapacity } from './capacity.ts';
import type { LeasePort } from './lease-port.ts';
import { LeasedLimiter } from './leased-limiter.ts';
import { LocalShare } from './local-share.ts';
import { SharedTable } from './shared-table.ts';
import { unlimited } from './unlimited.ts';

export interface LimiterDeps {
  readonly clock: Clock;
  /** Event loops of this gateway, ≥ 1. */
  readonly workers: number;
  /** Gateways that share their limits, ≥ 1. */
  readonly hosts: number;
  /** Null: this event loop is the only one there is, and nobody is asked. */
  readonly port: LeasePort | null;
  /** What holders keep of small limits is called back when others lack it: not where a store decides. */
  readonly hasRecalls?: boolean;
  /** Monotonic: when the worker died whose place this one takes; null for the first. */
  readonly replacesSinceMs?: number | null;
}

/** The limiter of a worker. */
export function buildLimiter(settings: RateLimitSettings, deps: LimiterDeps): Limiter {
  const { clock, workers, hosts, port, replacesSinceMs = null, hasRecalls = false } = deps;
  if (!settings.isEnabled) return unlimited;
  const { maxIdentities, idleTtlMs } = settings;
  if (port === null) return new SharedTable({ capacity: maxIdentities, idleTtlMs, emptySinceMs: replacesSinceMs });
  const capacity = workerCapacity(maxIdentities, workers);
  return new LeasedLimiter({ capacity, idleTtlMs, workers, share: new LocalShare(workers * hosts), port, clock, hasRecalls });
}
