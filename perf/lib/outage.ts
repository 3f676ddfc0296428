import { median } from './figures.ts';
import type { TracedAnswer } from './open-loop.ts';

/** When something was lost and when it came back, as Unix time. */
export interface Outage {
  readonly lostMs: number;
  readonly backMs: number;
}

const WINDOW_MS = 100;
/** An answer this much later than usual was held up. */
const HELD_UP_MS = 5;
/** So many of a window's answers are no pause of a process, as there are without an outage, too. */
const HELD_UP_PART = 0.2;
/** From here on nothing may be seen of an outage any more. */
const OVER_AFTER_MS = 1_000;

/**
 * What an outage cost those who were served through it, from the answers to a constant load before, during and after.
 * Usual is the median before it, for percentiles the same percentile.
 */
export function outageFigures(answers: readonly TracedAnswer[], { lostMs, backMs }: Outage): Record<string, number> {
  const between = (fromMs: number, toMs: number): TracedAnswer[] => answers.filter(([dueMs]) => dueMs >= fromMs && dueMs < toMs);
  const before = between(0, lostMs);
  const during = between(lostMs, backMs);
  const late = between(lostMs + OVER_AFTER_MS, backMs);
  const after = between(backMs, Number.POSITIVE_INFINITY);
  const usualMs = median(before.map(([, ms]) => ms));
  return {
    usualMs,
    worstBeforeMs: worst(before),
    worstAddedMs: worst(during) - usualMs,
    secsUntilNormal: secsHeldUp(during, usualMs, lostMs),
    lateAddedP99Ms: p99(late) - p99(before),
    worstAddedAfterMs: worst(after) - usualMs,
    refusedBeforePercent: refusedPercent(before),
    refusedPercent: refusedPercent(during),
  };
}

function refusedPercent(answers: readonly TracedAnswer[]): number {
  return (answers.filter(([, , status]) => status !== 200).length / answers.length) * 100;
}

function worst(answers: readonly TracedAnswer[]): number {
  return answers.reduce((most, [, ms]) => Math.max(most, ms), Number.NEGATIVE_INFINITY);
}

function p99(answers: readonly TracedAnswer[]): number {
  const sorted = answers.map(([, ms]) => ms).toSorted((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * 0.99) - 1] ?? Number.NaN;
}

/** To the end of the last window in which answers were held up. */
function secsHeldUp(during: readonly TracedAnswer[], usualMs: number, lostMs: number): number {
  const windows: { all: number; heldUp: number }[] = [];
  for (const [dueMs, ms] of during) {
    const window = (windows[Math.floor((dueMs - lostMs) / WINDOW_MS)] ??= { all: 0, heldUp: 0 });
    window.all += 1;
    if (ms > usualMs + HELD_UP_MS) window.heldUp += 1;
  }
  return ((windows.findLastIndex((window) => (window?.heldUp ?? 0) > (window?.all ?? 0) * HELD_UP_PART) + 1) * WINDOW_MS) / 1_000;
}
