import { describe, expect, it } from 'vitest';
import { emptyNotes, type Principal } from '../../src/core/principal.ts';
import { RecentLogins } from '../../src/observe/recent-logins.ts';
import { FakeClock } from '../upstream/fake-clock.ts';

const TTL_MS = 1000;

function principal(id: string, notes = emptyNotes()): Principal {
  const access = { mayReach: () => true, tool: () => ({ isAllowed: true, rule: '' }), allowsAllTools: () => true };
  const limit = { perSecond: 1, burst: 1, failMode: 'local' } as const;
  return { key: `api_key:${id}`, provider: 'api_key', id, isAdmin: false, access, limit, notAfterMs: Number.POSITIVE_INFINITY, notes };
}

describe('RecentLogins', () => {
  it('tells each pair of principal and address once in its time, wherever a principal came from meanwhile', () => {
    const clock = new FakeClock();
    const logins = new RecentLogins(clock, TTL_MS, 100);
    const [alice, bob] = [principal('alice'), principal('bob')];
    expect([logins.isNew(alice, '1.1.1.1'), logins.isNew(alice, '1.1.1.1'), logins.isNew(bob, '1.1.1.1')]).toEqual([true, false, true]);
    clock.advance(600);
    expect([logins.isNew(alice, '2.2.2.2'), logins.isNew(alice, '1.1.1.1'), logins.isNew(alice, '2.2.2.2')]).toEqual([true, false, false]);
    clock.advance(500);
    // The first pair is 1.1 s old, the second half a second.
    expect([logins.isNew(alice, '2.2.2.2'), logins.isNew(alice, '1.1.1.1'), logins.isNew(alice, '1.1.1.1')]).toEqual([false, true, false]);
  });

  it('knows a principal again whose configuration was read anew, and one without notes', () => {
    const logins = new RecentLogins(new FakeClock(), TTL_MS, 100);
    expect(logins.isNew(principal('alice'), '1.1.1.1')).toBe(true);
    const [again, { notes: _, ...bare }] = [principal('alice'), principal('alice')];
    expect([logins.isNew(again, '1.1.1.1'), logins.isNew(again, '1.1.1.1'), logins.isNew(bare, '1.1.1.1')]).toEqual([false, false, false]);
  });
});
