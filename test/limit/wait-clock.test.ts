import { describe, expect, it } from 'vitest';
import type { Clock, Timer } from '../../src/core/clock.ts';
import { WaitClock } from '../../src/limit/wait-clock.ts';

/** An event loop that stands still when told to: timers that fall due meanwhile are called when it goes on. */
class Loop implements Clock {
  #nowMs = 1_000;
  #timers: { atMs: number; callback: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    const timer = { atMs: this.#nowMs + delayMs, callback };
    this.#timers.push(timer);
    return { cancel: () => void (this.#timers = this.#timers.filter((other) => other !== timer)) };
  }

  every(): Timer {
    throw new Error('nobody needs it here');
  }

  /** Runs for so long, without a pause. */
  turn(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (let next = this.#next(untilMs); next !== undefined; next = this.#next(untilMs)) {
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      this.#timers = this.#timers.filter((other) => other !== next);
      next.callback();
    }
    this.#nowMs = untilMs;
  }

  stall(ms: number): void {
    this.#nowMs += ms;
  }

  #next(untilMs: number): { atMs: number; callback: () => void } | undefined {
    return this.#timers.filter(({ atMs }) => atMs <= untilMs).sort((one, other) => one.atMs - other.atMs)[0];
  }
}

/** A wait of 100 ms; `doneMs` is when it was over. */
function wait(loop: Loop): { doneMs: number | null; wakes: number; clock: WaitClock } {
  const state = { doneMs: null as number | null, wakes: 0, clock: new WaitClock(loop, look) };
  const dueMs = state.clock.nowMs() + 100;
  state.clock.wakeAt(dueMs);
  function look(): void {
    state.wakes++;
    if (state.clock.nowMs() >= dueMs) state.doneMs ??= loop.nowMs();
    else state.clock.wakeAt(dueMs);
  }
  return state;
}

describe('WaitClock', () => {
  it('is the clock, on a loop that turns', () => {
    const loop = new Loop();
    const one = wait(loop);
    loop.turn(99);
    expect(one.doneMs).toBeNull();
    loop.turn(1);
    expect(one.doneMs).toBe(1_100);
  });

  it('does not count the time in which the loop stood still, wherever in the wait it lies', () => {
    for (const beforeMs of [0, 1, 50, 99]) {
      const loop = new Loop();
      const one = wait(loop);
      loop.turn(beforeMs);
      loop.stall(5_000);
      loop.turn(99 - beforeMs - 10);
      expect(one.doneMs).toBeNull();
      loop.turn(200);
      expect(one.doneMs).toBeGreaterThanOrEqual(6_100 - 10);
      expect(one.doneMs).toBeLessThanOrEqual(6_100 + 15);
    }
  });

  it('leaves time to read what has arrived when the loop stood still at the very end', () => {
    const loop = new Loop();
    const one = wait(loop);
    loop.turn(99.5);
    loop.stall(50);
    expect(one.clock.nowMs()).toBeLessThan(1_100);
    loop.turn(4);
    expect(one.doneMs).toBeNull();
    loop.turn(2);
    expect(one.doneMs).not.toBeNull();
  });

  it('comes to its end on a loop that stands still again and again', () => {
    const loop = new Loop();
    const one = wait(loop);
    for (let turns = 0; turns < 25; turns++) {
      loop.stall(60);
      loop.turn(0);
    }
    expect(one.doneMs).not.toBeNull();
  });

  it('calls nobody any more once it is closed', () => {
    const loop = new Loop();
    const one = wait(loop);
    one.clock.close();
    loop.turn(1_000);
    expect(one.wakes).toBe(0);
  });
});
