import { describe, expect, it } from 'vitest';
import { leaseSize } from '../../src/limit/lease-size.ts';
import { specOf } from './limit-support.ts';

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
