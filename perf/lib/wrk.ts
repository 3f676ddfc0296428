import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cpuUs } from './process.ts';
import type { Target } from './targets.ts';

/** One round of load on one target. */
export interface Round {
  readonly requestsPerSec: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU time per request of the target's own processes. */
  readonly cpuUsPerRequest: number;
}

interface WrkReport {
  readonly requests: number;
  readonly durationUs: number;
  readonly wrong: number;
  readonly failed: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly example: string;
}

const script = fileURLToPath(new URL('../fixtures/tools-call.lua', import.meta.url));
const run = promisify(execFile);

/** Closed-loop load, every answer verified; throws when one is wrong, missing, or when nothing was served. */
export async function load(target: Target, connections: number, seconds: number): Promise<Round> {
  const headers = target.headers.flatMap((header) => ['-H', header]);
  const before = cpuUs(target.program);
  const { stdout } = await run('wrk', ['-t1', `-c${connections}`, `-d${seconds}s`, '-s', script, ...headers, target.url]);
  const usedUs = cpuUs(target.program) - before;
  const report = parseReport(stdout);
  if (report.wrong + report.failed > 0 || report.requests === 0) {
    throw new Error(
      `${target.name}: ${report.wrong} wrong answers, ${report.failed} failed of ${report.requests}. ${report.example}\n${target.program.output()}`,
    );
  }
  return {
    requestsPerSec: report.requests / (report.durationUs / 1e6),
    p50Ms: report.p50Us / 1_000,
    p99Ms: report.p99Us / 1_000,
    cpuUsPerRequest: usedUs / report.requests,
  };
}

function parseReport(stdout: string): WrkReport {
  const line = stdout.split('\n').find((text) => text.startsWith('@'));
  if (line === undefined) throw new Error(`wrk printed no report:\n${stdout}`);
  return JSON.parse(line.slice(1)) as WrkReport;
}
