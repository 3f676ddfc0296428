import { echoCall, looseEchoCall } from '../lib/plan.ts';
import type { Scenario } from '../lib/scenario.ts';
import { compareStdio } from '../lib/stdio-comparison.ts';
import { DEMO_SERVER } from '../lib/stdio-servers.ts';

export const scenario: Scenario = {
  name: 'tools-call-stdio',
  shows: '`tools/call` of a tool of the bundled demo server that computes for 100 µs: by its pipes, and behind three gateways.',
  async run(bench) {
    await compareStdio(bench, { command: DEMO_SERVER, plan: echoCall('burn', 'text'), peerPlan: looseEchoCall('burn', 'text') });
    bench.note('The demo server runs with one more tool, `burn`, for this run (`perf/fixtures/demo-burn.ts`).');
  },
};
