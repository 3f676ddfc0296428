import type { Clock, Timer } from '../core/clock.ts';

/** Longest sleep, so that time in which the event loop stood still is seen wherever in a wait it lies. */
const SLICE_MS = 10;
/** By how much a timer may be late on an event loop that is not busy. */
const LATE_MS = 10;
/** How long the answers that have arrived while the loop stood still get to be read. */
const CATCH_UP_MS = 5;

/**
 * Measures how long something is waited for: only time in which this event loop could have read an answer. A loop that stands
 * still (a collection of garbage, a program that is being compiled, a machine that does something else) learns nothing of who does
 * not answer. It ends in any case: each time that it is looked at, the clock advances.
 */
export class WaitClock {
  readonly #clock: Clock;
  readonly #onWake: () => void;
  #timer: Timer | null = null;
  /** When the timer is due, monotonic. */
  #timerMs = Number.NEGATIVE_INFINITY;
  #lostMs = 0;
  #wasLate = false;

  /** `onWake` is called at the moment asked for or earlier. */
  constructor(clock: Clock, onWake: () => void) {
    this.#clock = clock;
    this.#onWake = onWake;
  }

  nowMs(): number {
    const nowMs = this.#clock.nowMs();
    const lateMs = this.#timer === null ? 0 : nowMs - this.#timerMs;
    if (lateMs > LATE_MS) this.#lose(lateMs, nowMs);
    return nowMs - this.#lostMs;
  }

  /** Calls when this clock has come to `dueMs`, or sooner. */
  wakeAt(dueMs: number): void {
    const waitMs = Math.min(SLICE_MS, Math.max(0, dueMs - this.nowMs()));
    const timerMs = this.#clock.nowMs() + waitMs;
    if (this.#timer !== null && this.#timerMs <= timerMs) return;
    this.#timer?.cancel();
    this.#timerMs = timerMs;
    this.#timer = this.#clock.after(waitMs, () => this.#wake());
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** Twice in a row there is no time to catch up: a loop that is always late must come to an end, too. */
  #lose(lateMs: number, nowMs: number): void {
    this.#lostMs += lateMs + (this.#wasLate ? 0 : CATCH_UP_MS);
    this.#wasLate = true;
    this.#timerMs = nowMs;
  }

  #wake(): void {
    const lostMs = this.#lostMs;
    this.nowMs();
    this.#wasLate = this.#lostMs > lostMs;
    this.#timer = null;
    this.#onWake();
  }
}
