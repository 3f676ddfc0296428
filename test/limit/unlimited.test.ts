import { describe, expect, it } from 'vitest';
import type { LimitOutcome } from '../../src/core/limit.ts';
import { unlimited } from '../../src/limit/unlimited.ts';

describe('unlimited', () => {
  it('allows every take and says that no limit headers apply', () => {
    const out: LimitOutcome = { isAllowed: false, limit: 9, remaining: 9, resetSecs: 9, retryAfterSecs: 9 };
    for (let i = 0; i < 1_000; i++) {
      unlimited.take('api_key:a', { perSecond: 0.001, burst: 1 }, 0, out);
      expect(out).toEqual({ isAllowed: true, limit: -1, remaining: -1, resetSecs: 0, retryAfterSecs: 0 });
    }
  });

  it('keeps nothing', () => {
    unlimited.giveBack('api_key:a', { perSecond: 1, burst: 1 }, 0);
    unlimited.sweep(1e9);
    expect(unlimited.size).toBe(0);
  });
});
