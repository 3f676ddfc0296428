import { describe, expect, it } from 'vitest';
import { InFlightLimit } from '../../src/limit/inflight.ts';

describe('InFlightLimit', () => {
  it('admits as many as the limit and one more after each leave', () => {
    const limit = new InFlightLimit(2);
    expect([limit.enter('a'), limit.enter('a'), limit.enter('a')]).toEqual([true, true, false]);
    limit.leave('a');
    expect([limit.enter('a'), limit.enter('a')]).toEqual([true, false]);
  });

  it('counts principals apart', () => {
    const limit = new InFlightLimit(1);
    expect([limit.enter('a'), limit.enter('b'), limit.enter('a')]).toEqual([true, true, false]);
  });

  it('forgets a principal whose last request has left', () => {
    const limit = new InFlightLimit(4);
    for (let i = 0; i < 10_000; i++) {
      limit.enter(`key-${i}`);
      limit.leave(`key-${i}`);
    }
    limit.enter('last');
    expect(limit.size).toBe(1);
  });

  it('is not opened by a refused enter', () => {
    const limit = new InFlightLimit(1);
    limit.enter('a');
    for (let i = 0; i < 100; i++) expect(limit.enter('a')).toBe(false);
    limit.leave('a');
    expect([limit.enter('a'), limit.enter('a')]).toEqual([true, false]);
  });

  it('throws when a place is given back twice, because the count would drift open', () => {
    const limit = new InFlightLimit(1);
    limit.enter('a');
    limit.leave('a');
    expect(() => limit.leave('a')).toThrow(RangeError);
  });

  it('refuses a limit that would let nobody in', () => {
    expect(() => new InFlightLimit(0)).toThrow(RangeError);
    expect(() => new InFlightLimit(Number.NaN)).toThrow(RangeError);
  });
});
