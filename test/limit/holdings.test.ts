import { describe, expect, it } from 'vitest';
import { Holdings, wholeTokens } from '../../src/limit/holdings.ts';

describe('Holdings', () => {
  it('adds up what all hold', () => {
    const holdings = new Holdings(2, 3);
    holdings.add(0, 1, 5);
    holdings.add(1, 1, 7);
    expect([holdings.sum(1), holdings.of(0, 1), holdings.of(1, 1), holdings.sum(0), holdings.of(9, 1)]).toEqual([12, 5, 7, 0, 0]);
  });

  it('believes a report of less, and none of more', () => {
    const holdings = new Holdings(2, 3);
    holdings.add(0, 1, 5);
    expect([holdings.report(0, 1, 9), holdings.of(0, 1)]).toEqual([0, 5]);
    expect([holdings.report(0, 1, 2), holdings.of(0, 1), holdings.sum(1)]).toEqual([3, 2, 2]);
    expect([holdings.report(0, 1, Number.NaN), holdings.sum(1)]).toEqual([2, 0]);
  });
});

describe('wholeTokens', () => {
  it.each([
    [3.9, 3],
    [-1, 0],
    [Number.NaN, 0],
    [Number.POSITIVE_INFINITY, 2 ** 30],
  ])('makes of %d %d', (count, whole) => {
    expect(wholeTokens(count)).toBe(whole);
  });
});
