import type { Bench } from '../lib/bench.ts';
import { closedLoopRound, warmUp } from '../lib/closed-loop.ts';
import { startGateways, stdioUpstream } from '../lib/gateway.ts';
import { readMetrics, sumOf } from '../lib/metrics.ts';
import { echoCall } from '../lib/plan.ts';
import type { RequestPlan } from '../lib/plan.ts';
import type { Scenario } from '../lib/scenario.ts';
import { ECHO_SERVER } from '../lib/stdio-servers.ts';
import type { Target } from '../lib/target.ts';

const WORKERS = 2;

/** Calls that came to a worker which does not hold the child. */
async function relayed(target: Target): Promise<number> {
  return sumOf(await readMetrics(target), 'mcp_guard_upstream_relayed_total');
}

/** `ownUs`: what a call costs where no call is relayed. */
async function relayedRound(
  bench: Bench,
  target: Target,
  plan: RequestPlan,
  secs: number,
  ownUs: number,
): Promise<Readonly<Record<string, number>>> {
  const before = await relayed(target);
  const figures = await closedLoopRound(bench, target, plan, { secs });
  const { cpuUsPerRequest = 0, requestsPerSec = 0 } = figures;
  const share = ((await relayed(target)) - before) / (requestsPerSec * secs);
  if (!(share > 0.05)) throw new Error(`${target.name}: only ${(share * 100).toFixed(1)} % of the calls were relayed`);
  const cpuUsPerRelayedCall = ownUs + (cpuUsPerRequest - ownUs) / share;
  bench.say(`${target.name}: ${cpuUsPerRelayedCall.toFixed(1)} µs per relayed call, ${ownUs.toFixed(1)} for one of the worker's own`);
  return { ...figures, relayedShare: share, cpuUsPerRelayedCall };
}

export const scenario: Scenario = {
  name: 'stdio-relay',
  shows: '`tools/call` to one stdio child of two workers: what it costs when the other worker holds the child.',
  async run(bench) {
    const common = { upstream: stdioUpstream(ECHO_SERVER), server: { workers: WORKERS }, caller: { roles: ['admin'] } };
    const [own] = await startGateways(bench, { ...common, name: 'gateway, a child in each worker' });
    const pooled = { ...common.upstream, pool: { min: 1, max: 1, child_calls: 0 } };
    const shared = await startGateways(bench, { ...common, name: 'gateway, one child', upstream: pooled });
    if (own === undefined) throw new Error('there is no build to measure');
    const plan = echoCall('echo', 'text');
    for (const target of [own, ...shared]) await warmUp(bench, target, plan);
    const secs = Math.max(bench.secs(6), 1);
    for (let round = 0; round < bench.rounds(5); round++) {
      const figures = await closedLoopRound(bench, own, plan, { secs });
      const { cpuUsPerRequest: ownUs = 0 } = figures;
      bench.record(own.name, { ...figures, cpuUsPerOwnCall: ownUs });
      for (const target of shared) bench.record(target.name, await relayedRound(bench, target, plan, secs, ownUs));
    }
    bench.note('`cpuUsPerRelayedCall`: the other calls are taken to cost what they do where each worker has a child.');
  },
};
