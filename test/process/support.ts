import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../../src/core/log.ts';

/** Says nothing. */
export const silentLog: Log = {
  trace: () => undefined,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
  isDebug: false,
  isTrace: false,
};

/** Looks again and again, for five seconds at most. */
export async function until(isTrue: () => boolean): Promise<void> {
  const endMs = performance.now() + 5000;
  while (!isTrue()) {
    if (performance.now() > endMs) throw new Error('it did not come to pass');
    await sleep(5);
  }
}
