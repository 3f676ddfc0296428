import { describe, expect, it } from 'vitest';
import type { TracedAnswer } from '../../perf/lib/open-loop.ts';
import { outageFigures } from '../../perf/lib/outage.ts';

const LOST_MS = 1_000_000;
const BACK_MS = LOST_MS + 4_000;

/** An answer each 2 ms from two seconds before the loss to two seconds after the return; usually one in 1 ms. */
function answers(of: (sinceLossMs: number) => { readonly ms?: number; readonly status?: number }): readonly TracedAnswer[] {
  return Array.from({ length: 4_000 }, (_, i) => {
    const sinceLossMs = i * 2 - 2_000;
    const { ms = 1, status = 200 } = of(sinceLossMs);
    return [LOST_MS + sinceLossMs, ms, status];
  });
}

const figuresOf = (of: Parameters<typeof answers>[0]): Record<string, number> =>
  outageFigures(answers(of), { lostMs: LOST_MS, backMs: BACK_MS });

describe('the figures of an outage', () => {
  it('are nothing when nobody noticed it', () => {
    expect(figuresOf(() => ({}))).toEqual({
      usualMs: 1,
      worstBeforeMs: 1,
      worstAddedMs: 0,
      secsUntilNormal: 0,
      lateAddedP99Ms: 0,
      worstAddedAfterMs: 0,
      refusedBeforePercent: 0,
      refusedPercent: 0,
    });
  });

  it('tell what was refused while nothing was lost from what the outage refused', () => {
    const figures = figuresOf((ms) => (ms < -1_000 || (ms >= 4_000 && ms % 4 === 0) ? { status: 429 } : {}));
    expect(figures).toMatchObject({ refusedBeforePercent: 50, refusedPercent: 0 });
  });

  it('show the longest wait, how long it lasted, and what was refused', () => {
    const figures = figuresOf((ms) => (ms >= 0 && ms < 250 ? { ms: 16, status: 503 } : {}));
    expect(figures).toMatchObject({ worstAddedMs: 15, secsUntilNormal: 0.3, lateAddedP99Ms: 0 });
    expect(figures['refusedPercent']).toBeCloseTo(6.25);
  });

  it('show waits that do not end, even if only one request in ten meets them', () => {
    expect(figuresOf((ms) => (ms >= 0 && ms < 4_000 ? { ms: 16 } : {}))).toMatchObject({ secsUntilNormal: 4, lateAddedP99Ms: 15 });
    expect(figuresOf((ms) => (ms >= 0 && ms % 20 === 0 ? { ms: 16 } : {}))).toMatchObject({ secsUntilNormal: 0, lateAddedP99Ms: 15 });
  });

  it('do not blame the outage for what was as slow before, or is slow afterwards', () => {
    expect(figuresOf((ms) => (ms % 20 === 0 ? { ms: 9 } : {}))).toMatchObject({ lateAddedP99Ms: 0, worstBeforeMs: 9, secsUntilNormal: 0 });
    expect(figuresOf((ms) => (ms >= 4_000 ? { ms: 31 } : {}))).toMatchObject({
      worstAddedMs: 0,
      worstAddedAfterMs: 30,
      secsUntilNormal: 0,
    });
  });
});
