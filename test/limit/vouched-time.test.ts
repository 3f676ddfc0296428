import { describe, expect, it } from 'vitest';
import { SHARE_AFTER_MS } from '../../src/limit/lease-port.ts';
import { VouchedTime } from '../../src/limit/vouched-time.ts';

/** A bucket that takes as long to fill has room for all that anybody saves here. */
const LONG_MS = 1e9;

/** Every holder is heard with a fresh stamp. */
function meet(time: VouchedTime, nowMs: number, ...holders: number[]): void {
  for (const holder of holders) time.heard(holder, time.stampFor(holder, nowMs), nowMs);
}

describe('VouchedTime', () => {
  it('is the time of the clock as long as nobody was away', () => {
    const time = new VouchedTime(3);
    for (let nowMs = 0.1; nowMs < 10_000; nowMs += 97.3) {
      meet(time, nowMs, 0, 1, 2);
      expect(time.advance(nowMs)).toBe(nowMs);
    }
    expect(time.reserveMs(0, LONG_MS)).toBe(0);
  });

  it('runs slower by the share of each holder that is away', () => {
    const time = new VouchedTime(4);
    meet(time, 1_000, 0, 1, 2, 3);
    const awayFromMs = 1_000 + SHARE_AFTER_MS;
    meet(time, awayFromMs, 0, 1, 2);
    expect(time.advance(awayFromMs + 400)).toBe(awayFromMs + 300);
    expect(time.reserveMs(0, LONG_MS)).toBe(100);
  });

  it('stands still while all are away', () => {
    const time = new VouchedTime(2);
    meet(time, 1_000, 0, 1);
    expect(time.advance(100_000)).toBe(1_000 + SHARE_AFTER_MS);
  });

  it('counts the time of holders that have not begun, and of those whose process is gone, as its own', () => {
    const time = new VouchedTime(2);
    meet(time, 1_000, 0);
    time.lost(0, 1_000);
    expect(time.advance(60_000)).toBe(60_000);
  });

  it('takes a holder that was given a stamp for cut off, even if nothing of it is ever heard', () => {
    const time = new VouchedTime(1);
    time.stampFor(0, 1_000);
    expect(time.advance(60_000)).toBe(1_000 + SHARE_AFTER_MS);
  });

  it('does not believe an old stamp, and no stamp from the future', () => {
    const time = new VouchedTime(1);
    const old = time.stampFor(0, 1_000);
    time.heard(0, old, 10_000);
    expect(time.advance(20_000)).toBe(1_000 + SHARE_AFTER_MS);
    time.heard(0, 1e12, 20_000);
    expect(time.advance(1e9)).toBe(1_000 + 2 * SHARE_AFTER_MS);
    time.heard(0, Number.NaN, 1e9);
    time.heard(7, 1e9, 1e9);
    expect(time.advance(2e9)).toBe(1_000 + 2 * SHARE_AFTER_MS);
  });

  it('keeps free what one that came back may have saved, in buckets that were not looked at since, until it is refilled', () => {
    const time = new VouchedTime(2);
    meet(time, 1_000, 0, 1);
    meet(time, 1_000 + SHARE_AFTER_MS, 0);
    meet(time, 2_000, 0);
    const before = time.advance(2_400);
    const saved = (2_400 - 1_000 - SHARE_AFTER_MS) / 2;
    expect(time.reserveMs(before, LONG_MS)).toBe(saved);
    meet(time, 2_400, 0, 1);
    expect(time.reserveMs(before, LONG_MS)).toBe(saved);
    meet(time, 2_500, 0, 1);
    time.advance(2_600);
    expect(time.reserveMs(before - 1, LONG_MS)).toBe(saved - 200);
    expect(time.reserveMs(before + 100, LONG_MS)).toBe(0);
    meet(time, 3_000, 0, 1);
    expect(time.reserveMs(before, LONG_MS)).toBeLessThanOrEqual(0);
  });

  it('never goes back, whatever order it is asked in', () => {
    const time = new VouchedTime(2);
    meet(time, 1_000, 0, 1);
    let last = Number.NEGATIVE_INFINITY;
    for (const nowMs of [1_000, 5_000, 3_000, 5_000, 4_999, 9_000, 1]) {
      const vouched = time.advance(nowMs);
      expect(vouched).toBeGreaterThanOrEqual(last);
      last = vouched;
    }
  });

  it('needs at least one holder', () => {
    expect(() => new VouchedTime(0)).toThrow(RangeError);
    expect(() => new VouchedTime(1.5)).toThrow(RangeError);
    expect(new VouchedTime(3).holders).toBe(3);
  });

  it('keeps free no more than the part of a burst of each that is away, or was', () => {
    const time = new VouchedTime(4);
    meet(time, 1_000, 0, 1, 2, 3);
    meet(time, 1_000 + SHARE_AFTER_MS, 0, 1);
    const before = time.advance(1_000 + SHARE_AFTER_MS);
    for (let nowMs = 2_000; nowMs <= 60_000; nowMs += 500) meet(time, nowMs, 0, 1);
    expect([time.reserveMs(before, 2_000), time.reserveMs(before, 400)]).toEqual([1_000, 200]);
    meet(time, 60_000, 2, 3);
    // Of buckets that nobody looked at meanwhile.
    expect([time.reserveMs(before, 2_000), time.reserveMs(before, 400)]).toEqual([1_000, 200]);
    const looked = time.advance(60_100);
    expect([time.reserveMs(before, 2_000), time.reserveMs(before, 400), time.reserveMs(looked, 2_000)]).toEqual([900, 100, 0]);
    expect(time.reserveMs(before, 0)).toBeLessThanOrEqual(0);
  });
});
