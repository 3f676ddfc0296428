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
const CONNECTIONS = 32;
const BEFORE_SECS = 3;
const AFTER_SECS = 3;
const LEASED = { requests_per_second: 1_000, burst_size: 1_000 };
const EXACT = { ...LEASED, burst_size: 10 };
const FAILURES = ['hung', 'killed'] as const;

const plan = echoCall('echo', 'text');

async function load(bench: Bench, target: Target, secs: number): Promise<readonly TracedAnswer[]> {
  return (await openLoop(bench, target, plan, { perSec: PER_SEC, secs, connections: CONNECTIONS, isTraced: true })).answers;
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
    const common = {
      upstream,
      callers: CALLERS,
      caller: { roles: ['admin'] },
      server: { workers: WORKERS },
      redis: { url: redis.url, max_hosts: 1 },
    };
    const targets = [
      ...(await startGateways(bench, { ...common, name: 'gateway, leased', rateLimit: LEASED })),
      ...(await startGateways(bench, { ...common, name: 'gateway, exact', rateLimit: EXACT })),
    ];
    for (const target of targets) await load(bench, target, bench.warmUpSecs);
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
