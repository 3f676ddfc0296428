import { spawnSync } from 'node:child_process';
import { start } from './process.ts';
import type { Program } from './process.ts';

/** Before every ordinary process, behind the kernel's own threads. */
const REAL_TIME = ['-f', '1'];
let mayBeRealTime: boolean | null = null;

/**
 * Starts a script that must not be late although it shares the cores with what it measures: where it may (as root, by `chrt`), it
 * runs whenever it wants to. It sleeps between requests, so nobody starves.
 */
export function startPunctual(name: string, args: readonly string[]): Program {
  mayBeRealTime ??= spawnSync('chrt', [...REAL_TIME, 'true']).status === 0;
  return mayBeRealTime ? start(name, 'chrt', [...REAL_TIME, process.execPath, ...args]) : start(name, process.execPath, args);
}
