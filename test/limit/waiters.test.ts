import { describe, expect, it } from 'vitest';
import { MAX_WAITERS, MAX_WAITERS_PER_SLOT, Waiters } from '../../src/limit/waiters.ts';
import type { Waiter } from '../../src/limit/waiters.ts';

function waiter(dueMs: number, ...needs: [slot: number, tokens: number][]): Waiter {
  return { again: () => undefined, dueMs, slots: needs.map(([slot]) => slot), tokens: needs.map(([, tokens]) => tokens) };
}

describe('Waiters', () => {
  it('keeps the order of those who wait for a slot, and what they need', () => {
    const waiters = new Waiters();
    const [first, second] = [waiter(20, [3, 5]), waiter(30, [3, 2], [4, 1])];
    waiters.add(first);
    waiters.add(second);
    expect(waiters.of(3)).toEqual([first, second]);
    expect([waiters.need(3), waiters.firstNeed(3), waiters.need(4), waiters.need(5), waiters.firstNeed(5)]).toEqual([7, 5, 1, 0, 0]);
    expect([...waiters.slots()]).toEqual([3, 4]);
  });

  it('removes one from every slot it waits for, once', () => {
    const waiters = new Waiters();
    const one = waiter(20, [3, 5], [4, 1]);
    waiters.add(one);
    expect([waiters.remove(one), waiters.remove(one)]).toEqual([true, false]);
    expect([waiters.size, waiters.has(3), waiters.has(4), waiters.need(3)]).toEqual([0, false, false, 0]);
  });

  it('tells whose time is up, also of those who kept an earlier time', () => {
    const waiters = new Waiters();
    const [late, early] = [waiter(40, [1, 1]), waiter(25, [1, 1])];
    waiters.add(late);
    waiters.add(early);
    expect(waiters.nextDueMs()).toBe(25);
    expect(waiters.due(24)).toEqual([]);
    expect(waiters.due(25)).toEqual([early]);
    waiters.remove(early);
    waiters.remove(late);
    expect(waiters.nextDueMs()).toBe(Number.POSITIVE_INFINITY);
  });

  it('has room for so many per slot and in all, and no more', () => {
    const waiters = new Waiters();
    for (let i = 0; i < MAX_WAITERS_PER_SLOT; i++) waiters.add(waiter(20, [0, 1]));
    expect([waiters.hasRoom(0), waiters.hasRoom(1)]).toEqual([false, true]);
    for (let i = MAX_WAITERS_PER_SLOT; i < MAX_WAITERS; i++) waiters.add(waiter(20, [i, 1]));
    expect(waiters.size).toBe(MAX_WAITERS);
    expect(waiters.hasRoom(MAX_WAITERS + 1)).toBe(false);
  });
});
