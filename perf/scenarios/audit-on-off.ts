import { closedLoop } from '../lib/closed-loop.ts';
import { httpUpstream, startGateways } from '../lib/gateway.ts';
import { echoCall } from '../lib/plan.ts';
import type { Scenario } from '../lib/scenario.ts';
import { startUpstream } from '../lib/upstream.ts';

export const scenario: Scenario = {
  name: 'audit-on-off',
  shows: '`tools/call` with and without the audit trail in a file.',
  async run(bench) {
    const upstream = httpUpstream((await startUpstream(bench)).url);
    const on = await startGateways(bench, { name: 'gateway, audit on', upstream });
    const off = await startGateways(bench, { name: 'gateway, audit off', upstream, isAudited: false });
    const plan = echoCall('echo', 'text');
    await closedLoop(
      bench,
      [...on, ...off].map((target) => ({ target, plan })),
    );
  },
};
