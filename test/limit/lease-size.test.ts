import { describe, expect, it } from 'vitest';
import { aheadLevel, leaseSize, lookLevel, smallLeaseSize, urgentLevel } from '../../src/limit/lease-size.ts';
import { specOf } from './limit-support.ts';

describe('smallLeaseSize', () => {
  it.each([
    [1_000, 10, 2, 2],
    [1_000, 10, 4, 1],
    [1_000, 10, 8, 0],
    [20, 10, 2, 1],
    [19, 10, 2, 0],
    [1_000, 39, 4, 4],
    [1_000, 40, 4, 0],
  ])(
    'of %d/s with a burst of %d among %d workers is %d: half of the burst at most, and what comes back in 50 ms',
    (rate, burst, workers, size) => {
      expect(smallLeaseSize(specOf(rate, burst), workers)).toBe(size);
    },
  );
});

describe('leaseSize', () => {
  it.each([
    [10, 4, 0],
    [39, 4, 0],
    [40, 4, 1],
    [500, 4, 12],
    [1_000, 4, 25],
    [10, 1, 1],
  ])('of a burst of %d among %d workers is %d: all together a tenth at most', (burst, workers, size) => {
    expect(leaseSize(specOf(1, burst), workers)).toBe(size);
    expect(leaseSize(specOf(1, burst), workers) * workers).toBeLessThanOrEqual(burst / 10);
  });

  it('fits into a slot, with as much again for those who wait', () => {
    expect(leaseSize(specOf(1, 2 ** 30), 1)).toBe(2 ** 19 - 1);
  });
});

describe('urgentLevel', () => {
  it.each([
    [1_000, 50, 8],
    [10_000, 50, 13],
    [100, 50, 7],
    [0.001, 50, 7],
    [1_000, 1, 1],
    [1_000, 0, 0],
  ])('at %d/s of a lease of %d is %d: what comes back in 8 ms, an eighth at least and a quarter at most', (rate, lease, level) => {
    expect(urgentLevel(specOf(rate, 1_000), lease)).toBe(level);
  });
});

it.each([
  [0, 0, 0],
  [1, 1, 1],
  [10, 6, 9],
  [50, 30, 45],
])('of a lease of %d more is asked for below %d, and thought of below %d', (lease, ahead, look) => {
  expect([aheadLevel(lease), lookLevel(lease)]).toEqual([ahead, look]);
});
