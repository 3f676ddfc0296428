import type { UpstreamSettings } from '../core/config.ts';
import type { Upstream, UpstreamState } from '../core/upstream.ts';
import { longestCallMs } from './deadlines.ts';
import type { UpstreamDeps } from './deps.ts';
import { EraUpstream } from './era-upstream.ts';
import { type PooledDeps, seatHoldersOf } from './pool-deps.ts';
import { PoolModern } from './pool-modern.ts';
import { PooledUpstream } from './pooled.ts';

/** Beyond the last deadline of a request, until a worker that does not answer is given up. */
const STUCK_MS = 5000;

/** A child of a stdio server, for metrics. */
export interface ChildFigures {
  readonly server: string;
  readonly child: number;
  readonly state: UpstreamState;
  readonly inFlight: number;
  readonly calls: number;
  /** Of its process group; null before the first look. */
  readonly residentBytes: number | null;
}

/** A pool, and the whole of which it is a part: a server in both eras. */
interface BuiltPool {
  readonly pool: PooledUpstream;
  readonly upstream: Upstream;
}

/** Null for a server without a pool. */
export function buildPool(settings: UpstreamSettings, deps: Omit<PooledDeps, 'seatHolders'>): BuiltPool | null {
  const { stdio } = settings;
  const pool = stdio?.pool ?? null;
  if (stdio === null || pool === null) return null;
  const seatHolders = seatHoldersOf(deps.index, pool.max, deps.workers);
  const build = (own: UpstreamDeps): PooledUpstream => new PooledUpstream(settings, stdio, pool, { ...deps, ...own, seatHolders });
  return inBothEras(settings, deps, build);
}

function inBothEras(
  settings: UpstreamSettings,
  deps: Omit<PooledDeps, 'seatHolders'>,
  build: (own: UpstreamDeps) => PooledUpstream,
): BuiltPool {
  const pools: PooledUpstream[] = [];
  const made = (): PooledUpstream => pools[0] as PooledUpstream;
  const upstream = new EraUpstream(deps, {
    first: 'legacy',
    isBridged: settings.isBridged,
    isWatched: false,
    // Who has to go to one child waits for it like all others.
    longestMs: longestCallMs(settings) + (settings.stdio?.pool?.queueMs ?? 0) + STUCK_MS,
    legacy: (own) => {
      pools.push(build(own));
      return made();
    },
    modern: (host) => new PoolModern(made(), deps.clock, host),
  });
  deps.desk?.register(made());
  return { pool: made(), upstream };
}

/** The children of a server in this worker. */
export function childrenOf({ name, children }: PooledUpstream): ChildFigures[] {
  return children.map(({ number, upstream, inFlight, calls, residentBytes }) => ({
    server: name,
    child: number,
    state: upstream.state,
    inFlight,
    calls,
    residentBytes,
  }));
}

/** Where a child works on so many calls at a time, all children together make the places; who finds none waits as the pool says. */
export function gateSettings(settings: UpstreamSettings): UpstreamSettings {
  const pool = settings.stdio?.pool ?? null;
  if (pool === null || pool.isolation !== 'shared' || pool.childCalls === 0) return settings;
  const places = pool.max * pool.childCalls;
  const maxConcurrency = settings.maxConcurrency === 0 ? places : Math.min(settings.maxConcurrency, places);
  return { ...settings, maxConcurrency, queueMs: Math.max(settings.queueMs, pool.queueMs) };
}

/** Children of one principal may list what is nobody else's business. */
export function areListsShared({ stdio }: UpstreamSettings): boolean {
  return (stdio?.pool ?? null)?.isolation !== 'principal';
}
