import type { Clock, Timer } from '../core/clock.ts';

/** The time of day may be set, and timers count another: it is looked at this often. */
const LOOK_MS = 60_000;

/**
 * Calls back once when the credential that a stream was opened with has expired; null for one that never does. Whoever holds a
 * stream is authenticated when it opens, and never again.
 */
export function whenExpired(clock: Clock, notAfterMs: number, end: () => void): Timer | null {
  if (notAfterMs === Number.POSITIVE_INFINITY) return null;
  const leftMs = (): number => Math.max(notAfterMs - clock.wallMs(), 0);
  const wait = (): Timer => clock.after(Math.min(leftMs(), LOOK_MS), look);
  const look = (): void => {
    if (leftMs() === 0) end();
    else timer = wait();
  };
  let timer = wait();
  return { cancel: () => timer.cancel() };
}
