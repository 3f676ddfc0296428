import { describe, expect, it } from 'vitest';
import { wholeText } from '../../src/core/whole-text.ts';

describe('wholeText', () => {
  it('gives what String gives', () => {
    const counts = [
      0,
      1,
      9,
      10,
      999,
      1000,
      1001,
      1010,
      9999,
      10_000,
      999_999,
      1_000_000,
      2 ** 31 - 1,
      2 ** 31,
      2 ** 32 + 7,
      2 ** 40,
      Number.MAX_SAFE_INTEGER,
    ];
    expect(counts.map(wholeText)).toEqual(counts.map(String));
  });

  it('gives what String gives for each of a run of numbers', () => {
    for (let count = 0; count < 100_000; count += 7) expect(wholeText(count)).toBe(String(count));
  });
});
