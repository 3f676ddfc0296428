import { describe, expect, it } from 'vitest';
import { Breaker } from '../../src/limit/breaker.ts';

describe('Breaker', () => {
  it('opens after five failures within a second', () => {
    const breaker = new Breaker();
    for (const ms of [0, 100, 200, 300]) breaker.failed(ms);
    expect(breaker.isClosed).toBe(true);
    breaker.failed(999);
    expect([breaker.isClosed, breaker.state]).toEqual([false, 'open']);
  });

  it('opens at once when it is told to, and forgets what failed before', () => {
    const breaker = new Breaker({ random: () => 0 });
    breaker.failed(0);
    breaker.open(10);
    expect([breaker.state, breaker.mayProbe(1_009), breaker.mayProbe(1_010)]).toEqual(['open', false, true]);
    breaker.open(1_020);
    expect(breaker.state).toBe('half_open');
    breaker.succeeded();
    for (const ms of [1_030, 1_040, 1_050, 1_060]) breaker.failed(ms);
    expect(breaker.isClosed).toBe(true);
  });

  it('stays closed while fewer than five fail in any second', () => {
    const breaker = new Breaker();
    for (let ms = 0; ms < 60_000; ms += 251) breaker.failed(ms);
    expect(breaker.isClosed).toBe(true);
  });

  it('counts failures although some answers come in time', () => {
    const breaker = new Breaker();
    for (let i = 0; i < 5; i++) {
      breaker.failed(i * 100);
      if (i < 4) breaker.succeeded();
    }
    expect(breaker.isClosed).toBe(false);
  });

  it('lets one probe through each second, a little later by chance, and closes when one is answered', () => {
    const breaker = new Breaker({ failures: 1, random: () => 0.5 });
    breaker.failed(0);
    expect(breaker.mayProbe(1_099)).toBe(false);
    expect([breaker.mayProbe(1_100), breaker.state, breaker.mayProbe(1_100), breaker.mayProbe(2_199)]).toEqual([
      true,
      'half_open',
      false,
      false,
    ]);
    breaker.failed(1_150);
    expect(breaker.state).toBe('open');
    expect(breaker.mayProbe(2_200)).toBe(true);
    breaker.succeeded();
    expect([breaker.isClosed, breaker.mayProbe(9_000)]).toEqual([true, false]);
  });

  it('sends those that failed together back at different times', () => {
    const firsts = [0, 0.25, 0.999].map((drawn) => {
      const breaker = new Breaker({ failures: 1, random: () => drawn });
      breaker.failed(0);
      let ms = 0;
      while (!breaker.mayProbe(ms)) ms++;
      return ms;
    });
    expect(firsts).toEqual([1_000, 1_050, 1_200]);
  });

  it('opens again by five new failures', () => {
    const breaker = new Breaker();
    for (let i = 0; i < 5; i++) breaker.failed(i);
    breaker.mayProbe(2_000);
    breaker.succeeded();
    for (let i = 0; i < 4; i++) breaker.failed(2_000);
    expect(breaker.isClosed).toBe(true);
    breaker.failed(2_001);
    expect(breaker.isClosed).toBe(false);
  });

  it('refuses to open at nothing', () => {
    expect(() => new Breaker({ failures: 0 })).toThrow(RangeError);
  });
});
