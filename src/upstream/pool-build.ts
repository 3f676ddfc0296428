import type { UpstreamSettings } from '../core/config.ts';
import type { UpstreamState } from '../core/upstream.ts';
import { type PooledDeps, seatHoldersOf } from './pool-deps.ts';
import { PooledUpstream } from './pooled.ts';

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

/** Null for a server without a pool. */
export function buildPool(settings: UpstreamSettings, deps: Omit<PooledDeps, 'seatHolders'>): PooledUpstream | null {
  const { stdio } = settings;
  const pool = stdio?.pool ?? null;
  if (stdio === null || pool === null) return null;
  const seatHolders = seatHoldersOf(deps.index, pool.max, deps.workers);
  const upstream = new PooledUpstream(settings, stdio, pool, { ...deps, seatHolders });
  deps.desk?.register(upstream);
  return upstream;
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
