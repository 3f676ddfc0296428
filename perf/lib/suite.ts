import { readdir, readFile } from 'node:fs/promises';
import { Bench } from './bench.ts';
import type { BenchSettings } from './bench.ts';
import { judge } from './figures.ts';
import type { Budget, Measured, Verdict } from './figures.ts';
import type { Options } from './options.ts';
import type { Scenario } from './scenario.ts';

/** What a scenario left. `error`: why there are no figures, or not all. */
export interface ScenarioResult {
  readonly name: string;
  readonly shows: string;
  readonly secs: number;
  readonly measured: Measured;
  readonly verdicts: readonly Verdict[];
  readonly notes: readonly string[];
  readonly error: string | null;
}

const folder = new URL('../scenarios/', import.meta.url);
const budgetsFile = new URL('../budgets.json', import.meta.url);

/** Every file of `perf/scenarios`, the long ones last. */
export async function allScenarios(): Promise<Scenario[]> {
  const files = (await readdir(folder)).filter((name) => name.endsWith('.ts')).toSorted();
  const modules = await Promise.all(files.map(async (name) => (await import(new URL(name, folder).href)) as { scenario: Scenario }));
  const scenarios = modules.map(({ scenario }) => scenario);
  return [...scenarios.filter(({ isLong }) => isLong !== true), ...scenarios.filter(({ isLong }) => isLong === true)];
}

/** Bounds by the name of their scenario. */
export async function allBudgets(): Promise<Readonly<Record<string, readonly Budget[]>>> {
  return JSON.parse(await readFile(budgetsFile, 'utf8')) as Record<string, Budget[]>;
}

/** Those that were asked for; throws on a name that is none. Long ones run when named, or when the run is not a quick one. */
export function chosen(scenarios: readonly Scenario[], options: Options): Scenario[] {
  const unknown = options.scenarios.filter((name) => scenarios.every((scenario) => scenario.name !== name));
  if (unknown.length > 0)
    throw new Error(`no such scenario: ${unknown.join(', ')}; there are ${scenarios.map(({ name }) => name).join(', ')}`);
  if (options.scenarios.length > 0) return scenarios.filter(({ name }) => options.scenarios.includes(name));
  return scenarios.filter(({ isLong }) => isLong !== true || !options.isQuick);
}

/** Runs one scenario and judges it; a failure becomes part of the result, and everything it started has ended. */
export async function runScenario(scenario: Scenario, settings: BenchSettings, budgets: readonly Budget[]): Promise<ScenarioResult> {
  const startMs = performance.now();
  const bench = await Bench.open(settings);
  let error: string | null = null;
  try {
    await scenario.run(bench);
  } catch (caught) {
    error = [caught instanceof Error ? caught.message : String(caught), ...bench.obituaries()].join('\n');
  } finally {
    await bench.close();
  }
  const { measured, notes } = bench;
  const { isQuick } = settings.options;
  return {
    name: scenario.name,
    shows: scenario.shows,
    secs: (performance.now() - startMs) / 1_000,
    measured,
    verdicts: budgets.map((budget) => judge(budget, measured, isQuick)),
    notes,
    error,
  };
}

/** Nothing wrong, nothing missing, every bound that holds in this kind of run met. */
export function hasPassed({ error, verdicts, measured }: ScenarioResult): boolean {
  return error === null && Object.keys(measured).length > 0 && verdicts.every(({ isMet, bound }) => isMet || bound === null);
}
