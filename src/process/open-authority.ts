import { systemClock } from '../core/clock.ts';
import type { ConfigSnapshot } from '../core/config.ts';
import type { AuthorityStatus } from '../core/fleet.ts';
import type { LimitAuthority } from '../core/limit.ts';
import type { Log } from '../core/log.ts';
import { authorityCapacity } from '../limit/capacity.ts';
import { MemoryAuthority } from '../limit/memory-authority.ts';

/** The authority with what it needs to live. */
export interface OpenAuthority {
  readonly authority: LimitAuthority;
  status(): AuthorityStatus;
  close(): Promise<void>;
}

/** What decides for all workers of this host. */
export function openAuthority(config: ConfigSnapshot, _log: Log): OpenAuthority {
  const holders = Math.max(config.server.workers, 1);
  const { maxIdentities, idleTtlMs } = config.rateLimit;
  const capacity = authorityCapacity(maxIdentities, holders);
  const authority = new MemoryAuthority({ holders, capacity, idleTtlMs, clock: systemClock });
  return {
    authority,
    status: () => ({ kind: 'primary', mode: 'remote', size: authority.size, ...authority.stats }),
    close: () => authority.close(),
  };
}
