import type { BreakerSettings, UpstreamSettings } from '../core/config.ts';
import type { Places } from '../core/limit.ts';
import type { Circuit, Upstream } from '../core/upstream.ts';
import { buildUpstream } from './build.ts';
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
  /** Closes all of them, side by side. */
  close(): Promise<void>;
}

export interface RegistryDeps extends UpstreamDeps {
  readonly places: Places;
  /** Event loops of the gateway. */
  readonly workers: number;
  circuit(server: string, settings: BreakerSettings): Circuit;
}

/** Builds and starts every upstream. One that cannot work shows it in its state; the others are not affected. */
export function buildRegistry(settings: readonly UpstreamSettings[], deps: RegistryDeps): Registry {
  const routes = settings.map((one) => ({ settings: one, upstream: gated(one, deps) }));
  const list = routes.map(({ upstream }) => upstream);
  const byName = new Map<string, Upstream>(list.map((upstream) => [upstream.name, upstream]));
  for (const upstream of list) upstream.start();
  return {
    list,
    router: new Router(routes),
    get: (name) => byName.get(name),
    queued: () => list.map(({ name, queued }) => ({ server: name, queued })),
    close: async () => {
      await Promise.all(list.map((upstream) => upstream.close()));
    },
  };
}

/** What the upstream reports of itself names the gate, which is what everybody else knows. */
function gated(settings: UpstreamSettings, deps: RegistryDeps): GatedUpstream {
  const { clock, events, places, workers } = deps;
  const circuit = settings.breaker === null ? null : deps.circuit(settings.name, settings.breaker);
  const inner = buildUpstream(settings, {
    ...deps,
    events: {
      stateChanged: () => events.stateChanged(gate),
      stderrLine: (server, line) => events.stderrLine(server, line),
      noise: (server, kind) => events.noise(server, kind),
      restarted: (server, attempt) => events.restarted(server, attempt),
      circuitChanged: () => undefined,
    },
  });
  const gate: GatedUpstream = new GatedUpstream(settings, inner, { clock, places, circuit, workers });
  if (circuit !== null) circuit.onChange = () => events.circuitChanged(gate);
  return gate;
}
