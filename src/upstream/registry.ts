import type { BreakerSettings, UpstreamSettings, VirtualSettings } from '../core/config.ts';
import type { Places } from '../core/limit.ts';
import type { MeshPort } from '../core/mesh.ts';
import type { PeerPort } from '../core/peers.ts';
import type { SessionNews } from '../core/session-news.ts';
import type { ServerNews } from '../core/server-news.ts';
import type { Circuit, ListFigures, ListKind, Upstream, UpstreamEvents } from '../core/upstream.ts';
import type { Selection } from '../core/virtual.ts';
import { buildUpstream } from './build.ts';
import { CachedUpstream } from './cached.ts';
import type { UpstreamDeps } from './deps.ts';
import { GatedUpstream } from './gate.ts';
import { KeptBatches } from './kept-batches.ts';
import { areListsShared, buildPool, type ChildFigures, childrenOf, gateSettings } from './pool-build.ts';
import { NewsDesk } from './news-desk.ts';
import { PartingCounts } from './partings.ts';
import { longestCallMs } from './deadlines.ts';
import { PeerDesk } from './peer-desk.ts';
import type { PooledUpstream } from './pooled.ts';
import { RelayDesk } from './relay-desk.ts';
import { Router } from './router.ts';
import { VirtualUpstream } from './virtual.ts';

/** All upstreams of one configuration. */
export interface Registry {
  /** In configuration order. */
  readonly list: readonly Upstream[];
  readonly router: Router;
  get(name: string): Upstream | undefined;
  /** Requests that wait for a place of each. */
  queued(): readonly { readonly server: string; readonly queued: number }[];
  /** Of those whose lists are kept. */
  lists(): readonly ListFigures[];
  /** Children in this worker of the servers that have a pool. */
  children(): readonly ChildFigures[];
  /** Calls of each such server, and of each whose sessions live in one worker, that were sent to other workers, of other hosts too. */
  relayed(): readonly { readonly server: string; readonly relayed: number }[];
  /** What another worker says of a server. */
  receiveNews(news: ServerNews): void;
  /** Resources that clients subscribed to, and whose changes are not told between workers, of each server that is told of so. */
  unheard(): readonly { readonly server: string; readonly unheard: number }[];
  /** Another worker has begun. */
  shareNews(): void;
  /** Ends of sessions with any of them. */
  readonly partings: PartingCounts;
  /** What is kept of batches in sessions with any of them. */
  readonly batches: KeptBatches;
  /** Other hosts begin nothing any more in the sessions of this one; resolves when what they began is over. */
  leavePeers(): Promise<void>;
  /** Closes all of them, side by side. */
  close(): Promise<void>;
}

export interface RegistryDeps extends UpstreamDeps {
  readonly places: Places;
  /** Event loops of the gateway, and which of them this is. */
  readonly workers: number;
  readonly worker: number;
  /** The way to the others; null where none of them is needed. */
  readonly mesh: MeshPort | null;
  /** The way to other hosts; null where there are none. */
  readonly peerPort: PeerPort | null;
  /** What another host knows of sessions. */
  peerNews(news: SessionNews): void;
  /** Tells the others what servers say; null where there are none. */
  readonly sendNews: ((news: ServerNews) => void) | null;
  circuit(server: string, settings: BreakerSettings): Circuit;
  selection(settings: VirtualSettings): Selection;
}

/** One upstream with what stands in front of it. */
interface Built {
  /** What everybody else knows as the upstream. */
  readonly upstream: Upstream;
  /** Without anything in front of it. */
  readonly inner: Upstream;
  readonly gate: GatedUpstream;
  /** Null: its lists are not kept. */
  readonly cache: CachedUpstream | null;
  /** Null: it has none. */
  readonly pool: PooledUpstream | null;
}

/** Builds and starts every upstream. One that cannot work shows it in its state; the others are not affected. */
export function buildRegistry(
  settings: readonly UpstreamSettings[],
  outside: RegistryDeps,
  virtuals: readonly VirtualSettings[] = [],
): Registry {
  const partings = new PartingCounts();
  const { clock, worker, sendNews } = outside;
  const newsDesk = sendNews === null ? null : new NewsDesk({ clock, worker, send: sendNews });
  const deps = { ...outside, partings, ...(newsDesk !== null && { news: newsDesk }) };
  const desk = deps.mesh === null ? null : new RelayDesk(deps.mesh, deps.clock);
  const peers = deps.peerPort === null ? null : new PeerDesk(deps.peerPort, deps.clock, (news) => deps.peerNews(news));
  let servers: readonly VirtualUpstream[] = [];
  const onListChanged = (name: string, kind: ListKind | null): void => {
    for (const server of servers) server.memberChanged(name, kind);
  };
  const built = settings.map((one, index) => buildOne(one, index, { ...deps, peers, onListChanged }, desk));
  const list = built.map(({ upstream }) => upstream);
  const pools = built.flatMap(({ pool }) => pool ?? []);
  const byName = new Map<string, Upstream>(list.map((upstream) => [upstream.name, upstream]));
  const names = [...settings, ...virtuals].map(({ name }) => name);
  const batches = new KeptBatches(names, deps.kept ?? null, { sessions: desk?.sessions ?? null, peers, longestMs: 0 });
  servers = virtuals.map((one) => buildVirtual(one, settings, byName, { ...deps, peers }, desk));
  for (const upstream of list) upstream.start();
  desk?.open();
  peers?.open();
  return {
    list,
    router: new Router(
      built.map(({ upstream }, index) => ({ settings: settings[index] as UpstreamSettings, upstream })),
      virtuals.map(({ path }, index) => ({ path, server: servers[index] as VirtualUpstream })),
    ),
    get: (name) => byName.get(name),
    queued: () => built.map(({ gate }) => ({ server: gate.name, queued: gate.queued })),
    lists: () => built.flatMap(({ cache }) => (cache === null ? [] : [cache.figures()])),
    children: () => pools.flatMap(childrenOf),
    relayed: () =>
      summed([
        ...pools.map(({ name, relayed }) => ({ server: name, relayed })),
        ...(desk?.sessions.remote.relayed() ?? []),
        ...(peers?.remote.relayed() ?? []),
      ]),
    partings,
    batches,
    leavePeers: () => peers?.lent.leave() ?? Promise.resolve(),
    receiveNews: (one) => newsDesk?.receive(one),
    unheard: () => newsDesk?.figures() ?? [],
    shareNews: () => newsDesk?.share(),
    close: async () => {
      // First: their members are told of it.
      await Promise.all(servers.map((server) => server.close()));
      await Promise.all(list.map((upstream) => upstream.close()));
      desk?.sessions.remote.close();
      peers?.remote.close();
    },
  };
}

function summed(
  counts: readonly { readonly server: string; readonly relayed: number }[],
): { readonly server: string; readonly relayed: number }[] {
  const sums = new Map<string, number>();
  for (const { server, relayed } of counts) sums.set(server, (sums.get(server) ?? 0) + relayed);
  return Array.from(sums, ([server, relayed]) => ({ server, relayed }));
}

/** `config/` has refused names of members that are none. */
function buildVirtual(
  settings: VirtualSettings,
  all: readonly UpstreamSettings[],
  byName: ReadonlyMap<string, Upstream>,
  deps: RegistryDeps & { readonly peers: PeerDesk | null },
  desk: RelayDesk | null,
): VirtualUpstream {
  const { clock, events, version, kept = null, peers } = deps;
  const members = settings.servers.flatMap((name) => byName.get(name) ?? []);
  const longest = all.filter(({ name }) => settings.servers.includes(name)).map(longestCallMs);
  return new VirtualUpstream(settings, members, {
    clock,
    events,
    version,
    selection: deps.selection(settings),
    kept,
    sessions: desk?.sessions ?? null,
    peers,
    // A member may have to be opened first, and several are asked in turn.
    longestMs: Math.max(0, ...longest) * 2 + settings.listTimeoutMs * (members.length + 1),
  });
}

/** What the upstream reports of itself names what everybody else knows. */
function buildOne(
  settings: UpstreamSettings,
  index: number,
  deps: RegistryDeps & { onListChanged(name: string, kind: ListKind | null): void },
  desk: RelayDesk | null,
): Built {
  const { clock, events, places, workers } = deps;
  const circuit = settings.breaker === null ? null : deps.circuit(settings.name, settings.breaker);
  const ownEvents: UpstreamEvents = {
    stateChanged: () => {
      // Another process or session behind the name may have other lists.
      if (gate.state === 'ready') cache?.invalidate(null);
      events.stateChanged(upstream);
    },
    stderrLine: (server, line) => events.stderrLine(server, line),
    noise: (server, kind) => events.noise(server, kind),
    restarted: (server, attempt) => events.restarted(server, attempt),
    listChanged: (server, kind) => {
      cache?.invalidate(kind);
      deps.onListChanged(server, kind);
      events.listChanged(server, kind);
    },
    leftOut: () => undefined,
    childrenChanged: (server) => events.childrenChanged(server),
    circuitChanged: () => undefined,
  };
  const own = { ...deps, events: ownEvents, sessions: desk?.sessions ?? null };
  const pool = buildPool(settings, { ...own, desk, index });
  const inner = pool?.upstream ?? buildUpstream(settings, own);
  const gate: GatedUpstream = new GatedUpstream(gateSettings(settings), inner, { clock, places, circuit, workers });
  const cache: CachedUpstream | null =
    settings.listCacheMs > 0 && areListsShared(settings) ? new CachedUpstream(gate, settings.listCacheMs, clock) : null;
  const upstream: Upstream = cache ?? gate;
  if (circuit !== null) circuit.onChange = () => events.circuitChanged(upstream);
  return { upstream, inner, gate, cache, pool: pool?.pool ?? null };
}
