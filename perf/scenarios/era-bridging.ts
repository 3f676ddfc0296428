import { closedLoop } from '../lib/closed-loop.ts';
import { httpUpstream, startGateways } from '../lib/gateway.ts';
import { looseEchoCall } from '../lib/plan.ts';
import type { RequestPlan } from '../lib/plan.ts';
import type { Scenario } from '../lib/scenario.ts';
import { at } from '../lib/target.ts';
import type { Target } from '../lib/target.ts';
import { startUpstream } from '../lib/upstream.ts';

const MODERN = '2026-07-28';
const HEADERS = [`MCP-Protocol-Version: ${MODERN}`, 'Mcp-Method: tools/call', 'Mcp-Name: echo'];
const META = JSON.stringify({
  'io.modelcontextprotocol/protocolVersion': MODERN,
  'io.modelcontextprotocol/clientCapabilities': {},
  'io.modelcontextprotocol/clientInfo': { name: 'perf', version: '1' },
});

/** The same call as a client of revision 2026-07-28 makes it. */
function modernCall(plan: RequestPlan): RequestPlan {
  return { ...plan, body: plan.body.replace('"arguments":', `"_meta":${META},"arguments":`) };
}

function withHeaders(target: Target): Target {
  return { ...target, callers: target.callers.map((headers) => [...headers, ...HEADERS]) };
}

export const scenario: Scenario = {
  name: 'era-bridging',
  shows: '`tools/call` by clients of either era to servers of either era: what the translation costs.',
  isLong: true,
  async run(bench) {
    const direct = await startUpstream(bench);
    const [older, newer] = [httpUpstream(direct.url), httpUpstream(at(direct, '/modern').url)];
    const plan = looseEchoCall('echo', 'text');
    const modernPlan = modernCall(plan);
    const same = await startGateways(bench, { name: 'gateway, older both', upstream: older });
    const both = await startGateways(bench, { name: 'gateway, 2026-07-28 both', upstream: newer });
    const down = await startGateways(bench, { name: 'gateway, 2026-07-28 to older', upstream: { ...older, modern_clients: 'bridge' } });
    const up = await startGateways(bench, { name: 'gateway, older to 2026-07-28', upstream: newer });
    await closedLoop(bench, [
      ...[...same, ...up].map((target) => ({ target, plan })),
      ...[...both, ...down].map((target) => ({ target: withHeaders(target), plan: modernPlan })),
    ]);
  },
};
