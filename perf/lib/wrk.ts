import { fileURLToPath } from 'node:url';
import { writeLuaPlan } from './plan.ts';
import type { RequestPlan } from './plan.ts';
import { finish, start } from './process.ts';
import type { Program } from './process.ts';
import type { Target } from './target.ts';

/** What a load generator saw in one round. */
export interface Load {
  readonly requests: number;
  readonly secs: number;
  /** Answers that were read and were not what the plan wants. */
  readonly wrong: number;
  /** Connections refused or broken, answers not had in time. */
  readonly failed: number;
  /** One of the wrong answers, shortened; empty when there is none. */
  readonly example: string;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Processor time of the generator itself. */
  readonly generatorCpuUs: number;
}

interface WrkReport {
  readonly requests: number;
  readonly durationUs: number;
  readonly wrong: number;
  readonly failed: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly cpuUs: number;
  readonly example: string;
}

const script = fileURLToPath(new URL('../fixtures/verify.lua', import.meta.url));

/** A generator that has been started: its program, and what it will have seen. */
export interface Loading {
  readonly program: Program;
  readonly load: Promise<Load>;
}

/** Closed-loop load by wrk: every connection sends its next request when it has its answer, and every answer is read. */
export async function wrk(target: Target, plan: RequestPlan, dir: string, connections: number, secs: number): Promise<Load> {
  const { load } = startWrk(target, await writeLuaPlan(dir, target, plan), connections, secs);
  return await load;
}

/** The same, for who has to do with the generator meanwhile. `timeoutSecs`: what takes longer has failed. */
export function startWrk(target: Target, planFile: string, connections: number, secs: number, timeoutSecs = 2): Loading {
  const times = [`-d${Math.ceil(secs)}s`, '--timeout', `${timeoutSecs}s`];
  const args = ['-t1', `-c${connections}`, ...times, '-s', script, target.url, '--', planFile];
  const program = start('wrk', 'wrk', args);
  return { program, load: finish(program).then(readReport) };
}

function readReport(stdout: string): Load {
  const line = stdout.split('\n').find((text) => text.startsWith('@'));
  if (line === undefined) throw new Error(`wrk printed no report:\n${stdout}`);
  const report = JSON.parse(line.slice(1)) as WrkReport;
  const { requests, wrong, failed, example } = report;
  const [p50Ms, p99Ms] = [report.p50Us / 1_000, report.p99Us / 1_000];
  return { requests, secs: report.durationUs / 1e6, wrong, failed, example, p50Ms, p99Ms, generatorCpuUs: report.cpuUs };
}
