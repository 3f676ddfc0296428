import { describe, expect, it } from 'vitest';
import { CircuitBreaker } from '../../src/limit/circuit-breaker.ts';

describe('CircuitBreaker', () => {
  const failed = (times: number): CircuitBreaker => {
    const breaker = new CircuitBreaker(5, 30_000);
    for (let i = 0; i < times; i++) breaker.failed(1000);
    return breaker;
  };

  it('opens at the fifth of consecutive failures, for thirty seconds', () => {
    expect([failed(0).phase(1000), failed(4).phase(1000), failed(5).phase(1000)]).toEqual(['closed', 'suspect', 'open']);
    const breaker = failed(5);
    expect([breaker.waitMs(1000), breaker.waitMs(11_000), breaker.phase(30_999), breaker.phase(31_000)]).toEqual([
      30_000,
      20_000,
      'open',
      'half_open',
    ]);
  });

  it('begins to count anew with each success', () => {
    const breaker = failed(4);
    breaker.alive();
    for (let i = 0; i < 4; i++) breaker.failed(1000);
    expect(breaker.phase(1000)).toBe('suspect');
  });

  it('lets one probe through, and none while it is open', () => {
    const breaker = failed(5);
    expect([breaker.takeProbe(30_000), breaker.takeProbe(31_000), breaker.takeProbe(31_000)]).toEqual([false, true, false]);
    expect(breaker.phase(31_000)).toBe('half_open');
  });

  it.each([
    ['closes when the probe is answered', true, 'closed'],
    ['stays open for its time again when the probe fails', false, 'open'],
    ['waits for another probe when the probe told nothing', null, 'half_open'],
  ] as const)('%s', (_, isAlive, phase) => {
    const breaker = failed(5);
    breaker.takeProbe(31_000);
    breaker.probed(isAlive, 32_000);
    expect([breaker.phase(32_000), breaker.waitMs(32_000)]).toEqual([phase, isAlive === false ? 30_000 : 0]);
  });

  it('is not moved by answers to requests of before it opened', () => {
    const breaker = failed(5);
    breaker.alive();
    breaker.failed(20_000);
    expect([breaker.phase(20_000), breaker.waitMs(20_000)]).toEqual(['open', 11_000]);
  });

  it('counts from one again after it has closed', () => {
    const breaker = failed(5);
    breaker.takeProbe(31_000);
    breaker.probed(true, 31_000);
    for (let i = 0; i < 4; i++) breaker.failed(31_000);
    expect(breaker.phase(31_000)).toBe('suspect');
  });
});
