import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RequestPlan } from './plan.ts';
import { finish, start } from './process.ts';
import type { Target } from './target.ts';
import type { Load } from './wrk.ts';

const main = fileURLToPath(new URL('../fixtures/autocannon-load.ts', import.meta.url));

/** As `wrk`, by autocannon, in a process of its own. */
export async function autocannon(target: Target, plan: RequestPlan, dir: string, connections: number, secs: number): Promise<Load> {
  const file = join(dir, 'autocannon.json');
  const { url, callers } = target;
  await writeFile(file, JSON.stringify({ url, callers, plan, connections, secs }), { mode: 0o600 });
  return JSON.parse(await finish(start('autocannon', process.execPath, [main, file]))) as Load;
}
