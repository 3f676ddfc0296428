import type { Bench } from '../lib/bench.ts';
import { interleave } from '../lib/bench.ts';
import { openLoop } from '../lib/constant-rate.ts';
import { httpUpstream, startGateways } from '../lib/gateway.ts';
import { readMetrics, sumOf } from '../lib/metrics.ts';
import { echoCall } from '../lib/plan.ts';
import type { RequestPlan } from '../lib/plan.ts';
import type { Scenario } from '../lib/scenario.ts';
import type { Target } from '../lib/target.ts';
import { startUpstream } from '../lib/upstream.ts';

const WORKERS = 4;
const PER_SEC = 1_000;
const CONNECTIONS = 64;
const DEMANDS = [1, 3];

/** The asks of all workers while the load ran, for each of its requests; and what was admitted of what the limit allows. */
async function measure(bench: Bench, target: Target, plan: RequestPlan, demand: number, secs: number): Promise<Record<string, number>> {
  const before = await readMetrics(target);
  const load = { perSec: demand * PER_SEC, secs, connections: CONNECTIONS, isTraced: true };
  const { requests } = await openLoop(bench, target, plan, load);
  const after = await readMetrics(target);
  const growth = (family: string, label = ''): number => sumOf(after, family, label) - sumOf(before, family, label);
  return {
    [`callsPerRequest@${demand}`]: growth('mcp_guard_rate_limit_asks_total') / requests,
    [`waitsPerRequest@${demand}`]: growth('mcp_guard_rate_limit_waits_total') / requests,
    [`timeouts@${demand}`]: growth('mcp_guard_rate_limit_timeouts_total'),
    [`admittedPerSec@${demand}`]: growth('mcp_guard_rate_limit_total', 'allowed="true"') / secs,
  };
}

export const scenario: Scenario = {
  name: 'limits-authority-calls',
  shows: 'How often four workers ask the primary for tokens of one caller with a limit of 1,000/s, at its limit and at three times that.',
  async run(bench) {
    const upstream = httpUpstream((await startUpstream(bench)).url);
    const gateways = await startGateways(bench, {
      upstream,
      server: { workers: WORKERS },
      caller: { roles: ['admin'] },
      rateLimit: { requests_per_second: PER_SEC, burst_size: PER_SEC },
    });
    const plan = echoCall('echo', 'text');
    for (const target of gateways) await measure(bench, target, plan, 1, bench.warmUpSecs);
    const rounds = bench.rounds(3);
    const steps = gateways.flatMap((target) => DEMANDS.map((demand) => ({ target, demand })));
    await interleave(rounds, steps, async ({ target, demand }, round) => {
      const figures = await measure(bench, target, plan, demand, Math.max(2, bench.secs(10)));
      bench.record(target.name, figures);
      const calls = (figures[`callsPerRequest@${demand}`] ?? 0).toFixed(3);
      bench.say(`round ${round + 1} of ${rounds}: ${target.name} at ${demand} × the limit: ${calls} calls per request`);
    });
  },
};
