import { describe, expect, it } from 'vitest';
import type { RateLimitSettings } from '../../src/core/config.ts';
import type { LimitOutcome } from '../../src/core/limit.ts';
import { buildInFlightLimit, buildLimiter } from '../../src/limit/build.ts';

const settings: RateLimitSettings = { isEnabled: true, default: { perSecond: 25, burst: 10 }, isDeniedCounted: true, maxInFlight: 64 };
const out: LimitOutcome = { isAllowed: false, limit: 0, remaining: 0, resetSecs: 0, retryAfterSecs: 0 };

describe('buildLimiter', () => {
  it('builds a limiter that holds the burst', () => {
    const limiter = buildLimiter(settings);
    const seen = Array.from({ length: 12 }, () => {
      limiter.take('api_key:a', settings.default, 5, out);
      return out.isAllowed;
    });
    expect(seen.filter(Boolean)).toHaveLength(10);
    expect(limiter.size).toBe(1);
  });

  it('never refuses when limits are disabled', () => {
    const limiter = buildLimiter({ ...settings, isEnabled: false });
    for (let i = 0; i < 10_000; i++) {
      limiter.take('api_key:a', settings.default, 0, out);
      expect(out.isAllowed).toBe(true);
    }
    expect(out.limit).toBe(-1);
  });

  it('holds 100,000 principals by default', () => {
    const limiter = buildLimiter(settings);
    for (let i = 0; i < 100_000; i++) limiter.take(`api_key:${i}`, settings.default, 0, out);
    expect(limiter.size).toBe(100_000);
  });
});

describe('buildInFlightLimit', () => {
  it('holds max_in_flight', () => {
    const limit = buildInFlightLimit({ ...settings, maxInFlight: 3 });
    expect(limit.max).toBe(3);
    expect(Array.from({ length: 4 }, () => limit.enter('a'))).toEqual([true, true, true, false]);
  });

  it('never refuses when limits are disabled', () => {
    const limit = buildInFlightLimit({ ...settings, isEnabled: false, maxInFlight: 3 });
    expect(limit.max).toBe(-1);
    expect(Array.from({ length: 1_000 }, () => limit.enter('a')).every(Boolean)).toBe(true);
    for (let i = 0; i < 1_001; i++) limit.leave('a');
  });
});
