import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench } from '../lib/bench.ts';
import { openLoop } from '../lib/constant-rate.ts';
import { httpUpstream, startGateways } from '../lib/gateway.ts';
import { readMetrics, sumOf } from '../lib/metrics.ts';
import type { TracedAnswer } from '../lib/open-loop.ts';
import { outageFigures } from '../lib/outage.ts';
import type { Outage } from '../lib/outage.ts';
import { echoCall } from '../lib/plan.ts';
import { until } from '../lib/process.ts';
import { startRedis } from '../lib/redis.ts';
import type { Redis } from '../lib/redis.ts';
import type { Scenario } from '../lib/scenario.ts';
import type { Target } from '../lib/target.ts';
import { startUpstream } from '../lib/upstream.ts';

const WORKERS = 2;
const CALLERS = 4;
const PER_SEC = 500;
/** While code is new V8 compiles it beside the requests, which would be charged to the outage. */
const WARM_UP_PER_SEC = 2_000;
const CONNECTIONS = 32;
const BEFORE_SECS = 3;
const AFTER_SECS = 3;
const LEASED = { requests_per_second: 1_000, burst_size: 1_000 };
const EXACT = { ...LEASED, burst_size: 10 };
/** A burst of ten may be gone when the load generator catches up after a pause. */
const MAX_REFUSED_PERCENT = 2;
const FAILURES = ['hung', 'killed'] as const;

const plan = echoCall('echo', 'text');

async function load(bench: Bench, target: Target, secs: number, perSec: number = PER_SEC): Promise<readonly TracedAnswer[]> {
  return (await openLoop(bench, target, plan, { perSec, secs, connections: CONNECTIONS, isTraced: true })).answers;
}

/** Loses Redis for some seconds, while the loads run. */
async function lose(redis: Redis, failure: (typeof FAILURES)[number], secs: number): Promise<Outage> {
  await sleep(BEFORE_SECS * 1_000);
  const lostMs = Date.now();
  if (failure === 'hung') redis.hang();
  else await redis.kill();
  await sleep(secs * 1_000);
  const backMs = Date.now();
  if (failure === 'hung') redis.resume();
  else await redis.restart();
  return { lostMs, backMs };
}

/** Resolves when the gateway asks Redis again, so that the next outage begins like this one. */
async function recovered(target: Target): Promise<void> {
  const isBack = async (): Promise<boolean> =>
    sumOf(await readMetrics(target), 'mcp_guard_rate_limit_authority_mode', 'mode="remote"') === 1;
  await until(target.program, isBack, 200);
}

export const scenario: Scenario = {
  name: 'limits-redis-outage',
  shows:
    'What callers notice when the Redis of their limits hangs, or is killed: answers to a constant load before, meanwhile and afterwards.',
  async run(bench) {
    const upstream = httpUpstream((await startUpstream(bench)).url);
    const redis = await startRedis(bench);
    const common = { upstream, callers: CALLERS, caller: { roles: ['admin'] }, server: { workers: WORKERS } };
    // Callers have the same names at both: under one prefix the leases of one would be missing at the other.
    const redisOf = (prefix: string): Record<string, unknown> => ({ url: redis.url, max_hosts: 1, prefix });
    const targets = [
      ...(await startGateways(bench, { ...common, name: 'gateway, leased', rateLimit: LEASED, redis: redisOf('leased:') })),
      ...(await startGateways(bench, { ...common, name: 'gateway, exact', rateLimit: EXACT, redis: redisOf('exact:') })),
    ];
    for (const target of targets) await load(bench, target, 3 * bench.warmUpSecs, WARM_UP_PER_SEC);
    const outageSecs = Math.max(3, bench.secs(5));
    const rounds = bench.rounds(3);
    for (let round = 0; round < rounds; round++) {
      for (const failure of FAILURES) {
        for (const target of targets) {
          const [answers, outage] = await Promise.all([
            load(bench, target, BEFORE_SECS + outageSecs + AFTER_SECS),
            lose(redis, failure, outageSecs),
          ]);
          const figures = outageFigures(answers, outage);
          const { refusedBeforePercent = 0 } = figures;
          if (refusedBeforePercent > MAX_REFUSED_PERCENT)
            throw new Error(`${target.name} refused ${refusedBeforePercent} % while Redis answered`);
          bench.record(`${target.name}, ${failure}`, figures);
          const { worstAddedMs = 0, secsUntilNormal = 0 } = figures;
          bench.say(
            `round ${round + 1} of ${rounds}: ${target.name}, ${failure}: ${worstAddedMs.toFixed(1)} ms added at worst, ${secsUntilNormal} s until normal`,
          );
          for (const one of targets) await recovered(one);
        }
      }
    }
    bench.note(
      'One load at a time, 500/s by four callers. `secsUntilNormal`: until in no tenth of a second a fifth of the answers comes 5 ms later than usual.',
    );
    bench.note('`refusedPercent`: while Redis is lost, each limit is kept by its share of the host, which begins empty.');
  },
};
