import type { Bench } from '../lib/bench.ts';
import { loadByTurns } from '../lib/by-turns.ts';
import { closedLoopRound, warmUp } from '../lib/closed-loop.ts';
import { httpUpstream, startGateway } from '../lib/gateway.ts';
import { echoCall } from '../lib/plan.ts';
import { stop } from '../lib/process.ts';
import { type Redis, startRedis } from '../lib/redis.ts';
import type { Scenario } from '../lib/scenario.ts';
import type { Target } from '../lib/target.ts';
import { startUpstream } from '../lib/upstream.ts';
import { ownCpuUs } from '../lib/usage.ts';

const WORKERS = 2;
const CALLERS = 100;
/** A tenth of the burst, divided among the workers, are leases of 50 tokens: each is fetched after 25 calls. */
const LEASED = { requests_per_second: 1_000, burst_size: 1_000, max_in_flight: 64 };
/** A tenth of the burst is less than a token for each worker: exact. Workers hold two tokens each, which are called back when the other lacks them. */
const EXACT = { ...LEASED, burst_size: 10 };

/** What is compared. */
const KINDS: readonly { readonly name: string; readonly rateLimit: Readonly<Record<string, unknown>>; readonly isShared?: true }[] = [
  { name: 'gateway, limits off', rateLimit: { enabled: false } },
  { name: 'gateway, leased', rateLimit: LEASED },
  { name: 'gateway, Redis-leased', rateLimit: LEASED, isShared: true },
  { name: 'gateway, exact', rateLimit: EXACT },
];

/**
 * A program that was compiled unluckily stays slower until it ends, at times by more than limits cost; and of four alike the one that is started first is
 * slower than the last, by 1 to 10 %, whichever of them is loaded first. So the rounds are divided among as many starts as there are kinds, and each is the
 * first of one of them.
 */
const STARTS = KINDS.length;

export const scenario: Scenario = {
  name: 'limits-cost',
  shows: '`tools/call` by 100 callers of two workers: without limits, with limits leased by the primary, by Redis, and too small for that.',
  async run(bench) {
    const upstream = httpUpstream((await startUpstream(bench)).url);
    const redis = await startRedis(bench);
    const rounds = bench.rounds(8);
    const starts = Math.min(STARTS, rounds);
    for (let start = 0; start < starts; start++) {
      bench.say(`start ${start + 1} of ${starts}`);
      const targets = await startAll(bench, upstream, redis, start);
      await measure(bench, targets, redis, Math.ceil(rounds / starts));
    }
    bench.note('Processor time is that of the gateway: workers and primary. What Redis itself uses in a round of all is shown beside it.');
  },
};

/**
 * The trail is written, but its files are not compressed: that is a second or two of a thread of its own for every hundred megabytes, in this
 * round or in the next, which is more than limits cost, and the same for all.
 */
const UNPACKED = { rotation: { compress: false } };

/** One of each kind and build, beginning with another kind in each start. */
async function startAll(bench: Bench, upstream: Readonly<Record<string, unknown>>, redis: Redis, start: number): Promise<Target[]> {
  const targets: Target[] = [];
  for (let turn = 0; turn < KINDS.length; turn++) {
    const kind = KINDS[(start + turn) % KINDS.length] as (typeof KINDS)[number];
    for (const [at, build] of bench.settings.builds.entries()) {
      const common = {
        upstream,
        callers: CALLERS,
        server: { workers: WORKERS },
        audit: UNPACKED,
        name: kind.name,
        rateLimit: kind.rateLimit,
      };
      // A host each: of two builds with the same buckets each would have half of every lease.
      const shared = kind.isShared === true ? { redis: { url: redis.url, prefix: `perf-${at}:` } } : {};
      targets.push(await startGateway(bench, build, { ...common, ...shared }));
    }
  }
  return targets;
}

/** Some rounds with programs that were started for them and are ended again. */
async function measure(bench: Bench, targets: readonly Target[], redis: Redis, rounds: number): Promise<void> {
  const plan = echoCall('echo', 'text');
  for (const target of targets) {
    await warmUp(bench, target, plan);
    // What asks for leases runs a few times a second, and V8 compiles it for half a minute and longer: that is no cost of a gateway that runs.
    await closedLoopRound(bench, target, plan, { secs: 15, leastSecs: 2 });
  }
  for (let round = 0; round < rounds; round++) {
    const redisBeforeUs = ownCpuUs(redis.program());
    const figures = await loadByTurns(bench, targets, plan, Math.max(bench.secs(6), 2), round);
    bench.record('redis', { cpuMs: (ownCpuUs(redis.program()) - redisBeforeUs) / 1_000 });
    for (const [at, target] of targets.entries()) bench.record(target.name, figures[at] ?? {});
    const told = targets.map(({ name }, at) => `${name} ${figures[at]?.['cpuUsPerRequest']?.toFixed(1)}`);
    bench.say(`round ${round + 1} of ${rounds}, µs per request: ${told.join(', ')}`);
  }
  for (const { program } of targets) await stop(program);
}
