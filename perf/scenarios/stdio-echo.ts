import { httpUpstream, startGateways } from '../lib/gateway.ts';
import { echoCall, looseEchoCall } from '../lib/plan.ts';
import type { Scenario } from '../lib/scenario.ts';
import { compareStdio } from '../lib/stdio-comparison.ts';
import { ECHO_SERVER } from '../lib/stdio-servers.ts';
import { startUpstream } from '../lib/upstream.ts';

export const scenario: Scenario = {
  name: 'stdio-echo',
  shows: '`tools/call` to a stdio server that costs next to nothing: what the gateway itself spends per call, beside the path over HTTP.',
  async run(bench) {
    const upstream = await startUpstream(bench);
    const overHttp = await startGateways(bench, {
      name: 'gateway over HTTP',
      upstream: httpUpstream(upstream.url),
      server: { workers: 1 },
    });
    const [plan, peerPlan] = [echoCall('echo', 'text'), looseEchoCall('echo', 'text')];
    await compareStdio(bench, { command: ECHO_SERVER, plan, peerPlan, others: overHttp });
    bench.note('`cpuUsPerRequest` is that of the gateway’s processes; the server’s own is `childCpuUsPerRequest`.');
  },
};
