import { closedLoop } from '../lib/closed-loop.ts';
import { httpUpstream, startGateways } from '../lib/gateway.ts';
import { echoCall } from '../lib/plan.ts';
import type { Scenario } from '../lib/scenario.ts';
import { startUpstream } from '../lib/upstream.ts';

const CALLERS = 10_000;
/** A key costs most at its first calls to a worker: its principal, its lists, its leases. Each comes ten times to each of two workers first. */
const CALLS_BEFORE = 20;

export const scenario: Scenario = {
  name: 'keys-10-vs-10000',
  shows: '`tools/call` by 10 and by 10,000 callers in turn, each with a key, a limit and grants of its own.',
  async run(bench) {
    const upstream = httpUpstream((await startUpstream(bench)).url);
    const few = await startGateways(bench, { name: 'gateway, 10 keys', upstream, callers: 10 });
    const many = await startGateways(bench, { name: 'gateway, 10,000 keys', upstream, callers: CALLERS });
    const plan = echoCall('echo', 'text');
    await closedLoop(
      bench,
      [...few, ...many].map((target) => ({ target, plan })),
      { warmUpRequests: CALLERS * CALLS_BEFORE },
    );
  },
};
