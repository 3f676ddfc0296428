import { describe, expect, it } from 'vitest';
import { Standstill } from '../../perf/lib/standstill.ts';

describe('the standstill of a generator', () => {
  it('is what passes between two looks, when that is more than a millisecond', () => {
    const standstill = new Standstill();
    for (const ms of [100, 100.5, 101.4]) standstill.look(ms);
    expect(standstill.at(101.4)).toBe(101.4);
    standstill.look(121.4);
    expect(standstill.at(121.4)).toBeCloseTo(101.4);
    standstill.look(121.6);
    expect(standstill.at(131.6)).toBeCloseTo(111.6);
  });

  it('begins with the first look', () => {
    const standstill = new Standstill();
    standstill.look(5_000);
    expect(standstill.at(5_000)).toBe(5_000);
  });
});
