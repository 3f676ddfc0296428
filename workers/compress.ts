import { gzipFile } from '../src/audit/gzip-file.ts';
import { systemClock } from '../src/core/clock.ts';

/** After about a millisecond of work: compression takes a quarter of a processor, so that requests hardly notice it. 100 MB take two seconds. */
const PAUSE_MS = 3;

const pause = (): Promise<void> =>
  new Promise((resolve) => {
    systemClock.after(PAUSE_MS, resolve);
  });

/** Piscina task: compresses a rotated audit file in place of the event loop. */
export default async function compress(path: string): Promise<void> {
  await gzipFile(path, pause);
}
