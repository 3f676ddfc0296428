import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { judge, medianOf } from './lib/figures.ts';
import type { Budget, Rounds, Verdict } from './lib/figures.ts';
import { startGateway, startNginx, startUpstream, stopAll } from './lib/targets.ts';
import type { Target } from './lib/targets.ts';
import { searchPath, toolProblem } from './lib/tools.ts';
import { load } from './lib/wrk.ts';
import type { Round } from './lib/wrk.ts';

/**
 * A first answer, in under a minute, to "did it get slower": `tools/call` straight to a bare server, through nginx and
 * through the built gateway, in interleaved rounds of one run. Budgets are ratios between them (`budgets.json`).
 */
const ROUNDS = 5;
const ROUND_SECS = 2;
const CONNECTIONS = 32;
const WORKERS = 1;

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

async function startTargets(dir: string, started: Target[]): Promise<void> {
  const upstream = await startUpstream();
  started.push(upstream);
  started.push(await startNginx(dir, upstream, WORKERS));
  started.push(await startGateway(dir, upstream, WORKERS));
}

/** Rounds in turn, each beginning with another target, so that a drift of the machine meets all alike. */
async function measure(targets: readonly Target[]): Promise<Rounds> {
  const rounds: Record<Target['name'], Round[]> = { direct: [], nginx: [], gateway: [] };
  for (const target of targets) await load(target, CONNECTIONS, 1);
  for (let round = 0; round < ROUNDS; round++) {
    const order = targets.map((_, i) => targets[(i + round) % targets.length] as Target);
    for (const target of order) rounds[target.name].push(await load(target, CONNECTIONS, ROUND_SECS));
    console.error(
      `round ${round + 1} of ${ROUNDS}: ${targets.map(({ name }) => `${name} ${Math.round(rounds[name].at(-1)?.requestsPerSec ?? 0)}/s`).join(', ')}`,
    );
  }
  return rounds;
}

function print(rounds: Rounds, verdicts: readonly Verdict[]): void {
  const rows = Object.entries(rounds).map(([target, all]) => ({
    target,
    'requests/s': Math.round(medianOf(all, 'requestsPerSec')),
    'p50 ms': Number(medianOf(all, 'p50Ms').toFixed(2)),
    'p99 ms': Number(medianOf(all, 'p99Ms').toFixed(2)),
    'CPU µs/request': Math.round(medianOf(all, 'cpuUsPerRequest')),
  }));
  console.table(rows);
  for (const { figure, of, against, ratio, min, max, isMet } of verdicts) {
    console.log(
      `${isMet ? 'ok  ' : 'MISS'} ${figure}: ${of} = ${ratio.toFixed(2)} × ${against}, budget ${min === undefined ? `≤ ${max}` : `≥ ${min}`}`,
    );
  }
}

async function save(rounds: Rounds, verdicts: readonly Verdict[]): Promise<string> {
  const machine = { node: process.version, cpu: cpus()[0]?.model ?? 'unknown', cores: availableParallelism() };
  const path = here(`results/smoke-${new Date().toISOString().replaceAll(':', '-')}.json`);
  await mkdir(here('results'), { recursive: true });
  await writeFile(
    path,
    JSON.stringify({ machine, connections: CONNECTIONS, roundSecs: ROUND_SECS, workers: WORKERS, rounds, verdicts }, null, 2),
  );
  return path;
}

async function main(): Promise<boolean> {
  const budgets = JSON.parse(await readFile(here('budgets.json'), 'utf8')) as { readonly smoke: readonly Budget[] };
  const dir = await mkdtemp(join(tmpdir(), 'mcp-guard-perf-'));
  const targets: Target[] = [];
  try {
    await startTargets(dir, targets);
    const rounds = await measure(targets);
    const verdicts = budgets.smoke.map((budget) => judge(budget, rounds));
    print(rounds, verdicts);
    console.log(await save(rounds, verdicts));
    return verdicts.every(({ isMet }) => isMet);
  } finally {
    await stopAll(targets);
    await rm(dir, { recursive: true, force: true });
  }
}

// Through `exit`, which ends what was started.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
try {
  process.env['PATH'] = searchPath(process.env['PATH'] ?? '');
  const problem = toolProblem(process.env['PATH']);
  if (problem !== null) throw new Error(problem);
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
