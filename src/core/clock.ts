/** A pending timer. */
export interface Timer {
  cancel(): void;
}

/**
 * Time, as everything but `process/` sees it. Tests replace it. `nowMs` is monotonic, with fractions; `wallMs` is the
 * time of day.
 */
export interface Clock {
  nowMs(): number;
  wallMs(): number;
  /** Calls back once, not before `delayMs`; later while the loop is busy. Does not keep the process alive. */
  after(delayMs: number, callback: () => void): Timer;
  /** Calls back repeatedly until cancelled. Does not keep the process alive. */
  every(periodMs: number, callback: () => void): Timer;
}

/** Keeps the process alive until cancelled: for a wait that only the clock's own timers would end. */
export function holdProcess(): Timer {
  const handle = setInterval(() => undefined, 0x7fffffff);
  return { cancel: () => clearInterval(handle) };
}

/**
 * What `systemClock.nowMs` counts from, on the monotonic clock that all processes of a machine share: added to it, moments
 * of several workers and gateways can be put in order.
 */
export const CLOCK_ORIGIN_MS: number = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** The real clock. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(delayMs, callback) {
    const handle = setTimeout(callback, delayMs);
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
  every(periodMs, callback) {
    const handle = setInterval(callback, periodMs);
    handle.unref();
    return { cancel: () => clearInterval(handle) };
  },
};
