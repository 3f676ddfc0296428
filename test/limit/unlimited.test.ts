import { describe, expect, it } from 'vitest';
import { unlimited } from '../../src/limit/unlimited.ts';
import { chargeOf, newOutcome, specOf } from './limit-support.ts';

describe('unlimited', () => {
  const charges = [chargeOf('api_key:a', specOf(0.001, 1), 1, 'address')];

  it('allows every take and says that no limit headers apply', () => {
    const out = { ...newOutcome(), limit: 9, remaining: 9, resetSecs: 9, retryAfterSecs: 9 };
    for (let i = 0; i < 1_000; i++) {
      expect(unlimited.take(charges, 0, out)).toBe('taken');
      expect(out).toEqual({
        isAllowed: true,
        decidedBy: 'address',
        limit: -1,
        remaining: -1,
        resetSecs: 0,
        retryAfterSecs: 0,
        mode: 'remote',
      });
    }
  });

  it('keeps nothing', async () => {
    unlimited.giveBack(charges, 0, 0);
    unlimited.sweep(1e9);
    expect(unlimited.size).toBe(0);
    expect(unlimited.view(0, 10)).toEqual([]);
    expect(unlimited.stats()).toMatchObject({ mode: 'remote', asks: 0 });
    await new Promise<void>((resolve) => unlimited.whenKnown(charges, resolve));
    unlimited.close();
  });
});
