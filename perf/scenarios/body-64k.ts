import { echoCall } from '../lib/plan.ts';
import { compareRelays } from '../lib/relays.ts';
import type { Scenario } from '../lib/scenario.ts';

export const scenario: Scenario = {
  name: 'body-64k',
  shows: '`tools/call` with 64 KB of text, and the same back.',
  async run(bench) {
    await compareRelays(bench, '/mcp', echoCall('echo', 'text', 64_000));
  },
};
