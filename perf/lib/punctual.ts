import { spawnSync } from 'node:child_process';
import { start } from './process.ts';
import type { Program } from './process.ts';

/** Before every ordinary thread, behind the kernel's own. */
const REAL_TIME = ['--fifo', '--pid', '1'];

/** Starts a script that calls `bePunctual`. It collects its garbage in the thread that is never late, and so waits for nobody. */
export function startPunctual(name: string, args: readonly string[]): Program {
  return start(name, process.execPath, ['--single-threaded-gc', ...args]);
}

/**
 * For a process that must not be late although it shares the cores with what it measures: where it may (as root, by `chrt`), its main
 * thread runs whenever it wants to. It sleeps between requests, so nobody starves. The compiler's threads stay ordinary ones: running
 * first, they would hold up what is measured for 20 ms.
 */
export function bePunctual(): void {
  spawnSync('chrt', [...REAL_TIME, String(process.pid)]);
}
