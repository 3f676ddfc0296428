import { closedLoop } from '../lib/closed-loop.ts';
import { echoCall } from '../lib/plan.ts';
import { startRelays } from '../lib/relays.ts';
import type { Scenario } from '../lib/scenario.ts';
import { startBareUws } from '../lib/upstream.ts';

export const scenario: Scenario = {
  name: 'tools-call-http-json',
  shows: '`tools/call` to an HTTP server that answers JSON: how many a second from 32 connections, by wrk and by autocannon.',
  async run(bench) {
    const plan = echoCall('echo', 'text');
    const { all } = await startRelays(bench, '/mcp');
    const loads = [...all, await startBareUws(bench)].map((target) => ({ target, plan }));
    await closedLoop(bench, loads);
    await closedLoop(bench, loads, { generator: 'autocannon', prefix: 'autocannon ', rounds: 3, secs: 5 });
    bench.note('`autocannon` figures: the same load by autocannon, which uses more of the two cores than what it measures.');
    bench.note('`bare µWS` relays nothing: it is what the listener could do at most.');
  },
};
