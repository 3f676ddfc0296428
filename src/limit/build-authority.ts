import { randomBytes } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import type { ConfigSnapshot, RedisSettings } from '../core/config.ts';
import type { AuthorityStatus } from '../core/fleet.ts';
import type { LimitAuthority } from '../core/limit.ts';
import type { Store } from '../core/store.ts';
import { authorityCapacity } from './capacity.ts';
import { MemoryAuthority } from './memory-authority.ts';
import { RedisAuthority } from './redis-authority.ts';

export interface AuthorityDeps {
  readonly clock: Clock;
  /** Opens the store that hosts share; called once, and only if one is configured. */
  readonly connect: (settings: RedisSettings) => Store;
}

/** The authority of a host's workers with what it lives on. */
export interface BuiltAuthority {
  readonly authority: LimitAuthority;
  status(): AuthorityStatus;
  /** Gives back what can be given back, and closes the store. */
  close(): Promise<void>;
}

/** Who decides for all workers of this host: itself, or with the others by the store. */
export function buildAuthority(config: ConfigSnapshot, deps: AuthorityDeps): BuiltAuthority {
  const workers = Math.max(1, config.server.workers);
  const capacity = authorityCapacity(config.rateLimit.maxIdentities, workers);
  if (config.redis !== null) return buildShared(config.redis, workers, capacity, deps);
  const authority = new MemoryAuthority({ holders: workers, capacity, idleTtlMs: config.rateLimit.idleTtlMs, clock: deps.clock });
  return {
    authority,
    status: () => ({ kind: 'primary', mode: 'remote', size: authority.size, ...authority.stats }),
    close: () => authority.close(),
  };
}

function buildShared(settings: RedisSettings, workers: number, maxKeys: number, deps: AuthorityDeps): BuiltAuthority {
  const store = deps.connect(settings);
  const { prefix, maxHosts } = settings;
  const holder = randomBytes(9).toString('base64url');
  const authority = new RedisAuthority({ store, clock: deps.clock, prefix, holder, workers, maxHosts, maxKeys });
  return {
    authority,
    status: () => authority.stats(),
    close: async () => {
      await authority.close();
      await store.close();
    },
  };
}
