import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BenchSettings } from './lib/bench.ts';
import { flameGraph, frameTree, topSelfTime } from './lib/flame-graph.ts';
import type { CpuProfile, Frame } from './lib/flame-graph.ts';
import { readOptions } from './lib/options.ts';
import { RESULTS } from './lib/report.ts';
import { runMain } from './lib/run-main.ts';
import { allScenarios, runScenario } from './lib/suite.ts';
import { requireTools } from './lib/tools.ts';

/**
 * `npm run perf:profile -- <scenario> [--secs N]`: runs a scenario once with one worker per gateway, every process under V8's
 * sampling profiler, and writes for the busiest one the profile, a flame graph and the functions that took most time.
 * The profiler costs time itself: shares are telling, figures of the scenario are not.
 */
const MOST_FUNCTIONS = 30;
const SAMPLE_US = 200;
const ownMain = fileURLToPath(new URL('../dist/src/main.js', import.meta.url));

interface Profiled {
  readonly file: string;
  readonly profile: CpuProfile;
  readonly tree: Frame;
}

/** The process that was busiest: a worker, since the primary relays nothing. */
async function busiest(dir: string): Promise<Profiled> {
  const files = (await readdir(dir)).filter((name) => name.endsWith('.cpuprofile'));
  const all = await Promise.all(
    files.map(async (file) => {
      const profile = JSON.parse(await readFile(join(dir, file), 'utf8')) as CpuProfile;
      return { file, profile, tree: frameTree(profile) };
    }),
  );
  const [first] = all.toSorted((a, b) => b.tree.totalUs - a.tree.totalUs);
  if (first === undefined) throw new Error('no process wrote a profile');
  return first;
}

function print(tree: Frame): void {
  console.table(
    topSelfTime(tree, MOST_FUNCTIONS).map(({ name, place, percent }) => ({ function: name, place, 'self %': Number(percent.toFixed(1)) })),
  );
}

async function main(): Promise<boolean> {
  const [name = '', ...args] = process.argv.slice(2);
  const { isList: _, ...options } = readOptions(['--rounds', '1', '--secs', '5', ...args]);
  const scenario = (await allScenarios()).find((one) => one.name === name);
  if (scenario === undefined) throw new Error('npm run perf:profile -- <scenario> [--secs N]; npm run perf -- --list names the scenarios');
  requireTools();
  if (!existsSync(ownMain)) throw new Error('the gateway is not built: npm run build');
  const dir = await mkdtemp(join(tmpdir(), 'mcp-guard-profile-'));
  try {
    const gatewayEnv = { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${dir} --cpu-prof-interval=${SAMPLE_US}` };
    const say = (text: string): void => void process.stderr.write(`  ${text}\n`);
    const settings: BenchSettings = { options, builds: [{ name: 'gateway', main: ownMain }], gatewayEnv, workers: 1, say };
    const { error } = await runScenario(scenario, settings, []);
    if (error !== null) throw new Error(error);
    const { profile, tree } = await busiest(dir);
    const base = join(RESULTS, `profile-${name}`);
    await mkdir(RESULTS, { recursive: true });
    await writeFile(`${base}.cpuprofile`, JSON.stringify(profile));
    await writeFile(`${base}.svg`, flameGraph(tree, `${name}: ${(tree.totalUs / 1e6).toFixed(1)} s of one worker`));
    print(tree);
    console.log(`${base}.svg\n${base}.cpuprofile`);
    return true;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

await runMain(main);
