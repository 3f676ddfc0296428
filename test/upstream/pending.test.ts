import { describe, expect, it } from 'vitest';
import { UPSTREAM_FAILED } from '../../src/core/errors.ts';
import { PendingTable, SWEEP_MS } from '../../src/upstream/pending.ts';
import type { PendingEntry } from '../../src/upstream/pending.ts';
import { FakeClock } from './fake-clock.ts';
import { call, Sink } from './support.ts';

function table(maxEntries = 100): { clock: FakeClock; pending: PendingTable; expired: string[] } {
  const clock = new FakeClock();
  const expired: string[] = [];
  const onExpired = (entry: PendingEntry, deadline: string): void => void expired.push(`${entry.idToken} ${deadline}`);
  return {
    clock,
    expired,
    pending: new PendingTable({ clock, maxEntries, deadlinesOf: () => ({ timeoutMs: 1000, timeoutMaxMs: 3000 }), onExpired }),
  };
}

function add(pending: PendingTable, id: string | number, principal = 'api_key:alice', sink = new Sink()): PendingEntry {
  const entry = pending.add(call('x/y', { _meta: { progressToken: 'p' } }, id), principal, sink);
  if (entry === null) throw new Error('full');
  return entry;
}

describe('PendingTable', () => {
  it('gives equal client ids different internal ones and keeps the original tokens as they were written', () => {
    const { pending } = table();
    const one = add(pending, 1);
    const other = add(pending, '1', 'api_key:bob');
    expect(one.id).not.toBe(other.id);
    expect([one.idToken, other.idToken, one.progressToken]).toEqual(['1', '"1"', '"p"']);
  });

  it('never uses an internal id twice', () => {
    const { pending } = table();
    const ids = Array.from({ length: 50 }, () => {
      const entry = add(pending, 7);
      pending.remove(entry);
      return entry.id;
    });
    expect(new Set(ids).size).toBe(50);
  });

  it('is bounded for clients and not for its own requests', () => {
    const { pending } = table(2);
    add(pending, 1);
    add(pending, 2);
    expect(pending.add(call('ping'), 'api_key:alice', new Sink())).toBeNull();
    expect(pending.addOwn(new Sink(), 100)).toBeDefined();
    expect(pending.size).toBe(2);
  });

  it('counts subscriptions by themselves: they leave the room to what is answered, and are bounded', () => {
    const { pending, clock, expired } = table(1);
    const listen = (id: number): PendingEntry | null =>
      pending.add(call('subscriptions/listen', {}, id), 'api_key:alice', new Sink(), true);
    const open = Array.from({ length: 4096 }, (_, id) => listen(id));
    expect([open.includes(null), listen(5000)]).toEqual([false, null]);
    const entry = add(pending, 1);
    expect([pending.add(call('ping'), 'api_key:alice', new Sink()), pending.size]).toEqual([null, 4097]);
    pending.remove(entry);
    pending.remove(open[0] as PendingEntry);
    expect([add(pending, 2) === null, listen(5001) === null, pending.size]).toEqual([false, false, 4097]);
    clock.advance(10_000);
    expect(expired).toEqual(['2 idle']);
  });

  it('expires an entry that shows no life, and one that shows life for too long', () => {
    const { clock, pending, expired } = table();
    add(pending, 'silent');
    const lively = add(pending, 'lively');
    for (let ms = 0; ms < 2800; ms += 400) {
      clock.advance(400);
      pending.touch(lively);
    }
    expect(expired).toEqual(['"silent" idle']);
    clock.advance(400);
    expect(expired).toEqual(['"silent" idle', '"lively" hard']);
  });

  it('is late by one sweep at most and keeps no timer while it is empty', () => {
    const { clock, pending, expired } = table();
    for (let count = 0; count < 100; count += 1) add(pending, count);
    expect(clock.timers).toBe(1);
    clock.advance(999);
    expect(expired).toEqual([]);
    clock.advance(1 + SWEEP_MS);
    expect(expired.length).toBe(100);
    clock.advance(SWEEP_MS);
    expect(clock.timers).toBe(0);
  });

  it('finds a request by principal and client id, never that of another principal', () => {
    const { pending } = table();
    const alice = add(pending, 1, 'api_key:alice');
    const bob = add(pending, 1, 'api_key:bob');
    expect(pending.findByClientId('api_key:alice', '1')).toBe(alice);
    expect(pending.findByClientId('api_key:bob', '1')).toBe(bob);
    expect(pending.findByClientId('api_key:bob', '"1"')).toBeNull();
    expect(pending.findByClientId('api_key:carol', '1')).toBeNull();
  });

  it('finds nothing when two clients of one principal count alike', () => {
    const { pending } = table();
    add(pending, 1);
    const second = add(pending, 1);
    expect(pending.findByClientId('api_key:alice', '1')).toBeNull();
    pending.remove(second);
    expect(pending.findByClientId('api_key:alice', '1')).not.toBeNull();
  });

  it('cannot be asked for the requests of the gateway itself', () => {
    const { pending } = table();
    pending.addOwn(new Sink(), 100);
    expect(pending.findByClientId('', '0')).toBeNull();
  });

  it('tells every caller once when all fail, and no caller that left', async () => {
    const { pending } = table();
    const staying = new Sink();
    const leaving = new Sink();
    add(pending, 1, 'api_key:alice', staying);
    add(pending, 2, 'api_key:alice', leaving).detach(() => undefined);
    pending.failAll(UPSTREAM_FAILED, 'gone');
    pending.failAll(UPSTREAM_FAILED, 'gone');
    expect((await staying.outcome).refusal).toBe(UPSTREAM_FAILED);
    expect([staying.outcomes, leaving.outcomes, pending.size]).toEqual([1, 0, 0]);
  });

  it('tells a caller that left once when the wait is over, at once when it was over before', () => {
    const { clock, pending } = table();
    const over: string[] = [];
    const [answered, late, failed, done] = [1, 2, 3, 4].map((id) => add(pending, id)) as [
      PendingEntry,
      PendingEntry,
      PendingEntry,
      PendingEntry,
    ];
    pending.remove(done);
    done.detach(() => over.push('done'));
    answered.detach(() => over.push('answered'));
    late.detach(() => over.push('late'));
    pending.remove(answered);
    pending.remove(answered);
    expect(over).toEqual(['done', 'answered']);
    failed.detach(() => over.push('failed'));
    clock.advance(900);
    pending.touch(failed);
    clock.advance(100 + SWEEP_MS);
    expect(over).toEqual(['done', 'answered', 'late']);
    pending.failAll(UPSTREAM_FAILED, 'gone');
    expect(over).toEqual(['done', 'answered', 'late', 'failed']);
  });

  it('keeps the place of a caller that left until the answer or the deadline', () => {
    const { clock, pending, expired } = table(1);
    add(pending, 1).detach(() => undefined);
    expect(pending.add(call('ping'), 'api_key:bob', new Sink())).toBeNull();
    clock.advance(1000 + SWEEP_MS);
    expect(expired).toEqual(['1 idle']);
    expect(pending.add(call('ping'), 'api_key:bob', new Sink())).not.toBeNull();
  });
});
