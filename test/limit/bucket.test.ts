import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LimitOutcome } from '../../src/core/limit.ts';
import type { LimitSpec } from '../../src/core/principal.ts';
import {
  BYTES_PER_SLOT,
  bucketMemory,
  closeBucket,
  giveTokensBack,
  isInUse,
  openBucket,
  reshapeBucket,
  takeTokens,
  untilFullMs,
} from '../../src/limit/bucket.ts';
import type { BucketMemory } from '../../src/limit/bucket.ts';
import { worstExcess } from './windows.ts';

const outcome = (): LimitOutcome => ({
  isAllowed: false,
  decidedBy: 'principal',
  limit: 0,
  remaining: 0,
  resetSecs: 0,
  retryAfterSecs: 0,
  mode: 'remote',
});
const failMode = 'local' as const;

function bucket(spec: LimitSpec, nowMs = 0): { memory: BucketMemory; take: (nowMs: number, tokens?: number) => LimitOutcome } {
  const memory = bucketMemory(new SharedArrayBuffer(BYTES_PER_SLOT));
  openBucket(memory, 0, spec, true, nowMs);
  return {
    memory,
    take(atMs, tokens = 1) {
      const out = outcome();
      takeTokens(memory, 0, tokens, atMs, out);
      return out;
    },
  };
}

const specs: fc.Arbitrary<LimitSpec> = fc.record({
  perSecond: fc.oneof(fc.integer({ min: 1, max: 1_000_000 }), fc.double({ min: 0.01, max: 1000, noNaN: true })),
  burst: fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 1_000_000 })),
  failMode: fc.constant(failMode),
});
/** Waits in units of the time that one token takes: bursts of simultaneous takes, drizzle and long pauses. */
const waits = fc.array(fc.oneof(fc.constant(0), fc.double({ min: 0, max: 2, noNaN: true }), fc.double({ min: 0, max: 100, noNaN: true })), {
  minLength: 1,
  maxLength: 300,
});
/** Uptime at the start, up to a year. */
const starts = fc.double({ min: 0, max: 3.2e10, noNaN: true });
const TOLERANCE = 1e-4;

describe('bucket', () => {
  it('counts down 9, 8, 7 … for a burst of 10 and then refuses', () => {
    const { take } = bucket({ perSecond: 25, burst: 10, failMode });
    const seen = Array.from({ length: 11 }, () => take(0));
    expect(seen.map((out) => out.remaining)).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0]);
    expect(seen.map((out) => out.isAllowed)).toEqual([...Array.from({ length: 10 }, () => true), false]);
    expect(seen[0]).toEqual({
      isAllowed: true,
      decidedBy: 'principal',
      limit: 10,
      remaining: 9,
      resetSecs: 1,
      retryAfterSecs: 0,
      mode: 'remote',
    });
    expect(seen[10]).toEqual({
      isAllowed: false,
      decidedBy: 'principal',
      limit: 10,
      remaining: 0,
      resetSecs: 1,
      retryAfterSecs: 1,
      mode: 'remote',
    });
  });

  it('refills one token every 40 ms at 25 per second, and none earlier', () => {
    const { take } = bucket({ perSecond: 25, burst: 10, failMode });
    for (let i = 0; i < 10; i++) take(0);
    expect(take(39.99).isAllowed).toBe(false);
    expect(take(40).isAllowed).toBe(true);
    expect(take(40).isAllowed).toBe(false);
    expect(take(80).isAllowed).toBe(true);
  });

  it('states reset as the whole seconds after which it is full', () => {
    const { take } = bucket({ perSecond: 1, burst: 10, failMode });
    expect(Array.from({ length: 10 }, () => take(0).resetSecs)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(take(10_000).remaining).toBe(9);
  });

  it('admits at most burst + rate × T in every window, whatever the demand', () => {
    fc.assert(
      fc.property(specs, starts, waits, (spec, startMs, gaps) => {
        const { take } = bucket(spec, startMs);
        let nowMs = startMs;
        const admitted: { ms: number; tokens: number }[] = [];
        for (const gap of gaps) {
          nowMs += (gap * 1000) / spec.perSecond;
          if (take(nowMs).isAllowed) admitted.push({ ms: nowMs - startMs, tokens: 1 });
        }
        expect(worstExcess(admitted, spec)).toBeLessThanOrEqual(TOLERANCE + spec.perSecond * startMs * Number.EPSILON);
      }),
      { numRuns: 1_000 },
    );
  });

  it('admits no less than the ideal minus one when demand never pauses', () => {
    fc.assert(
      fc.property(specs, fc.double({ min: 0.05, max: 1, noNaN: true }), (spec, step) => {
        // A burst of one loses what it earns between being full and the next take, as any bucket that small must.
        const burst = Math.min(Math.max(spec.burst, 2), 1_000);
        const { take } = bucket({ perSecond: spec.perSecond, burst, failMode });
        let admitted = 0;
        for (let i = 0; i < burst; i++) if (take(0).isAllowed) admitted++;
        expect(admitted).toBe(burst);
        const stepMs = (step * 1000) / spec.perSecond;
        const steps = 500;
        for (let i = 1; i <= steps; i++) if (take(i * stepMs).isAllowed) admitted++;
        expect(admitted).toBeGreaterThanOrEqual(burst + steps * step - 1 - TOLERANCE);
      }),
      { numRuns: 200 },
    );
  });

  it('serves who waits retry_after, exactly', () => {
    fc.assert(
      fc.property(specs, starts, waits, (spec, startMs, gaps) => {
        const small = { perSecond: spec.perSecond, burst: Math.min(spec.burst, 20), failMode };
        const { take } = bucket(small, startMs);
        let nowMs = startMs;
        for (const gap of gaps) {
          nowMs += (gap * 1000) / spec.perSecond;
          const out = take(nowMs);
          if (out.isAllowed) continue;
          expect(out.retryAfterSecs).toBeGreaterThanOrEqual(1);
          nowMs += out.retryAfterSecs * 1000;
          expect(take(nowMs).isAllowed).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('is full after reset, and not a second earlier', () => {
    fc.assert(
      fc.property(specs, starts, fc.integer({ min: 1, max: 60 }), (spec, startMs, takes) => {
        const { take, memory } = bucket(spec, startMs);
        let out = outcome();
        for (let i = 0; i < takes; i++) out = take(startMs);
        expect(untilFullMs(memory, 0, startMs + out.resetSecs * 1000)).toBeLessThanOrEqual(0.01);
        expect(untilFullMs(memory, 0, startMs + (out.resetSecs - 1) * 1000)).toBeGreaterThan(-0.01);
      }),
      { numRuns: 500 },
    );
  });

  it('keeps fractions of a token between takes: takes every millisecond at 3 per second lose nothing in an hour', () => {
    const spec = { perSecond: 3, burst: 2, failMode };
    const { take } = bucket(spec);
    let admitted = 0;
    for (let ms = 0; ms <= 3_600_000; ms++) if (take(ms).isAllowed) admitted++;
    expect(admitted).toBeGreaterThanOrEqual(3 * 3600 + 1);
    expect(admitted).toBeLessThanOrEqual(3 * 3600 + 2);
  });

  it('earns nothing by a clock reading from before the last take', () => {
    const { take } = bucket({ perSecond: 10, burst: 5, failMode }, 1_000);
    for (let i = 0; i < 5; i++) take(2_000);
    expect(take(1_500).isAllowed).toBe(false);
    expect(take(0).isAllowed).toBe(false);
    expect(take(2_099).isAllowed).toBe(false);
    expect(take(2_100).isAllowed).toBe(true);
  });

  it('idles for a hundred years without wrapping around', () => {
    const { take } = bucket({ perSecond: 1_000_000, burst: 1_000_000, failMode });
    const out = take(3.2e12);
    expect([out.isAllowed, out.remaining]).toEqual([true, 999_999]);
  });

  it.each([
    [0.4, 1],
    [1.9, 1],
    [2 ** 30, 2 ** 30],
    [2 ** 40, 2 ** 30],
  ])('a burst of %d admits %d at once', (burst, whole) => {
    const { take } = bucket({ perSecond: 1, burst, failMode });
    expect(take(0)).toMatchObject({ isAllowed: true, limit: whole, remaining: whole - 1 });
  });

  it.each([
    { perSecond: 0, burst: 1, failMode },
    { perSecond: 1, burst: 0, failMode },
    { perSecond: Number.NaN, burst: 1, failMode },
    { perSecond: 1, burst: Number.NaN, failMode },
    { perSecond: Number.POSITIVE_INFINITY, burst: 1, failMode },
  ])('throws for the impossible limit %o', (spec) => {
    expect(() => bucket(spec)).toThrow(RangeError);
  });

  it('keeps the tokens held when the limit changes, up to the new burst', () => {
    const { take, memory } = bucket({ perSecond: 1, burst: 10, failMode });
    for (let i = 0; i < 7; i++) take(0);
    reshapeBucket(memory, 0, { perSecond: 1, burst: 1_000_000, failMode }, 0);
    expect(take(0)).toMatchObject({ limit: 1_000_000, remaining: 2 });
    reshapeBucket(memory, 0, { perSecond: 1, burst: 1, failMode }, 0);
    expect(take(0)).toMatchObject({ isAllowed: true, limit: 1, remaining: 0 });
    expect(take(0).isAllowed).toBe(false);
  });

  it('takes back a token, never above the burst', () => {
    const { take, memory } = bucket({ perSecond: 1, burst: 3, failMode });
    take(0);
    giveTokensBack(memory, 0, 1, 0, 0);
    giveTokensBack(memory, 0, 1, 0, 0);
    expect([take(0), take(0), take(0), take(0)].map((out) => out.isAllowed)).toEqual([true, true, true, false]);
  });

  it('takes back less by what was refilled since: tokens given back late make no second burst', () => {
    const { take, memory } = bucket({ perSecond: 10, burst: 5, failMode });
    for (let i = 0; i < 5; i++) take(0);
    for (let i = 0; i < 5; i++) expect(take(500).isAllowed).toBe(true);
    for (let i = 0; i < 5; i++) giveTokensBack(memory, 0, 1, 500, 0);
    expect(take(500).isAllowed).toBe(false);
    giveTokensBack(memory, 0, 1, 500, 500);
    expect([take(500), take(500)].map((out) => out.isAllowed)).toEqual([true, false]);
  });

  it('takes all of several tokens or none', () => {
    const { take } = bucket({ perSecond: 1, burst: 10, failMode });
    expect(take(0, 7)).toMatchObject({ isAllowed: true, remaining: 3 });
    expect(take(0, 4)).toMatchObject({ isAllowed: false, remaining: 3, retryAfterSecs: 1 });
    expect(take(0, 3)).toMatchObject({ isAllowed: true, remaining: 0 });
    expect(take(0, 11)).toMatchObject({ isAllowed: false, retryAfterSecs: 11 });
    expect(take(1e9, 11).isAllowed).toBe(false);
  });

  it('tells used slots from free ones, and each owner from the last, by the generation', () => {
    const { memory } = bucket({ perSecond: 1, burst: 1, failMode });
    const first = memory.ints[3];
    expect(isInUse(memory, 0)).toBe(true);
    closeBucket(memory, 0);
    expect(isInUse(memory, 0)).toBe(false);
    openBucket(memory, 0, { perSecond: 1, burst: 1, failMode }, true, 0);
    expect(isInUse(memory, 0)).toBe(true);
    expect(memory.ints[3]).not.toBe(first);
  });
});
