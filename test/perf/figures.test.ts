import { describe, expect, it } from 'vitest';
import { judge, median, slopeOf, spreadOf } from '../../perf/lib/figures.ts';
import type { Budget, Measured } from '../../perf/lib/figures.ts';

const measured = (gateway: readonly number[], nginx: readonly number[]): Measured => ({
  gateway: { requestsPerSec: gateway },
  nginx: { requestsPerSec: nginx },
});
const ratio: Budget = { figure: 'requestsPerSec', of: 'gateway', against: 'nginx', min: 0.5, aim: 0.7, quick: 0.3 };

describe('the figures of a perf run', () => {
  it('take the middle of an odd and between the middles of an even number', () => {
    expect([median([9, 1, 5]), median([4, 1, 2, 9]), median([])]).toEqual([5, 3, Number.NaN]);
    expect(spreadOf([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 });
  });

  it('compare round by round, so that a machine that slows down changes nothing', () => {
    expect(judge(ratio, measured([60, 30, 6], [100, 50, 10]), false)).toMatchObject({ value: 0.6, isMet: true, isAimReached: false });
    expect(judge(ratio, measured([40, 20, 4], [100, 50, 10]), false)).toMatchObject({ value: 0.4, isMet: false });
    expect(judge(ratio, measured([80], [100]), false)).toMatchObject({ isMet: true, isAimReached: true });
  });

  it('hold quick runs to the generous bound, or to none', () => {
    expect(judge(ratio, measured([40], [100]), true)).toMatchObject({ bound: 0.3, isMet: true });
    expect(judge(ratio, measured([20], [100]), true)).toMatchObject({ bound: 0.3, isMet: false });
    const { quick: _, ...strict } = ratio;
    expect(judge(strict, measured([20], [100]), true)).toMatchObject({ bound: null, isMet: true });
  });

  it('hold upper bounds, absolute ones, and differences', () => {
    const difference: Budget = { figure: 'p99Ms', of: 'gateway', against: 'direct', as: 'difference', max: 2, aim: 0.5 };
    const latency = { gateway: { p99Ms: [3, 9, 3.5] }, direct: { p99Ms: [1.5, 8.6, 1] } };
    expect(judge(difference, latency, false)).toMatchObject({ value: 1.5, isMet: true, isAimReached: false });
    const absolute: Budget = { figure: 'p99Ms', of: 'gateway', max: 3 };
    expect(judge(absolute, latency, false)).toMatchObject({ value: 3.5, isMet: false, isAimReached: null });
  });

  it('know the direction of an aim without a bound', () => {
    const aim: Budget = { figure: 'requestsPerSec', of: 'gateway', against: 'nginx', isMoreBetter: true, aim: 0.8 };
    expect(judge(aim, measured([90], [100]), false)).toMatchObject({ bound: null, isMet: true, isAimReached: true });
    expect(judge(aim, measured([50], [100]), false)).toMatchObject({ bound: null, isMet: true, isAimReached: false });
  });

  it('meet no bound where nothing was measured', () => {
    for (const nothing of [measured([], []), measured([50], []), measured([50], [0]), measured([50, 60], [100]), {}])
      expect(judge(ratio, nothing, false)).toMatchObject({ value: null, isMet: false, isAimReached: false });
  });

  it('find the slope through points that scatter', () => {
    expect(
      slopeOf([
        [1, 10],
        [2, 13],
        [3, 14],
        [4, 17],
      ]),
    ).toBeCloseTo(2.2);
  });
});
