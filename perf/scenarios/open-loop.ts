import { constantRate } from '../lib/constant-rate.ts';
import { echoCall } from '../lib/plan.ts';
import { startRelays } from '../lib/relays.ts';
import type { Scenario } from '../lib/scenario.ts';

export const scenario: Scenario = {
  name: 'open-loop',
  shows: '`tools/call` to an HTTP server at a constant rate: what the gateway adds to the time of an answer.',
  async run(bench) {
    const { all } = await startRelays(bench, '/mcp');
    await constantRate(bench, all, echoCall('echo', 'text'), { rates: [2_500, 5_000, 10_000] });
    bench.note('Latency counts from the moment a request should have been sent. `lagP99Ms`: how late the generator itself was.');
  },
};
