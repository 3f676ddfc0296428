import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readOptions } from '../../perf/lib/options.ts';
import type { Scenario } from '../../perf/lib/scenario.ts';
import { allBudgets, allScenarios, chosen, hasPassed, runScenario } from '../../perf/lib/suite.ts';

const files = readdirSync(new URL('../../perf/scenarios', import.meta.url)).map((name) => name.replace('.ts', ''));
const settings = (args: readonly string[]): Parameters<typeof runScenario>[1] => {
  return { options: readOptions(args), builds: [], gatewayEnv: {}, workers: 1, say: () => undefined };
};
const scenarioThat = (run: Scenario['run']): Scenario => ({ name: 'made up', shows: 'nothing', run });

describe('the scenarios', () => {
  it('bear the names of their files, and the long ones come last', async () => {
    const scenarios = await allScenarios();
    expect(scenarios.map(({ name }) => name).toSorted()).toEqual(files.toSorted());
    const isLong = scenarios.map((scenario) => scenario.isLong === true);
    expect(isLong).toEqual(isLong.toSorted((a, b) => Number(a) - Number(b)));
  });

  it('each have an entry in the budgets, and no budget is without its scenario', async () => {
    expect(Object.keys(await allBudgets()).toSorted()).toEqual(files.toSorted());
  });

  it('are bounded so that quick runs are never held to more than whole ones', async () => {
    const budgets = Object.values(await allBudgets()).flat();
    const stricter = budgets.filter(({ quick, min, max }) => {
      return quick !== undefined && ((min !== undefined && quick > min) || (max !== undefined && quick < max));
    });
    expect(stricter).toEqual([]);
    expect(budgets.filter(({ min, max }) => min !== undefined && max !== undefined)).toEqual([]);
  });

  it('are chosen by name; a quick run leaves out the long ones unless they are named', async () => {
    const scenarios = await allScenarios();
    const namesOf = (...args: string[]): string[] => chosen(scenarios, readOptions(args)).map(({ name }) => name);
    expect(namesOf()).toHaveLength(files.length);
    expect(namesOf('--quick')).not.toContain('soak');
    expect(namesOf('--quick', '--scenario', 'soak,startup')).toEqual(['startup', 'soak']);
    expect(() => namesOf('--scenario', 'startup,no-such')).toThrow('no such scenario: no-such');
  });
});

describe('a scenario that runs', () => {
  const bound = { figure: 'speed', of: 'gateway', min: 5 };

  it('passes with its figures in bounds', async () => {
    const result = await runScenario(
      scenarioThat(async (bench) => bench.record('gateway', { speed: 6 })),
      settings([]),
      [bound],
    );
    expect(result).toMatchObject({ measured: { gateway: { speed: [6] } }, error: null });
    expect(hasPassed(result)).toBe(true);
  });

  it('does not pass when a bound is missed, nothing was measured, or it failed', async () => {
    const outcomeOf = async (run: Scenario['run']): Promise<boolean> =>
      hasPassed(await runScenario(scenarioThat(run), settings([]), [bound]));
    expect(await outcomeOf(async (bench) => bench.record('gateway', { speed: 4 }))).toBe(false);
    expect(await outcomeOf(async (bench) => bench.record('nginx', { speed: 9 }))).toBe(false);
    expect(await outcomeOf(async () => undefined)).toBe(false);
    const failing = async (bench: Parameters<Scenario['run']>[0]): Promise<void> => {
      bench.record('gateway', { speed: 6 });
      throw new Error('a wrong answer');
    };
    expect(await outcomeOf(failing)).toBe(false);
  });

  it('has fewer and shorter rounds when the run is quick, and as many as the run says', async () => {
    const asked: number[] = [];
    const ask = scenarioThat(async (bench) => void asked.push(bench.rounds(5), bench.secs(20)));
    for (const args of [[], ['--quick'], ['--rounds', '2', '--secs', '3'], ['--quick', '--rounds', '4']])
      await runScenario(ask, settings(args), []);
    expect(asked).toEqual([5, 20, 1, 1, 2, 3, 4, 1]);
  });
});

describe('the arguments', () => {
  it.each([
    [['--rounds', '0'], '--rounds must be a number above 0'],
    [['--secs', 'x'], '--secs must be a number above 0'],
    [['--no-such'], 'no-such'],
  ])('%j are refused', (args, message) => {
    expect(() => readOptions(args)).toThrow(message);
  });
});
