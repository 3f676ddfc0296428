import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Histogram } from '../../perf/lib/histogram.ts';

function histogramOf(values: readonly number[]): Histogram {
  const histogram = new Histogram();
  for (const value of values) histogram.record(value);
  return histogram;
}

describe('the histogram', () => {
  it('gives any percentile of any durations within a thousandth', () => {
    const durations = fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(durations, fc.constantFrom(1, 50, 90, 99, 99.9, 100), (values, percent) => {
        const sorted = values.toSorted((a, b) => a - b);
        const exact = sorted[Math.max(Math.ceil((percent / 100) * sorted.length), 1) - 1] ?? Number.NaN;
        const given = histogramOf(values).percentileUs(percent);
        expect(given).toBeGreaterThanOrEqual(exact);
        expect(given).toBeLessThanOrEqual(exact * 1.001 + 1e-9);
      }),
    );
  });

  it('counts, and keeps the greatest and the mean exactly', () => {
    const histogram = histogramOf([1, 2, 3, 4_000_001]);
    expect([histogram.total, histogram.maxUs, histogram.meanUs]).toEqual([4, 4_000_001, 1_000_001.75]);
    expect(histogram.percentileUs(100)).toBe(4_000_001);
  });

  it('takes what is beyond its range for its greatest value, and less than nothing for nothing', () => {
    expect(histogramOf([2 ** 40]).percentileUs(100)).toBe(2 ** 32 - 1);
    expect(histogramOf([-5]).percentileUs(100)).toBe(0);
  });

  it('has no percentile of nothing', () => {
    expect(new Histogram().percentileUs(99)).toBeNaN();
  });
});
