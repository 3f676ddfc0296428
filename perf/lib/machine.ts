import { execFileSync } from 'node:child_process';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';

/** Where and of what the figures are. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly kernel: string;
  readonly node: string;
  readonly nginx: string;
  readonly wrk: string;
  readonly commit: string;
  /** Over the minute before the run; above a few tenths somebody else was at work. */
  readonly loadBefore: number;
}

const root = fileURLToPath(new URL('../../', import.meta.url));

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.versions.node,
    nginx: firstMatch(says('nginx', ['-v']), /nginx\/(\S+)/),
    wrk: firstMatch(says('wrk', ['-v']), /wrk (\S+)/),
    commit: says('git', ['-C', root, 'describe', '--always', '--dirty', '--abbrev=12']).trim() || 'unknown',
    loadBefore: Math.round((loadavg()[0] ?? 0) * 100) / 100,
  };
}

/** What a program prints, on either stream; empty when there is no such program. */
function says(command: string, args: readonly string[]): string {
  try {
    return execFileSync('sh', ['-c', '"$0" "$@" 2>&1; true', command, ...args], { encoding: 'utf8' });
  } catch {
    return '';
  }
}

function firstMatch(text: string, pattern: RegExp): string {
  return pattern.exec(text)?.[1] ?? 'unknown';
}
