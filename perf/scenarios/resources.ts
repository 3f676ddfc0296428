import { closedLoopRound, warmUp } from '../lib/closed-loop.ts';
import { httpUpstream, startGateways } from '../lib/gateway.ts';
import { interleave } from '../lib/bench.ts';
import { echoCall } from '../lib/plan.ts';
import { figuresOf, makeProbe } from '../lib/probe.ts';
import type { Scenario } from '../lib/scenario.ts';
import { startUpstream } from '../lib/upstream.ts';

export const scenario: Scenario = {
  name: 'resources',
  shows: 'What a worker under full load spends on collecting garbage, how late its event loop is, and its heap.',
  async run(bench) {
    const probe = makeProbe(bench);
    const upstream = httpUpstream((await startUpstream(bench)).url);
    const gateways = await startGateways(bench, { upstream, env: probe.env });
    const plan = echoCall('echo', 'text');
    for (const target of gateways) await warmUp(bench, target, plan);
    const rounds = bench.rounds(3);
    await interleave(rounds, gateways, async (target, round) => {
      probe.take(target);
      const { rssMb = 0, rssMbPerWorker = 0 } = await closedLoopRound(bench, target, plan, { secs: 15, leastSecs: 4 });
      const figures = figuresOf(probe.take(target));
      bench.record(target.name, { ...figures, rssMb, rssMbPerWorker });
      bench.say(`round ${round + 1} of ${rounds}: ${target.name} ${(figures['gcPercent'] ?? 0).toFixed(1)} % in the collector`);
    });
    bench.note('`heapMb`: the least of a round, after collections. A probe in every process measures; other scenarios run without it.');
  },
};
