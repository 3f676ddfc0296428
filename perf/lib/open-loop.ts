import { writeFile } from 'node:fs/promises';
import { isIPv4 } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { luaList, luaPlan, luaText } from './plan.ts';
import type { RequestPlan } from './plan.ts';
import { finish, start } from './process.ts';

const main = fileURLToPath(new URL('../fixtures/open-loop.lua', import.meta.url));

export interface OpenLoopJob {
  /** An IPv4 address. */
  readonly host: string;
  readonly port: number;
  /** Fixed heads, one per caller; `headsOf` of the plan. */
  readonly heads: readonly string[];
  readonly plan: RequestPlan;
  readonly perSec: number;
  readonly secs: number;
  /** Before `secs`, at the same rate: no latency or lag of it counts. */
  readonly leadInSecs?: number;
  readonly connections: number;
  /** Keeps when each answer came, and takes refusals by a limit as answers too. */
  readonly isTraced?: boolean;
}

/** When the request should have been sent (Unix time), how long its answer took from then but for what the generator stood still, and the status of that. */
export type TracedAnswer = readonly [dueMs: number, ms: number, status: number];

export interface OpenLoopResult {
  /** With those of the lead-in, as are `wrong` and `cpuUs`. */
  readonly requests: number;
  readonly wrong: number;
  readonly example: string;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
  /** How late the generator itself sent, whatever the server did, 99th percentile. */
  readonly lagP99Ms: number;
  readonly cpuUs: number;
  /** In the order of their coming; empty unless they were to be kept. */
  readonly answers: readonly TracedAnswer[];
}

/**
 * Sends requests at a constant rate, whatever the server does, from a process of its own (`fixtures/open-loop.lua`). Rejects when a connection
 * breaks or answers stay away. `dir`: for the job's file.
 */
export async function runOpenLoop(job: OpenLoopJob, dir: string): Promise<OpenLoopResult> {
  if (!isIPv4(job.host)) throw new Error(`The open loop needs an IPv4 address: ${job.host}`);
  const file = join(dir, `open-loop-${job.port}.lua`);
  await writeFile(file, luaJob(job), { mode: 0o600 });
  return JSON.parse(await finish(start('the generator', 'luajit', [main, file]))) as OpenLoopResult;
}

function luaJob({ host, port, heads, plan, perSec, secs, leadInSecs = 0, connections, isTraced = false }: OpenLoopJob): string {
  const numbers = `port=${port},perSec=${perSec},secs=${secs},leadInSecs=${leadInSecs},connections=${connections},isTraced=${isTraced}`;
  return `return {address=${luaText(host)},${numbers},heads=${luaList(heads)},plan={${luaPlan(plan)}}}\n`;
}
