import type { UpstreamSettings } from '../core/config.ts';
import type { Upstream } from '../core/upstream.ts';
import { buildUpstream } from './build.ts';
import type { UpstreamDeps } from './deps.ts';
import { Router } from './router.ts';

/** All upstreams of one configuration. */
export interface Registry {
  /** In configuration order. */
  readonly list: readonly Upstream[];
  readonly router: Router;
  get(name: string): Upstream | undefined;
  /** Closes all of them, side by side. */
  close(): Promise<void>;
}

/** Builds and starts every upstream. One that cannot work shows it in its state; the others are not affected. */
export function buildRegistry(settings: readonly UpstreamSettings[], deps: UpstreamDeps): Registry {
  const routes = settings.map((one) => ({ settings: one, upstream: buildUpstream(one, deps) }));
  const list = routes.map(({ upstream }) => upstream);
  const byName = new Map(list.map((upstream) => [upstream.name, upstream]));
  for (const upstream of list) upstream.start();
  return {
    list,
    router: new Router(routes),
    get: (name) => byName.get(name),
    close: async () => {
      await Promise.all(list.map((upstream) => upstream.close()));
    },
  };
}
