import { join } from 'node:path';

export interface WildBehaviour {
  /** Its process id and that of its grandchild (`start PID`) and every message it receives are appended to this file. */
  readonly recordFile?: string;
  /** Starts a process of its own that ignores SIGTERM. */
  readonly hasGrandchild?: boolean;
  /** Ignores SIGTERM and the end of its input. */
  readonly isStubborn?: boolean;
  /** Ends at once with code 1 when this file does not exist yet, and makes it; the next one never answers. */
  readonly failsOnceFile?: string;
}

const FIXTURE = join(import.meta.dirname, 'fixtures', 'wild-upstream.ts');

/**
 * `command` and `args` of a stdio server that behaves badly on demand, by tool: `flood` (endless bytes without a line end),
 * `large` (an answer of `chars`), `stderr` and `noise` (`lines` to stderr or stdout), `silence` (no answer), `stop` (SIGSTOP to
 * itself); any other answers with its process id, arguments, environment and folder.
 */
export function wildUpstream(
  behaviour: WildBehaviour = {},
  args: readonly string[] = [],
): { readonly command: string; readonly args: string[] } {
  return { command: process.execPath, args: ['--disable-warning=ExperimentalWarning', FIXTURE, JSON.stringify(behaviour), ...args] };
}
