import type { BreakerSettings, UpstreamSettings } from '../core/config.ts';
import type { Places } from '../core/limit.ts';
import type { Circuit, ListFigures, Upstream } from '../core/upstream.ts';
import { buildUpstream } from './build.ts';
import { CachedUpstream } from './cached.ts';
import type { UpstreamDeps } from './deps.ts';
import { GatedUpstream } from './gate.ts';
import { Router } from './router.ts';

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
  /** Closes all of them, side by side. */
  close(): Promise<void>;
}

export interface RegistryDeps extends UpstreamDeps {
  readonly places: Places;
  /** Event loops of the gateway. */
  readonly workers: number;
  circuit(server: string, settings: BreakerSettings): Circuit;
}

/** One upstream with what stands in front of it. */
interface Built {
  /** What everybody else knows as the upstream. */
  readonly upstream: Upstream;
  readonly gate: GatedUpstream;
  /** Null: its lists are not kept. */
  readonly cache: CachedUpstream | null;
}

/** Builds and starts every upstream. One that cannot work shows it in its state; the others are not affected. */
export function buildRegistry(settings: readonly UpstreamSettings[], deps: RegistryDeps): Registry {
  const built = settings.map((one) => buildOne(one, deps));
  const list = built.map(({ upstream }) => upstream);
  const byName = new Map<string, Upstream>(list.map((upstream) => [upstream.name, upstream]));
  for (const upstream of list) upstream.start();
  return {
    list,
    router: new Router(built.map(({ upstream }, index) => ({ settings: settings[index] as UpstreamSettings, upstream }))),
    get: (name) => byName.get(name),
    queued: () => built.map(({ gate }) => ({ server: gate.name, queued: gate.queued })),
    lists: () => built.flatMap(({ cache }) => (cache === null ? [] : [cache.figures()])),
    close: async () => {
      await Promise.all(list.map((upstream) => upstream.close()));
    },
  };
}

/** What the upstream reports of itself names what everybody else knows. */
function buildOne(settings: UpstreamSettings, deps: RegistryDeps): Built {
  const { clock, events, places, workers } = deps;
  const circuit = settings.breaker === null ? null : deps.circuit(settings.name, settings.breaker);
  const inner = buildUpstream(settings, {
    ...deps,
    events: {
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
        events.listChanged(server, kind);
      },
      circuitChanged: () => undefined,
    },
  });
  const gate: GatedUpstream = new GatedUpstream(settings, inner, { clock, places, circuit, workers });
  const cache: CachedUpstream | null = settings.listCacheMs > 0 ? new CachedUpstream(gate, settings.listCacheMs, clock) : null;
  const upstream: Upstream = cache ?? gate;
  if (circuit !== null) circuit.onChange = () => events.circuitChanged(upstream);
  return { upstream, gate, cache };
}
