import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** How the stdio fixture behaves; everything is optional. */
export interface StdioBehaviour {
  readonly name?: string;
  /**
   * Names for `tools/list`; default all that it has: `echo` (after its argument `delayMs`), `env`, `whoami`, `sleep`, `progress`,
   * `crash`, `raw`, `null` (a result of null); `grow` (by `mib` of memory) is there and not listed.
   */
  readonly tools?: readonly string[];
  /** Further members of its `tools/list` results: a cursor. */
  readonly listExtras?: Readonly<Record<string, unknown>>;
  /** Every line it receives is appended to this file, and `start PID` when it starts. */
  readonly recordFile?: string;
  /** Read requests and answer nothing: to the first one (`initialize`) or to all but it (`calls`). */
  readonly silent?: 'initialize' | 'calls';
  /** Printed to stdout before anything else: noise that is no JSON-RPC. */
  readonly noise?: readonly string[];
  /** Printed to stderr at the start. */
  readonly stderr?: readonly string[];
  /** Exit with this code at once. */
  readonly exitCode?: number;
  /** Exit with code 1 at once as long as this file exists. */
  readonly exitIfFile?: string;
  readonly startDelayMs?: number;
  /** Ignore SIGTERM and the end of stdin: only SIGKILL ends it. */
  readonly isStubborn?: boolean;
}

const FIXTURE = join(import.meta.dirname, 'fixtures', 'stdio-upstream.ts');

/** `command` and `args` of an upstream that behaves so. */
export function stdioUpstream(behaviour: StdioBehaviour = {}): {
  readonly transport: 'stdio';
  readonly command: string;
  readonly args: string[];
} {
  return {
    transport: 'stdio',
    command: process.execPath,
    args: ['--disable-warning=ExperimentalWarning', FIXTURE, JSON.stringify(behaviour)],
  };
}

/** What the fixture wrote to its `recordFile`: process ids it ran as, and the messages it received. */
export async function readRecord(
  path: string,
): Promise<{ readonly pids: readonly number[]; readonly messages: readonly Readonly<Record<string, unknown>>[] }> {
  const lines = (await readFile(path, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');
  const starts = lines.filter((line) => line.startsWith('start '));
  return {
    pids: starts.map((line) => Number(line.slice('start '.length))),
    messages: lines.filter((line) => !line.startsWith('start ')).map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

/** Whether a process with this id runs; one that has ended and only waits to be collected by init does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.charAt(stat.lastIndexOf(')') + 2) !== 'Z';
  } catch {
    // Gone meanwhile, or a system without /proc.
    return process.platform !== 'linux';
  }
}
