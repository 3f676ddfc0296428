import { availableParallelism } from 'node:os';
import { closedLoop } from '../lib/closed-loop.ts';
import { httpUpstream, startGateways } from '../lib/gateway.ts';
import { startNginx } from '../lib/nginx.ts';
import { echoCall } from '../lib/plan.ts';
import type { Scenario } from '../lib/scenario.ts';
import type { Target } from '../lib/target.ts';
import { startUpstream } from '../lib/upstream.ts';

/** 1, 2, 4 … up to the cores there are. */
function counts(cores: number): number[] {
  return Array.from({ length: Math.floor(Math.log2(cores)) + 1 }, (_, i) => 2 ** i);
}

export const scenario: Scenario = {
  name: 'workers',
  shows:
    '`tools/call` by one worker process and by more, gateway and nginx alike; generator and upstream take their share of the same cores.',
  async run(bench) {
    const upstream = await startUpstream(bench);
    const targets: Target[] = [];
    for (const workers of counts(availableParallelism())) {
      targets.push({ ...(await startNginx(bench, upstream, workers)), name: `nginx × ${workers}` });
      targets.push(
        ...(await startGateways(bench, { name: `gateway × ${workers}`, upstream: httpUpstream(upstream.url), server: { workers } })),
      );
    }
    const plan = echoCall('echo', 'text');
    await closedLoop(
      bench,
      targets.map((target) => ({ target, plan })),
      { connections: 64 },
    );
  },
};
