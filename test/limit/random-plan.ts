import type { FailMode, LimitSpec } from '../../src/core/principal.ts';
import { randomOf } from './sim-plan.ts';
import type { Fault, Plan } from './sim-plan.ts';

interface Draw {
  between(from: number, to: number): number;
  oneOf<T>(...choices: readonly T[]): T;
}

function drawFrom(random: () => number): Draw {
  return {
    between: (from, to) => from + random() * (to - from),
    oneOf: (...choices) => choices[Math.floor(random() * choices.length)] as (typeof choices)[number],
  };
}

/** A schedule drawn from its seed: slow and fast limits, small and large bursts, drizzle and floods, one fault or many. */
export function randomPlan(seed: number): Plan {
  const draw = drawFrom(randomOf(seed ^ 0x5bd1e995));
  const character = draw.between(0, 1);
  if (character < 0.7) return mixed(seed, draw);
  if (character < 0.8) return longOutage(seed, draw);
  return character < 0.9 ? flapping(seed, draw) : contended(seed, draw);
}

function specOf({ between, oneOf }: Draw): LimitSpec {
  const failMode = oneOf<FailMode>('local', 'local', 'local', 'closed');
  const burst = oneOf(Math.ceil(between(1, 8)), Math.ceil(between(5, 40)), Math.ceil(between(40, 150)));
  return { perSecond: oneOf(between(0.5, 20), between(10, 100), between(50, 400)), burst, failMode };
}

function mixed(seed: number, draw: Draw): Plan {
  const { between, oneOf } = draw;
  const workers = oneOf(1, 2, 3, 4, 5);
  const specs = Array.from({ length: oneOf(1, 1, 2, 3) }, () => specOf(draw));
  const durationMs = oneOf(800, 1_500, 2_500, 4_000);
  const faults = Array.from({ length: oneOf(0, 1, 1, 2, 4) }, (): Fault => {
    const atMs = between(0, durationMs * 0.9);
    const kind = oneOf<Fault['kind']>('crash', 'cut', 'stop', 'hang', 'outage');
    const forMs = oneOf(between(1, 60), between(20, 400), between(400, 2_000));
    if (kind === 'hang' || kind === 'outage') return { kind, atMs, forMs };
    return { kind, atMs, forMs, worker: Math.floor(between(0, workers)) };
  });
  const most = Math.max(...specs.map(({ burst }) => burst));
  const burst = oneOf(0, most, Math.ceil(most * 1.5));
  const givenBack = { part: oneOf(0.1, 0.5), withinMs: oneOf(1, 5, 600) };
  return {
    givenBack,
    seed,
    workers,
    specs,
    durationMs,
    demand: between(5, 150),
    burst,
    delayMs: oneOf(0.5, 5, 30),
    faults,
    capacity: oneOf(1, 2, 16),
  };
}

/** Some or all are cut off for so long that they live on their own share, and then everybody wants everything. */
function longOutage(seed: number, { between, oneOf }: Draw): Plan {
  const workers = oneOf(1, 2, 3);
  const burst = Math.ceil(between(4, 40));
  const specs: LimitSpec[] = [{ perSecond: between(10, 80), burst, failMode: 'local' }];
  const kind = oneOf<Fault['kind']>('cut', 'hang', 'outage');
  const span = { atMs: between(0, 500), forMs: between(1_200, 2_500) };
  const faults: Fault[] =
    kind === 'cut' ? [{ kind, worker: oneOf(0, 1), ...span }] : [{ kind: kind === 'hang' ? kind : 'outage', ...span }];
  const demand = oneOf(5, 50, 300);
  const givenBack = { part: 0.1, withinMs: 5 };
  return { givenBack, seed, workers, specs, durationMs: 4_000, demand, burst: oneOf(0, burst * 2), delayMs: oneOf(0.5, 5), faults };
}

/** A small and fast limit that is asked for everywhere at once, so that tokens are called back all the time, while messages take long. */
export function contended(seed: number, { between, oneOf }: Draw = drawFrom(randomOf(seed ^ 0x5bd1e995))): Plan {
  const workers = oneOf(2, 2, 3);
  const specs: LimitSpec[] = [{ perSecond: between(60, 300), burst: Math.ceil(between(5, 16)), failMode: 'local' }];
  const demand = oneOf(100, 300, 600);
  const givenBack = { part: 0.1, withinMs: 5 };
  return { givenBack, seed, workers, specs, durationMs: 2_000, demand, burst: oneOf(0, 8), delayMs: oneOf(5, 8, 30), faults: [] };
}

/** Connections are lost over and over while much is on the way. */
function flapping(seed: number, { between, oneOf }: Draw): Plan {
  const workers = oneOf(1, 2, 3);
  const burst = oneOf(Math.ceil(between(2, 8)), Math.ceil(between(40, 120)));
  const specs: LimitSpec[] = [{ perSecond: between(20, 200), burst, failMode: 'local' }];
  const faults = Array.from({ length: 24 }, (): Fault => {
    return { kind: 'cut', worker: Math.floor(between(0, workers)), atMs: between(0, 1_400), forMs: between(0.1, 20) };
  });
  const givenBack = { part: 0.1, withinMs: 5 };
  return { givenBack, seed, workers, specs, durationMs: 1_500, demand: between(100, 400), burst: burst * 2, delayMs: 30, faults };
}
