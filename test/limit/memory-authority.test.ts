import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LeaseAnswer } from '../../src/core/limit.ts';
import type { LimitSpec } from '../../src/core/principal.ts';
import { SHARE_AFTER_MS } from '../../src/limit/lease-port.ts';
import { MemoryAuthority } from '../../src/limit/memory-authority.ts';
import type { AuthorityOptions } from '../../src/limit/memory-authority.ts';
import { FakeClock } from '../upstream/fake-clock.ts';
import { specOf } from './limit-support.ts';

interface Table {
  readonly authority: MemoryAuthority;
  readonly clock: FakeClock;
  ask(holder: number, key: string, spec: LimitSpec, want: number, atLeast?: number, have?: number): LeaseAnswer;
  /** All that the holder had is spent. */
  spend(holder: number, key: string): void;
}

function open(options: Partial<AuthorityOptions> = {}): Table {
  const clock = new FakeClock();
  const authority = new MemoryAuthority({ holders: 4, capacity: 64, idleTtlMs: 1_000, clock, ...options });
  return {
    authority,
    clock,
    ask(holder, key, spec, want, atLeast = 1, have = 0) {
      const answers: LeaseAnswer[] = [];
      authority.ask(holder, { key, limit: 'principal', spec, want, atLeast, have, ahead: 0 }, (answer) => answers.push(answer));
      expect(answers).toHaveLength(1);
      return answers[0] as LeaseAnswer;
    },
    spend: (holder, key) => authority.giveBack(holder, key, 0, 0),
  };
}

describe('MemoryAuthority', () => {
  it('grants what is there, and says how long until there is more', () => {
    const { ask, spend, clock } = open();
    const spec = specOf(10, 20);
    expect(ask(0, 'a', spec, 15)).toEqual({ granted: 15, waitMs: 0, left: 5, mode: 'remote' });
    expect(ask(1, 'a', spec, 15)).toEqual({ granted: 5, waitMs: 0, left: 0, mode: 'remote' });
    spend(0, 'a');
    expect(ask(2, 'a', spec, 1)).toEqual({ granted: 0, waitMs: 100, left: 0, mode: 'remote' });
    clock.advance(100);
    expect(ask(2, 'a', spec, 1).granted).toBe(1);
  });

  it('grants at least what was asked for, or nothing', () => {
    const { ask } = open();
    const spec = specOf(10, 20);
    ask(0, 'a', spec, 15);
    expect(ask(1, 'a', spec, 15, 6)).toMatchObject({ granted: 0, left: 5, waitMs: 100 });
    expect(ask(1, 'a', spec, 15, 5).granted).toBe(5);
  });

  it('stops refilling at the burst less what is held elsewhere', () => {
    const { ask, clock } = open();
    const spec = specOf(10, 20);
    ask(0, 'a', spec, 6);
    clock.advance(1e6);
    expect(ask(1, 'a', spec, 20)).toMatchObject({ granted: 14, left: 0 });
  });

  it('refills what was spent once that is reported, and does not credit it', () => {
    const { ask, clock } = open();
    const spec = specOf(10, 20);
    ask(0, 'a', spec, 20);
    expect(ask(0, 'a', spec, 20, 1, 12).granted).toBe(0);
    clock.advance(1e6);
    expect(ask(1, 'a', spec, 20).granted).toBe(8);
  });

  it('credits what is given back, up to what was held', () => {
    const { ask, authority } = open();
    const spec = specOf(10, 20);
    ask(0, 'a', spec, 10);
    authority.giveBack(0, 'a', 4, 6);
    expect(ask(1, 'a', spec, 20).granted).toBe(14);
    authority.giveBack(0, 'a', 1_000, 0);
    expect(ask(2, 'a', spec, 20).granted).toBe(6);
    authority.giveBack(3, 'a', 5, 0);
    authority.giveBack(0, 'unknown', 5, 0);
    expect(ask(3, 'a', spec, 20).granted).toBe(0);
  });

  it('credits nothing for a holder that says it has more than it was given', () => {
    const { ask, authority } = open();
    const spec = specOf(10, 20);
    ask(0, 'a', spec, 5);
    authority.giveBack(0, 'a', 5, 100);
    expect(ask(1, 'a', spec, 20, 1, 1e9).granted).toBe(15);
  });

  it('takes what a lost holder held for spent', () => {
    const { ask, authority, clock } = open();
    const spec = specOf(10, 20);
    ask(0, 'a', spec, 20);
    authority.lost(0);
    expect(ask(1, 'a', spec, 20).granted).toBe(0);
    clock.advance(2_000);
    expect(ask(1, 'a', spec, 20).granted).toBe(20);
  });

  it('does not let a loss bring forward what had to wait for it', () => {
    const { ask, authority, clock } = open();
    const spec = specOf(10, 20);
    ask(0, 'a', spec, 12);
    clock.advance(60_000);
    authority.lost(0);
    expect(ask(1, 'a', spec, 20).granted).toBe(8);
  });

  it.each([-1, 4, 1.5, Number.NaN])('grants nothing to holder %d, who is none', (holder) => {
    const { ask, authority } = open();
    expect(ask(holder, 'a', specOf(10, 20), 5).granted).toBe(0);
    authority.giveBack(holder, 'a', 5, 0);
    authority.lost(holder);
    expect(ask(0, 'a', specOf(10, 20), 20).granted).toBe(20);
  });

  it('gives no parts of a lease to those who would come back for every token', () => {
    const { ask, spend, clock } = open();
    const spec = specOf(1_000, 1_000);
    ask(0, 'a', spec, 1_000);
    spend(0, 'a');
    expect(ask(1, 'a', spec, 25)).toMatchObject({ granted: 0, waitMs: 25 });
    clock.advance(10);
    const early = ask(2, 'a', spec, 25);
    expect([early.granted, early.left, Math.round(early.waitMs)]).toEqual([0, 10, 15]);
    clock.advance(15);
    expect(ask(2, 'a', spec, 25).granted).toBe(25);
  });

  it('lets nobody wait longer than 100 ms for a lease when one token is all that is needed', () => {
    const { ask, spend, clock } = open();
    const spec = specOf(20, 1_000);
    ask(0, 'a', spec, 1_000);
    spend(0, 'a');
    expect(ask(1, 'a', spec, 25)).toMatchObject({ granted: 0, waitMs: 100 });
    clock.advance(100);
    expect(ask(1, 'a', spec, 25).granted).toBe(2);
  });

  it('applies a changed limit without giving anything for the change', () => {
    const { ask } = open();
    ask(0, 'a', specOf(10, 20), 18);
    expect(ask(1, 'a', specOf(10, 1_000), 50).granted).toBe(2);
    expect(ask(2, 'a', specOf(10, 5), 50).granted).toBe(0);
  });

  it('leaves holders that are cut off their share of rate and burst', () => {
    const { ask, spend, authority, clock } = open({ holders: 2 });
    const spec = specOf(10, 20);
    for (const holder of [0, 1]) authority.heard(holder, authority.stampFor(holder));
    ask(0, 'a', spec, 20);
    spend(0, 'a');
    clock.advance(SHARE_AFTER_MS);
    authority.heard(0, authority.stampFor(0));
    expect(ask(0, 'a', spec, 20).granted).toBe(7);
    spend(0, 'a');
    // Half of what ten a second are worth, and the half token that was left over.
    clock.advance(500);
    authority.heard(0, authority.stampFor(0));
    expect(ask(0, 'a', spec, 20).granted).toBe(3);
    clock.advance(1e6);
    expect(ask(0, 'a', spec, 20)).toMatchObject({ granted: 0 });
  });

  it('keeps free in a full bucket what those who are cut off may have saved', () => {
    const { ask, authority, clock } = open({ holders: 2 });
    const spec = specOf(10, 20);
    for (const holder of [0, 1]) authority.heard(holder, authority.stampFor(holder));
    ask(0, 'seen', spec, 1, 1);
    authority.giveBack(0, 'seen', 1, 0);
    clock.advance(SHARE_AFTER_MS);
    authority.heard(0, authority.stampFor(0));
    for (let i = 0; i < 4; i++) {
      clock.advance(400);
      authority.heard(0, authority.stampFor(0));
    }
    expect(ask(0, 'seen', spec, 20).granted).toBe(12);
    expect(ask(0, 'unknown', spec, 20).granted).toBe(12);
  });

  it('gives the others their part for as long as one is cut off', () => {
    const { ask, spend, authority, clock } = open({ holders: 2 });
    const spec = specOf(10, 20);
    for (const holder of [0, 1]) authority.heard(holder, authority.stampFor(holder));
    ask(0, 'unused', spec, 1, 1);
    authority.giveBack(0, 'unused', 1, 0);
    let granted = 0;
    for (let halfSecond = 0; halfSecond < 240; halfSecond++) {
      clock.advance(500);
      authority.heard(0, authority.stampFor(0));
      const { granted: tokens } = ask(0, 'a', spec, 20);
      spend(0, 'a');
      if (halfSecond >= 120) granted += tokens;
    }
    // Half of the rate, and of a burst that was saved; all of a burst of which nobody's part is a whole token.
    expect([granted, ask(0, 'unused', spec, 20).granted, ask(0, 'single', specOf(10, 1), 1).granted]).toEqual([300, 10, 1]);
  });

  it('never evicts a bucket of which somebody holds tokens', () => {
    const { ask, authority } = open({ capacity: 3 });
    const spec = specOf(1_000, 100);
    ask(0, 'held', spec, 60);
    for (let i = 0; i < 100; i++) {
      expect(ask(1, `other-${i}`, spec, 5).granted).toBe(5);
      authority.giveBack(1, `other-${i}`, 5, 0);
    }
    expect(authority.size).toBe(3);
    expect(ask(2, 'held', spec, 100).granted).toBe(40);
  });

  it('has nothing for an unknown key while of every bucket something is held', () => {
    const { ask, authority, clock } = open({ capacity: 2 });
    const spec = specOf(1_000, 100);
    ask(0, 'a', spec, 1);
    ask(0, 'b', spec, 1);
    expect(ask(0, 'c', spec, 1)).toMatchObject({ granted: 0, left: 0, waitMs: 1_000 });
    authority.giveBack(0, 'a', 0, 0);
    clock.advance(1);
    expect(ask(0, 'c', spec, 1).granted).toBe(1);
    expect(authority.size).toBe(2);
  });

  it('starts unknown keys empty after a bucket that was not full had to be evicted', () => {
    const { ask, authority, clock } = open({ capacity: 2 });
    const slow = specOf(0.1, 5);
    expect(ask(0, 'attacker', slow, 5).granted).toBe(5);
    authority.giveBack(0, 'attacker', 0, 0);
    for (let i = 0; i < 20; i++) ask(0, `rotated-${i}`, specOf(1, 1), 1);
    for (let i = 0; i < 20; i++) authority.giveBack(0, `rotated-${i}`, 0, 0);
    for (let i = 0; i < 3; i++) {
      ask(0, `more-${i}`, specOf(1, 1), 1);
      authority.giveBack(0, `more-${i}`, 0, 0);
    }
    expect(ask(0, 'attacker', slow, 5).granted).toBe(0);
    clock.advance(60_000);
    expect(ask(0, 'fresh', slow, 5).granted).toBe(5);
  });

  it('forgets what is full, idle and held by nobody', () => {
    const { ask, authority, clock } = open();
    const spec = specOf(1_000, 10);
    ask(0, 'held', spec, 1);
    ask(0, 'returned', spec, 1);
    authority.giveBack(0, 'returned', 1, 0);
    clock.advance(999);
    authority.sweep();
    expect(authority.size).toBe(2);
    clock.advance(1_001);
    authority.sweep();
    expect(authority.size).toBe(1);
    authority.giveBack(0, 'held', 1, 0);
    clock.advance(2_000);
    authority.sweep();
    expect(authority.size).toBe(0);
    expect(ask(0, 'held', spec, 10).granted).toBe(10);
  });

  it('counts asks, denials and tokens', () => {
    const { ask, authority } = open();
    ask(0, 'a', specOf(10, 20), 15);
    ask(0, 'a', specOf(10, 20), 15, 10);
    expect(authority.stats).toEqual({ asks: 2, denials: 1, recalls: 0, tokens: 15 });
  });

  it('a share of it has its part of rate and burst, and can start empty', () => {
    const { ask, spend, clock } = open({ share: 0.25, opensEmpty: true });
    const spec = specOf(40, 20);
    expect(ask(0, 'a', spec, 20).granted).toBe(0);
    clock.advance(200);
    expect(ask(0, 'a', spec, 20).granted).toBe(2);
    spend(0, 'a');
    clock.advance(1e6);
    expect(ask(0, 'a', spec, 20).granted).toBe(5);
    expect(ask(0, 'tiny', specOf(40, 3), 1).granted).toBe(0);
  });

  it('admits no key more than its limit, however keys, holders, losses and returns follow each other', () => {
    const step = fc.record({
      key: fc.integer({ min: 0, max: 5 }),
      holder: fc.integer({ min: 0, max: 2 }),
      gapMs: fc.constantFrom(0, 0, 1, 20, 300, 2_000),
      kind: fc.constantFrom('ask', 'ask', 'ask', 'spend', 'return', 'lost', 'sweep'),
      count: fc.integer({ min: 1, max: 6 }),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 4, max: 8 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 12 }),
        fc.array(step, { minLength: 30, maxLength: 200 }),
        (capacity, perSecond, burst, steps) => {
          const { authority, clock, ask } = open({ holders: 3, capacity: capacity + 12 });
          const spec = specOf(perSecond, burst);
          const held = new Map<string, number>();
          const spent = new Map<number, { ms: number; tokens: number }[]>();
          const spend = (key: number, tokens: number): void => {
            spent.set(key, [...(spent.get(key) ?? []), { ms: clock.nowMs(), tokens }]);
          };
          for (const { key, holder, gapMs, kind, count } of steps) {
            clock.advance(gapMs);
            const name = `${holder} ${key}`;
            const have = held.get(name) ?? 0;
            if (kind === 'ask') held.set(name, have + ask(holder, `k${key}`, spec, count, 1, have).granted);
            if (kind === 'spend') spend(key, Math.min(have, count));
            if (kind === 'spend') held.set(name, have - Math.min(have, count));
            if (kind === 'return') {
              authority.giveBack(holder, `k${key}`, Math.min(have, count), have - Math.min(have, count));
              held.set(name, have - Math.min(have, count));
            }
            if (kind === 'sweep') authority.sweep();
            if (kind !== 'lost') continue;
            authority.lost(holder);
            for (let other = 0; other < 6; other++) held.delete(`${holder} ${other}`);
          }
          for (const list of spent.values()) {
            let lead = Number.NEGATIVE_INFINITY;
            let sum = 0;
            for (const { ms, tokens } of list) {
              lead = Math.max(lead, (perSecond * ms) / 1_000 - sum);
              sum += tokens;
              expect(sum - (perSecond * ms) / 1_000 + lead).toBeLessThanOrEqual(burst + 1e-6);
            }
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('refuses a capacity or a number of holders that is none', async () => {
    expect(() => open({ capacity: 0 })).toThrow(RangeError);
    expect(() => open({ holders: 0 })).toThrow(RangeError);
    await open().authority.close();
  });
});
