import { echoCall } from '../lib/plan.ts';
import { compareRelays } from '../lib/relays.ts';
import type { Scenario } from '../lib/scenario.ts';

export const scenario: Scenario = {
  name: 'tools-call-http-sse',
  shows: '`tools/call` to an HTTP server that answers by an event stream of one event.',
  async run(bench) {
    await compareRelays(bench, '/sse', echoCall('echo', 'text'));
  },
};
