import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Bench } from './bench.ts';
import type { RequestPlan } from './plan.ts';
import { finish, start } from './process.ts';
import type { Load } from './wrk.ts';

export interface PipeJob {
  readonly command: readonly string[];
  readonly plan: RequestPlan;
  readonly inProgress: number;
  readonly secs: number;
}

const main = fileURLToPath(new URL('../fixtures/pipe-load.ts', import.meta.url));

/** One round of calls to a stdio server by its pipes, nothing in between; the server starts for the round. */
export async function pipeRound(
  bench: Bench,
  command: readonly string[],
  plan: RequestPlan,
  inProgress: number,
  secs: number,
): Promise<Load> {
  const job: PipeJob = { command, plan, inProgress, secs };
  const file = join(bench.dir, 'pipe.json');
  await writeFile(file, JSON.stringify(job));
  const load = JSON.parse(await finish(start('the pipe', process.execPath, [main, file]))) as Load;
  if (load.wrong > 0) throw new Error(`${load.wrong} wrong answers by the pipe. ${load.example}`);
  return load;
}
