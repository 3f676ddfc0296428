import { echoCall } from '../lib/plan.ts';
import { compareRelays } from '../lib/relays.ts';
import type { Scenario } from '../lib/scenario.ts';

export const scenario: Scenario = {
  name: 'body-1m',
  shows: '`tools/call` with 1 MB of text, and the same back, from 8 connections.',
  async run(bench) {
    await compareRelays(bench, '/mcp', echoCall('echo', 'text', 1_000_000), { connections: 8 });
  },
};
