import { describe, expect, it } from 'vitest';
import type { PoolSettings } from '../../src/core/config.ts';
import { PoolCare } from '../../src/upstream/pool-care.ts';
import { PoolChild, type ChildUpstream, TASK_GRACE_MS } from '../../src/upstream/pool-child.ts';
import { FakeClock } from './fake-clock.ts';

const POOL: PoolSettings = {
  isolation: 'shared',
  min: 0,
  max: 1,
  queueMs: 0,
  childCalls: 0,
  idleMs: 10_000,
  recycleCalls: 2,
  recycleBytes: 0,
};

interface Ward {
  readonly clock: FakeClock;
  readonly care: PoolCare;
  readonly child: PoolChild;
  readonly ended: PoolChild[];
  hasTasks: boolean;
}

function ward(pool: PoolSettings = POOL): Ward {
  const clock = new FakeClock();
  const ended: PoolChild[] = [];
  const upstream: ChildUpstream = {
    state: 'ready',
    isUsable: true,
    pids: [],
    get hasTasks() {
      return made.hasTasks;
    },
    start: () => undefined,
    request: () => {
      throw new Error('nothing is asked');
    },
    notify: () => null,
    close: () => Promise.resolve(),
  };
  const child = new PoolChild(0, '', 'modern', upstream, clock.nowMs());
  const care = new PoolCare(pool, clock, { list: [child], isSpare: () => true, retire: (one) => ended.push(one) });
  const made: Ward = { clock, care, child, ended, hasTasks: true };
  care.start();
  return made;
}

function call({ child, care }: Ward): void {
  child.calls += 1;
  care.wear(child);
}

describe('a child that is worn', () => {
  it('waits for its tasks as long as they are waited for, and takes calls meanwhile', () => {
    const one = ward({ ...POOL, idleMs: 3_600_000 });
    for (let turn = 0; turn < 5; turn += 1) call(one);
    expect(one.child.isRetiring).toBe(false);
    one.clock.advance(TASK_GRACE_MS - 1000);
    call(one);
    expect([one.ended, one.child.isRetiring]).toEqual([[], false]);
    one.clock.advance(2000);
    expect(one.ended.length).toBeGreaterThan(0);
  });

  it('waits no longer for tasks that follow: a caller who always has one keeps it no longer than anybody else', () => {
    const one = ward({ ...POOL, idleMs: 3_600_000 });
    call(one);
    call(one);
    for (let turn = 0; turn < TASK_GRACE_MS / 1000; turn += 1) {
      one.clock.advance(1000);
      call(one);
    }
    expect(one.child.isRetiring).toBe(true);
  });

  it('goes on for a task that its last call became', () => {
    const one = ward();
    one.hasTasks = false;
    call(one);
    call(one);
    expect(one.child.isRetiring).toBe(true);
    one.hasTasks = true;
    expect([one.care.mayRetire(one.child), one.child.isRetiring]).toEqual([false, false]);
    one.hasTasks = false;
    one.clock.advance(1000);
    expect(one.ended).toEqual([one.child]);
  });
});

describe('a child that nobody needs', () => {
  it('waits for its tasks as long, without them not at all', () => {
    const [busy, done] = [ward(), ward()];
    done.hasTasks = false;
    for (const { clock } of [busy, done]) clock.advance(POOL.idleMs);
    expect([busy.ended.length, done.ended.length]).toEqual([0, 1]);
    busy.clock.advance(TASK_GRACE_MS);
    expect(busy.ended.length).toBe(1);
  });
});

describe('the wait for tasks', () => {
  it('is not put off by calls that become tasks one after the other', () => {
    const one = ward({ ...POOL, idleMs: 3_600_000 });
    call(one);
    call(one);
    for (let waited = 0; waited < TASK_GRACE_MS && one.ended.length === 0; waited += 20_000) {
      one.hasTasks = false;
      // A call is in progress, and becomes a task.
      expect(one.child.mayEnd(one.clock.nowMs(), TASK_GRACE_MS)).toBe(true);
      one.hasTasks = true;
      one.clock.advance(20_000);
    }
    one.clock.advance(2_000);
    expect(one.ended.length).toBeGreaterThan(0);
  });

  it('begins anew for a task that is begun long after a shortage', () => {
    const one = ward({ ...POOL, recycleCalls: 0, idleMs: 3_600_000 });
    expect(one.child.mayEnd(one.clock.nowMs(), 30_000)).toBe(false);
    one.hasTasks = false;
    one.clock.advance(60_000);
    one.hasTasks = true;
    expect(one.child.mayEnd(one.clock.nowMs(), 30_000)).toBe(false);
    one.clock.advance(30_000);
    expect(one.child.mayEnd(one.clock.nowMs(), 30_000)).toBe(true);
  });
});
