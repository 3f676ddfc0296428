import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { BenchSettings, Build } from './lib/bench.ts';
import { describeMachine } from './lib/machine.ts';
import { runMain } from './lib/run-main.ts';
import { readOptions } from './lib/options.ts';
import type { Options } from './lib/options.ts';
import { writePictures } from './lib/pictures.ts';
import { keep, markdown } from './lib/report.ts';
import type { Report } from './lib/report.ts';
import { allBudgets, allScenarios, chosen, hasPassed, runScenario } from './lib/suite.ts';
import type { ScenarioResult } from './lib/suite.ts';
import { requireTools } from './lib/tools.ts';
import { buildRef } from './lib/worktree.ts';
import type { Worktree } from './lib/worktree.ts';

/** The performance suite: `npm run perf`. Exit code 1 when a bound is missed, an answer was wrong, or nothing could be measured. */
const ownMain = fileURLToPath(new URL('../dist/src/main.js', import.meta.url));

function say(text: string): void {
  process.stderr.write(`  ${text}\n`);
}

async function runAll(options: Options, builds: readonly Build[]): Promise<Report> {
  const workers = Math.min(availableParallelism(), 2);
  const settings: BenchSettings = { options, builds, gatewayEnv: {}, workers, say };
  const budgets = await allBudgets();
  const startedAt = new Date().toISOString();
  const machine = describeMachine();
  const scenarios = chosen(await allScenarios(), options);
  const results: ScenarioResult[] = [];
  for (const [i, scenario] of scenarios.entries()) {
    process.stderr.write(`${scenario.name} (${i + 1} of ${scenarios.length})\n`);
    const result = await runScenario(scenario, settings, budgets[scenario.name] ?? []);
    if (result.error !== null) say(`FAILED: ${result.error}`);
    results.push(result);
    await keep({ startedAt, machine, options, workers, scenarios: results });
  }
  return { startedAt, machine, options, workers, scenarios: results };
}

/** False when anything is not as it should be. */
async function main(): Promise<boolean> {
  const { isList, ...options } = readOptions(process.argv.slice(2));
  if (isList) {
    for (const { name, shows, isLong } of await allScenarios())
      console.log(`${name.padEnd(28)} ${shows}${isLong === true ? ' (long)' : ''}`);
    return true;
  }
  requireTools();
  if (!existsSync(ownMain)) throw new Error('the gateway is not built: npm run build');
  let other: Worktree | null = null;
  try {
    if (options.against !== null) {
      process.stderr.write(`building ${options.against}\n`);
      other = await buildRef(options.against);
    }
    const builds = [
      { name: 'gateway', main: ownMain },
      ...(other === null ? [] : [{ name: `gateway@${options.against}`, main: other.main }]),
    ];
    const report = await runAll(options, builds);
    console.log(markdown(report));
    if (options.arePicturesWanted) console.log((await writePictures(report)).join('\n'));
    console.log(`${await keep(report)}.json`);
    return report.scenarios.every(hasPassed);
  } finally {
    other?.close();
  }
}

await runMain(main);
