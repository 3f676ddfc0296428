import { closedLoopRound, warmUp } from '../lib/closed-loop.ts';
import type { Bench } from '../lib/bench.ts';
import { slopeOf } from '../lib/figures.ts';
import { httpUpstream, startGateways } from '../lib/gateway.ts';
import { echoCall } from '../lib/plan.ts';
import { figuresOf, makeProbe } from '../lib/probe.ts';
import type { Probe } from '../lib/probe.ts';
import type { Scenario } from '../lib/scenario.ts';
import type { Target } from '../lib/target.ts';
import { startUpstream } from '../lib/upstream.ts';

/** The part of the requests after which memory is watched: until then caches fill and code is compiled. */
const SETTLED = 0.4;
const PIECE_SECS = 5;

/** Loads one worker until it has served so many millions; its memory after each piece of the load, by millions served. */
async function soak(bench: Bench, target: Target, probe: Probe, millions: number): Promise<void> {
  const plan = echoCall('echo', 'text');
  await warmUp(bench, target, plan);
  const points: [number, number][] = [];
  let isSettled = false;
  for (let served = 0; served < millions; ) {
    const { requestsPerSec = 0, rssMbPerWorker = 0 } = await closedLoopRound(bench, target, plan, { secs: PIECE_SECS });
    served += (requestsPerSec * bench.secs(PIECE_SECS)) / 1e6;
    if (!isSettled && served >= millions * SETTLED) {
      isSettled = true;
      probe.take(target);
    }
    if (isSettled) points.push([served, rssMbPerWorker]);
    bench.say(`${target.name}: ${served.toFixed(2)} of ${millions} million, ${rssMbPerWorker.toFixed(1)} MB`);
  }
  const rssMbPerWorker = Math.max(...points.map(([, rssMb]) => rssMb));
  bench.record(target.name, { rssMbPerWorker, growthMbPerMillion: slopeOf(points), ...figuresOf(probe.take(target)) });
}

export const scenario: Scenario = {
  name: 'soak',
  shows: 'Memory of one worker over five million requests; the first two million do not count.',
  isLong: true,
  async run(bench) {
    const probe = makeProbe(bench);
    const upstream = httpUpstream((await startUpstream(bench)).url);
    const { soakMillions } = bench.settings.options;
    for (const target of await startGateways(bench, { upstream, server: { workers: 1 }, env: probe.env }))
      await soak(bench, target, probe, soakMillions);
    bench.note(`${soakMillions} million requests. RSS is the most seen after ${SETTLED * soakMillions} million.`);
  },
};
