import { describe, expect, it } from 'vitest';
import { MUTANTS } from './mutants.ts';
import { randomPlan } from './random-plan.ts';
import { Simulation } from './simulation.ts';
import type { Parts, Plan, Run } from './sim-plan.ts';
import { worstExcess } from './windows.ts';

/** `SEED=n` replays one schedule; `RUNS=n` draws more of them. */
const ONLY_SEED = process.env['SEED'];
const RUNS = Number(process.env['RUNS'] ?? 10_000);
/** A mutant that survives so many schedules was not found. */
const MUTANT_RUNS = 20_000;
/** Times are 64-bit floats: seconds of refill are exact to far less than this. */
const TOLERANCE = 1e-6;
/** The wait ends after 100 ms, or 5 ms after a late timer; a request may come while its answer is just being passed on. */
const LONGEST_WAIT_MS = 125;

function excessOf(plan: Plan, run: Run): number {
  return Math.max(...run.admissions.map((admissions, limit) => worstExcess(admissions, plan.specs[limit] as Plan['specs'][number])));
}

/** Empty when all is well. */
function faultOf(seed: number, parts: Parts = {}): string {
  const plan = parts.plan?.(seed) ?? randomPlan(seed);
  const run = new Simulation(plan, parts).run();
  const excess = excessOf(plan, run);
  if (excess > TOLERANCE) return `SEED=${seed}: ${excess} tokens above burst + rate × T in ${JSON.stringify(plan)}`;
  if (run.forgotten > 0) return `SEED=${seed}: ${run.forgotten} requests were never answered`;
  return run.longestWaitMs > LONGEST_WAIT_MS ? `SEED=${seed}: a request waited for ${run.longestWaitMs} ms` : '';
}

describe('leased limits', () => {
  it(`admit at most burst + rate × T in every window, whatever is late, lost, cut, stopped or killed (${RUNS} schedules)`, () => {
    const seeds = ONLY_SEED === undefined ? Array.from({ length: RUNS }, (_, seed) => seed) : [Number(ONLY_SEED)];
    for (const seed of seeds) {
      const fault = faultOf(seed);
      if (fault !== '') expect.fail(fault);
    }
    expect(seeds.length).toBeGreaterThan(0);
  }, 120_000);

  it.each(Object.keys(MUTANTS))(
    'would be found out if %s',
    (name) => {
      const parts = MUTANTS[name] as Parts;
      let seed = 0;
      while (seed < MUTANT_RUNS && !faultOf(seed, parts).includes('above')) seed++;
      expect(seed).toBeLessThan(MUTANT_RUNS);
    },
    120_000,
  );

  it('are the same twice from the same seed', () => {
    const runs = [1, 2].map(() => new Simulation(randomPlan(17)).run());
    expect(runs[0]).toEqual(runs[1]);
    expect(runs[0]?.requests).toBeGreaterThan(0);
  });

  it.each([
    { perSecond: 1_000, burst: 500, workers: 4, asksPerRequest: 0.2 },
    { perSecond: 1_000, burst: 1_000, workers: 4, asksPerRequest: 0.15 },
    { perSecond: 5_000, burst: 5_000, workers: 8, asksPerRequest: 0.15 },
    { perSecond: 25, burst: 10, workers: 4, asksPerRequest: 1 },
  ])('admit at least 97 % of it under three times the demand, with few asks: %o', ({ perSecond, burst, workers, asksPerRequest }) => {
    const specs = [{ perSecond, burst, failMode: 'local' }] as const;
    const plan: Plan = {
      seed: 1,
      workers,
      specs,
      durationMs: 20_000,
      demand: perSecond * 3,
      burst: 0,
      delayMs: 1,
      faults: [],
    };
    const run = new Simulation(plan).run();
    expect(excessOf(plan, run)).toBeLessThanOrEqual(TOLERANCE);
    expect(run.admissions[0]?.length).toBeGreaterThanOrEqual(0.97 * (burst + perSecond * 20));
    expect(run.asks / run.requests).toBeLessThanOrEqual(asksPerRequest);
  });

  it('admit all of a small burst that has come to rest, wherever its tokens lie', () => {
    const specs = [{ perSecond: 20, burst: 10, failMode: 'local' }] as const;
    const rushes = [
      { atMs: 500, requests: 8, withinMs: 50 },
      { atMs: 1_500, requests: 30, withinMs: 10 },
    ];
    for (let seed = 0; seed < 1_000; seed++) {
      const plan: Plan = {
        seed,
        workers: 4,
        specs,
        durationMs: 2_000,
        demand: 0,
        burst: 0,
        delayMs: 3,
        faults: [],
        idleTtlMs: 60_000,
        rushes,
      };
      const run = new Simulation(plan).run();
      const last = run.admissions[0]?.filter(({ ms }) => ms >= 2_500) ?? [];
      expect({ seed, admitted: last.length }).toEqual({ seed, admitted: 10 });
    }
  });

  it('ask for one token in twelve or less while demand stays below the limit', () => {
    const specs = [{ perSecond: 1_000, burst: 1_000, failMode: 'local' }] as const;
    const plan: Plan = { seed: 2, workers: 4, specs, durationMs: 10_000, demand: 900, burst: 0, delayMs: 1, faults: [] };
    const run = new Simulation(plan).run();
    expect(run.admissions[0]).toHaveLength(run.requests);
    expect(run.asks / run.requests).toBeLessThanOrEqual(1 / 12);
  });

  it('admit at least 97 % of it while a worker is killed every five seconds', () => {
    const specs = [{ perSecond: 1_000, burst: 500, failMode: 'local' }] as const;
    const faults = Array.from({ length: 5 }, (_, i) => ({ kind: 'crash', worker: i, atMs: 2_000 + i * 5_000, forMs: 400 }) as const);
    const plan: Plan = { seed: 3, workers: 4, specs, durationMs: 26_000, demand: 3_000, burst: 0, delayMs: 1, faults };
    const run = new Simulation(plan).run();
    expect(excessOf(plan, run)).toBeLessThanOrEqual(TOLERANCE);
    expect(run.admissions[0]?.length).toBeGreaterThanOrEqual(0.97 * (500 + 1_000 * 26));
  });
});

describe('worstExcess', () => {
  const spec = { perSecond: 10, burst: 2, failMode: 'local' } as const;

  it('finds a single token too many, and nothing where there is none', () => {
    const at = (...times: number[]): { ms: number; tokens: number }[] => times.map((ms) => ({ ms, tokens: 1 }));
    expect(worstExcess(at(0, 0, 100, 200), spec)).toBeCloseTo(0);
    expect(worstExcess(at(0, 0, 100, 199), spec)).toBeGreaterThan(0.005);
    expect(worstExcess(at(0, 500, 1000, 1000, 1000), spec)).toBeCloseTo(1);
    expect(worstExcess([{ ms: 0, tokens: 3 }], spec)).toBe(1);
    expect(worstExcess([], spec)).toBeLessThan(0);
  });
});
