import { describe, expect, it } from 'vitest';
import { InFlightLimit } from '../../src/limit/inflight.ts';
import { PlaceTable } from '../../src/limit/place-table.ts';

const limitTo = (max: number): InFlightLimit => new InFlightLimit(max, new PlaceTable());

describe('InFlightLimit', () => {
  it('admits as many as the limit and one more after each leave', () => {
    const limit = limitTo(2);
    expect([limit.enter('a'), limit.enter('a'), limit.enter('a')]).toEqual(['entered', 'entered', 'full']);
    limit.leave('a');
    expect([limit.enter('a'), limit.enter('a')]).toEqual(['entered', 'full']);
  });

  it('counts principals apart', () => {
    const limit = limitTo(1);
    expect([limit.enter('a'), limit.enter('b'), limit.enter('a')]).toEqual(['entered', 'entered', 'full']);
  });

  it('is not opened by a refused enter', () => {
    const limit = limitTo(1);
    limit.enter('a');
    for (let i = 0; i < 100; i++) expect(limit.enter('a')).toBe('full');
    limit.leave('a');
    expect([limit.enter('a'), limit.enter('a')]).toEqual(['entered', 'full']);
  });

  it('throws when a place is given back twice, because the count would drift open', () => {
    const limit = limitTo(1);
    limit.enter('a');
    limit.leave('a');
    expect(() => limit.leave('a')).toThrow(RangeError);
  });

  it('refuses a limit that would let nobody in', () => {
    expect(() => limitTo(0)).toThrow(RangeError);
    expect(() => limitTo(Number.NaN)).toThrow(RangeError);
  });
});
