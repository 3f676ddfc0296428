import { describe, expect, it } from 'vitest';
import { whenExpired } from '../../src/pipeline/expiry.ts';
import { FakeClock } from '../upstream/fake-clock.ts';

const DAY_MS = 86_400_000;

describe('whenExpired', () => {
  it('calls back once, at the moment and not before, however far away it is', () => {
    const clock = new FakeClock();
    let calls = 0;
    whenExpired(clock, clock.wallMs() + 60 * DAY_MS, () => (calls += 1));
    clock.advance(60 * DAY_MS - 1);
    expect(calls).toBe(0);
    clock.advance(1);
    expect(calls).toBe(1);
    clock.advance(DAY_MS);
    expect([calls, clock.timers]).toEqual([1, 0]);
  });

  it('has no timer for a credential that never expires, and none after it was cancelled', () => {
    const clock = new FakeClock();
    expect(whenExpired(clock, Number.POSITIVE_INFINITY, () => undefined)).toBeNull();
    const expiry = whenExpired(clock, clock.wallMs() + DAY_MS, () => undefined);
    clock.advance(DAY_MS / 2);
    expect(clock.timers).toBe(1);
    expiry?.cancel();
    expect(clock.timers).toBe(0);
  });
});
