import { interleave } from './bench.ts';
import type { Bench } from './bench.ts';
import { warmUp } from './closed-loop.ts';
import { runOpenLoop } from './open-loop.ts';
import type { OpenLoopJob, OpenLoopResult } from './open-loop.ts';
import { headsOf } from './plan.ts';
import type { RequestPlan } from './plan.ts';
import type { Target } from './target.ts';
import { ownCpuUs } from './usage.ts';

const CONNECTIONS = 64;
const ROUNDS = 5;
const SECS = 20;
/** Until what idled before a round has got going. */
const LEAD_IN_SECS = 3;
/** A generator that is late more than this says nothing about the server. */
const MAX_LAG_MS = 1;
const MAX_TRIES = 5;

export interface ConstantRate {
  readonly rates: readonly number[];
  readonly rounds?: number;
  readonly secs?: number;
}

/** Loads the targets at constant rates, in interleaved rounds; figures carry the rate, as in `p99Ms@5000`. */
export async function constantRate(bench: Bench, targets: readonly Target[], plan: RequestPlan, options: ConstantRate): Promise<void> {
  const rounds = bench.rounds(options.rounds ?? ROUNDS);
  const secs = bench.secs(options.secs ?? SECS);
  for (const target of targets) await warmUp(bench, target, plan);
  for (const perSec of options.rates) {
    const lost = new Set<Target>();
    await interleave(rounds, targets, async (target, round) => {
      if (lost.has(target)) return;
      const figures = await validRound(bench, target, plan, perSec, secs);
      if (figures === null) return void lost.add(target);
      bench.record(target.name, Object.fromEntries(Object.entries(figures).map(([name, value]) => [`${name}@${perSec}`, value])));
      bench.say(`round ${round + 1} of ${rounds}: ${target.name} at ${perSec}/s: p99 ${(figures['p99Ms'] ?? 0).toFixed(2)} ms`);
    });
  }
}

/**
 * Repeats rounds in which the generator itself was late; null when it never was punctual. In quick runs, which share the machine with
 * others, a late round counts all the same, and the report says so.
 */
async function validRound(
  bench: Bench,
  target: Target,
  plan: RequestPlan,
  perSec: number,
  secs: number,
): Promise<Readonly<Record<string, number>> | null> {
  const { isQuick } = bench.settings.options;
  for (let attempt = 1; attempt <= MAX_TRIES; attempt++) {
    const before = ownCpuUs(target.program);
    const result = await generate(bench, target, plan, perSec, secs);
    const figures = figuresOf(result, ownCpuUs(target.program) - before, secs);
    if (result.lagP99Ms <= MAX_LAG_MS) return figures;
    const what = `the generator was late by ${result.lagP99Ms.toFixed(1)} ms at the 99th percentile in a round of ${target.name} at ${perSec}/s`;
    bench.note(`${what}: ${isQuick ? 'counted, since the run is quick' : 'repeated'}.`);
    if (isQuick) return figures;
  }
  bench.note(`${target.name} could not be measured at ${perSec}/s: the generator was late in ${MAX_TRIES} rounds.`);
  return null;
}

function figuresOf(result: OpenLoopResult, cpuUs: number, secs: number): Record<string, number> {
  const { p50Ms, p90Ms, p99Ms, p999Ms, maxMs, lagP99Ms, requests } = result;
  return {
    p50Ms,
    p90Ms,
    p99Ms,
    p999Ms,
    maxMs,
    lagP99Ms,
    cpuUsPerRequest: cpuUs / requests,
    generatorCpuPercent: result.cpuUs / ((LEAD_IN_SECS + secs) * 10_000),
  };
}

async function generate(bench: Bench, target: Target, plan: RequestPlan, perSec: number, secs: number): Promise<OpenLoopResult> {
  return await openLoop(bench, target, plan, { perSec, secs, leadInSecs: LEAD_IN_SECS, connections: CONNECTIONS });
}

/** One load at a constant rate, by a process of its own; throws when an answer was wrong. */
export async function openLoop(
  bench: Bench,
  target: Target,
  plan: RequestPlan,
  load: Pick<OpenLoopJob, 'perSec' | 'secs' | 'leadInSecs' | 'connections' | 'isTraced'>,
): Promise<OpenLoopResult> {
  const { hostname: host, port } = new URL(target.url);
  const job: OpenLoopJob = { host, port: Number(port), heads: headsOf(target, plan), plan, ...load };
  const result = await runOpenLoop(job, bench.dir);
  if (result.wrong > 0)
    throw new Error(`${target.name}: ${result.wrong} wrong answers of ${result.requests} at ${load.perSec}/s. ${result.example}`);
  return result;
}
