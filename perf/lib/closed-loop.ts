import { autocannon } from './autocannon.ts';
import { interleave } from './bench.ts';
import type { Bench } from './bench.ts';
import type { RequestPlan } from './plan.ts';
import type { Target } from './target.ts';
import { childrenCpuUs, ownCpuUs, ownRssMb } from './usage.ts';
import { wrk } from './wrk.ts';
import type { Load } from './wrk.ts';

export interface Loaded {
  readonly target: Target;
  readonly plan: RequestPlan;
}

export interface ClosedLoop {
  readonly connections?: number;
  readonly rounds?: number;
  readonly secs?: number;
  /** Also of a quick round. */
  readonly leastSecs?: number;
  /** `wrk` by default. */
  readonly generator?: 'wrk' | 'autocannon';
  /** Served before the rounds, unless the run is a quick one: until each caller has come a few times to every worker. */
  readonly warmUpRequests?: number;
  /** Put in front of the names of the figures. */
  readonly prefix?: string;
}

const CONNECTIONS = 32;
const ROUNDS = 5;
const SECS = 5;

/** Loads the targets in interleaved rounds, each as hard as it can take, and records the figures of every round. */
export async function closedLoop(bench: Bench, loads: readonly Loaded[], options: ClosedLoop = {}): Promise<void> {
  const rounds = bench.rounds(options.rounds ?? ROUNDS);
  for (const { target, plan } of loads) await warmUpFully(bench, target, plan, options);
  await interleave(rounds, loads, async ({ target, plan }, round) => {
    const figures = await closedLoopRound(bench, target, plan, options);
    bench.record(target.name, figures);
    const perSec = Math.round(figures[`${options.prefix ?? ''}requestsPerSec`] ?? 0);
    bench.say(`round ${round + 1} of ${rounds}: ${target.name} ${perSec}/s${options.generator === 'autocannon' ? ' by autocannon' : ''}`);
  });
}

/** One round on one target; throws when one of our own programs gave a wrong answer. */
export async function closedLoopRound(
  bench: Bench,
  target: Target,
  plan: RequestPlan,
  options: ClosedLoop = {},
): Promise<Readonly<Record<string, number>>> {
  const { connections = CONNECTIONS, prefix = '', generator = 'wrk', secs = SECS, leastSecs = 1 } = options;
  const generate = generator === 'wrk' ? wrk : autocannon;
  const before = [ownCpuUs(target.program), childrenCpuUs(target.program)] as const;
  const load = await generate(target, plan, bench.dir, connections, Math.max(bench.secs(secs), leastSecs));
  const own = ownCpuUs(target.program) - before[0];
  const children = childrenCpuUs(target.program) - before[1];
  checked(target, load);
  const rss = ownRssMb(target.program);
  const figures = {
    requestsPerSec: (load.requests - load.wrong) / load.secs,
    p50Ms: load.p50Ms,
    p99Ms: load.p99Ms,
    cpuUsPerRequest: own / load.requests,
    childCpuUsPerRequest: children / load.requests,
    generatorCpuUsPerRequest: load.generatorCpuUs / load.requests,
    rssMb: rss.totalMb,
    rssMbPerWorker: rss.workerMb,
    errors: load.wrong + load.failed,
  };
  return Object.fromEntries(Object.entries(figures).map(([name, value]) => [`${prefix}${name}`, value]));
}

/** Load that is verified and not recorded. */
export async function warmUp(bench: Bench, target: Target, plan: RequestPlan, connections: number = CONNECTIONS): Promise<void> {
  checked(target, await wrk(target, plan, bench.dir, connections, bench.warmUpSecs));
}

async function warmUpFully(bench: Bench, target: Target, plan: RequestPlan, options: ClosedLoop): Promise<void> {
  const { connections = CONNECTIONS, warmUpRequests = 0 } = options;
  const cpuBeforeUs = ownCpuUs(target.program);
  let served = 0;
  do {
    const load = await wrk(target, plan, bench.dir, connections, bench.warmUpSecs);
    checked(target, load);
    served += load.requests;
  } while (served < warmUpRequests && !bench.settings.options.isQuick);
  if (warmUpRequests > 0) bench.record(target.name, { cpuUsPerWarmUpRequest: (ownCpuUs(target.program) - cpuBeforeUs) / served });
}

/** Throws when one of our own programs gave a wrong answer, or anybody none. */
export function checked(target: Target, load: Load): void {
  const { requests, wrong, failed, example } = load;
  if (requests === 0) throw new Error(`${target.name} answered nothing.\n${target.program.output()}`);
  if (target.isForeign || wrong + failed === 0) return;
  throw new Error(`${target.name}: ${wrong} wrong answers, ${failed} failed of ${requests}. ${example}\n${target.program.output()}`);
}
