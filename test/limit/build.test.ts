import { describe, expect, it } from 'vitest';
import type { RateLimitSettings } from '../../src/core/config.ts';
import { buildLimiter } from '../../src/limit/build.ts';
import type { LimiterDeps } from '../../src/limit/build.ts';
import { LeasedLimiter } from '../../src/limit/leased-limiter.ts';
import { FakeClock } from '../upstream/fake-clock.ts';
import { chargeOf, newOutcome, specOf } from './limit-support.ts';

const settings: RateLimitSettings = {
  isEnabled: true,
  default: specOf(25, 10),
  isDeniedCounted: true,
  maxInFlight: 64,
  address: null,
  tools: [],
  perToolDefault: null,
  methods: [],
  maxIdentities: 131_072,
  idleTtlMs: 10_000,
};
const out = newOutcome();
const alone: LimiterDeps = { clock: new FakeClock(), workers: 1, hosts: 1, port: null };

describe('buildLimiter', () => {
  it('builds a limiter that holds the burst', () => {
    const limiter = buildLimiter(settings, alone);
    const takes = Array.from({ length: 12 }, () => limiter.take([chargeOf('api_key:a', settings.default)], 5, out));
    expect(takes.filter((take) => take === 'taken')).toHaveLength(10);
    expect(limiter.size).toBe(1);
  });

  it('never refuses when limits are disabled', () => {
    const limiter = buildLimiter({ ...settings, isEnabled: false }, alone);
    for (let i = 0; i < 10_000; i++) expect(limiter.take([chargeOf('api_key:a', settings.default)], 0, out)).toBe('taken');
    expect(out.limit).toBe(-1);
  });

  it('holds 100,000 principals by default, and as many as configured', () => {
    const limiter = buildLimiter(settings, alone);
    const small = buildLimiter({ ...settings, maxIdentities: 1_000 }, alone);
    for (let i = 0; i < 100_000; i++) {
      limiter.take([chargeOf(`api_key:${i}`, settings.default)], 0, out);
      small.take([chargeOf(`api_key:${i}`, settings.default)], 0, out);
    }
    expect([limiter.size, small.size]).toEqual([100_000, 1_000]);
  });

  it('gives a worker that takes the place of a dead one no second burst', () => {
    const limiter = buildLimiter(settings, { ...alone, replacesSinceMs: 1_000 });
    const takes = Array.from({ length: 12 }, () => limiter.take([chargeOf('api_key:a', settings.default)], 1_100, out));
    expect(takes.filter((take) => take === 'taken')).toHaveLength(2);
  });

  it('asks the authority wherever there is a way to one', () => {
    const sent: unknown[] = [];
    const port = { attach: () => undefined, afterTurn: () => undefined, send: (batch: unknown) => void sent.push(batch) };
    const limiter = buildLimiter(settings, { ...alone, workers: 4, port });
    expect(limiter).toBeInstanceOf(LeasedLimiter);
    expect(sent).toMatchObject([{ isReset: true, stamp: 0, asks: [] }]);
    expect(limiter.take([chargeOf('api_key:a', settings.default)], 0, out)).toBe('unknown');
    limiter.close();
  });
});
