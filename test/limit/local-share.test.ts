import { describe, expect, it } from 'vitest';
import { LocalShare } from '../../src/limit/local-share.ts';
import { specOf } from './limit-support.ts';
import { worstExcess } from './windows.ts';

describe('LocalShare', () => {
  it('starts empty and fills by its part of the rate, up to its part of the burst', () => {
    const share = new LocalShare(4);
    const spec = specOf(40, 20);
    expect(share.level(spec, 1_000, 1_000)).toBe(0);
    expect(share.level(spec, 1_000, 1_100)).toBeCloseTo(1);
    expect(share.level(spec, 1_000, 9_000)).toBe(5);
    expect(share.level(spec, Number.POSITIVE_INFINITY, 9_000)).toBe(0);
  });

  it('is less by what is still held of a lease', () => {
    const share = new LocalShare(2);
    const spec = specOf(100, 20);
    expect(share.level(spec, 0, 1e6, 4)).toBe(6);
    expect(share.take(spec, 0, 7, 1e6, 4)).toBe(-1);
    expect(share.level(spec, share.clip(spec, 0, 1e6, 4), 1e6)).toBeCloseTo(6);
    expect(share.level(spec, share.clip(spec, 0, 1e6, 50), 1e6)).toBeCloseTo(0);
  });

  it('all parts together admit no more than the limit, however they are used', () => {
    const spec = specOf(30, 12);
    const share = new LocalShare(3);
    const emptyAt = [0, 0, 0];
    const admissions: { ms: number; tokens: number }[] = [];
    for (let ms = 0; ms < 20_000; ms += 7) {
      const isPause = ms % 5_000 > 3_000;
      for (let i = 0; i < 3 && !isPause; i++) {
        const next = share.take(spec, emptyAt[i] as number, 1, ms);
        if (next < 0) continue;
        emptyAt[i] = next;
        admissions.push({ ms, tokens: 1 });
      }
    }
    expect(worstExcess(admissions, spec)).toBeLessThanOrEqual(1e-6);
    expect(admissions.length).toBeGreaterThan(30 * 12);
  });

  it('gives nobody a token of a burst that is smaller than the number of parts', () => {
    const share = new LocalShare(4);
    expect(share.take(specOf(1_000, 3), 0, 1, 1e9)).toBe(-1);
    expect(share.waitMs(specOf(1_000, 3), 0, 1, 0)).toBe(Number.POSITIVE_INFINITY);
  });

  it('says how long to wait, and takes back what was not used', () => {
    const share = new LocalShare(2);
    const spec = specOf(2, 10);
    expect(share.waitMs(spec, 0, 3, 1_000)).toBe(2_000);
    expect(share.waitMs(spec, 0, 3, 9_000)).toBe(0);
    const after = share.take(spec, 0, 3, 3_000);
    expect(after).toBeGreaterThanOrEqual(0);
    expect(share.level(spec, after, 3_000)).toBeCloseTo(0);
    expect(share.level(spec, share.undo(spec, after, 3), 3_000)).toBeCloseTo(3);
  });
});
