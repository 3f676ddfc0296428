import { closedLoop } from '../lib/closed-loop.ts';
import { httpUpstream, startGateways } from '../lib/gateway.ts';
import { echoCall } from '../lib/plan.ts';
import type { Scenario } from '../lib/scenario.ts';
import { startUpstream } from '../lib/upstream.ts';

export const scenario: Scenario = {
  name: 'engine-node-vs-uws',
  shows: '`tools/call` by both HTTP engines.',
  async run(bench) {
    const upstream = httpUpstream((await startUpstream(bench)).url);
    const uws = await startGateways(bench, { name: 'gateway, uws', upstream, server: { engine: 'uws' } });
    const node = await startGateways(bench, { name: 'gateway, node', upstream, server: { engine: 'node' } });
    const plan = echoCall('echo', 'text');
    await closedLoop(
      bench,
      [...uws, ...node].map((target) => ({ target, plan })),
    );
  },
};
