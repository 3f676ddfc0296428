import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { REPOSITORY, runProgram, tempDir } from '../e2e/cli.ts';

const SUITE = join(REPOSITORY, 'node_modules', '@modelcontextprotocol', 'conformance', 'dist', 'index.js');
const RUN_TIMEOUT_MS = 60_000;

/** The sets of scenarios that the suite has frozen for a revision. */
export type Revision = '2025-11-25' | '2026-07-28';

/** Status of each check, by `scenario:check#occurrence`: ids repeat within a scenario. */
export type Checks = ReadonlyMap<string, string>;

interface Check {
  readonly id: string;
  readonly status: string;
}

/** `server-tools-list-2026-11-27T23-34-27-594Z`: the folder of one scenario. */
function scenarioOf(folder: string): string {
  return folder.replace(/^server-/, '').replace(/-\d{4}-\d\d-\d\dT.*$/, '');
}

/** `INFO` is a record of what was sent, and no verdict. */
function addChecks(checks: Map<string, string>, scenario: string, list: readonly Check[]): void {
  const seen = new Map<string, number>();
  for (const { id, status } of list) {
    if (status === 'INFO') continue;
    const occurrence = (seen.get(id) ?? 0) + 1;
    seen.set(id, occurrence);
    checks.set(`${scenario}:${id}#${occurrence}`, status);
  }
}

/** A scenario that threw leaves an empty folder: it counts as one check of its own. */
async function readScenario(folder: string): Promise<readonly Check[]> {
  const text = await readFile(join(folder, 'checks.json'), 'utf8').catch(() => '[{"id":"end-of-scenario","status":"FAILURE"}]');
  return JSON.parse(text) as Check[];
}

async function readChecks(output: string): Promise<Checks> {
  const checks = new Map<string, string>();
  for (const folder of (await readdir(output)).sort()) addChecks(checks, scenarioOf(folder), await readScenario(join(output, folder)));
  return checks;
}

/** Runs the pinned official suite against a server. Its exit code says less than its checks, and is not asked. */
export async function runSuite(url: string, revision: Revision): Promise<Checks> {
  const output = join(await tempDir(), 'checks');
  const { stdout, stderr } = await runProgram(process.execPath, [SUITE, 'server', '--url', url, '--requirements', revision, '-o', output], {
    timeoutMs: RUN_TIMEOUT_MS,
  });
  if (!stdout.includes('=== SUMMARY ===')) throw new Error(`the suite did not come to its end\n${stdout}\n${stderr}`);
  return await readChecks(output);
}

/** How many checks ended in this status. */
export function countOf(checks: Checks, status: string): number {
  return [...checks.values()].filter((one) => one === status).length;
}
