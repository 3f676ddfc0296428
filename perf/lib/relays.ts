import type { Bench } from './bench.ts';
import { closedLoop } from './closed-loop.ts';
import type { ClosedLoop } from './closed-loop.ts';
import { httpUpstream, startGateways } from './gateway.ts';
import type { GatewaySettings } from './gateway.ts';
import { startNginx } from './nginx.ts';
import type { RequestPlan } from './plan.ts';
import { at } from './target.ts';
import type { Target } from './target.ts';
import { startUpstream } from './upstream.ts';

/** The same path of the same server three ways: straight, through nginx, through every build of the gateway. */
export interface Relays {
  readonly direct: Target;
  readonly nginx: Target;
  readonly gateways: readonly Target[];
  readonly all: readonly Target[];
}

export async function startRelays(bench: Bench, path: string, settings: Partial<GatewaySettings> = {}): Promise<Relays> {
  const direct = at(await startUpstream(bench), path);
  const nginx = await startNginx(bench, direct);
  const gateways = await startGateways(bench, { upstream: httpUpstream(direct.url), ...settings });
  return { direct, nginx, gateways, all: [direct, nginx, ...gateways] };
}

/** Starts them and loads each as hard as it can take. */
export async function compareRelays(bench: Bench, path: string, plan: RequestPlan, options: ClosedLoop = {}): Promise<void> {
  const { all } = await startRelays(bench, path);
  await closedLoop(
    bench,
    all.map((target) => ({ target, plan })),
    options,
  );
}
