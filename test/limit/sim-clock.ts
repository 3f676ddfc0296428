import type { Clock, Timer } from '../../src/core/clock.ts';

interface Entry {
  readonly atMs: number;
  readonly order: number;
  run: (() => void) | null;
}

/** Time that jumps from event to event, in order. Events of the same moment run in the order in which they were added. */
export class SimClock {
  nowMs = 1_000;
  readonly #heap: Entry[] = [];
  #order = 0;

  at(atMs: number, run: () => void): Timer {
    const entry = { atMs: Math.max(atMs, this.nowMs), order: this.#order++, run: run as (() => void) | null };
    this.#push(entry);
    return { cancel: () => void (entry.run = null) };
  }

  runUntil(endMs: number): void {
    for (let next = this.#heap[0]; next !== undefined && next.atMs <= endMs; next = this.#heap[0]) {
      this.#pop();
      this.nowMs = next.atMs;
      next.run?.();
    }
    this.nowMs = endMs;
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(entry, heap[parent] as Entry)) break;
      heap[at] = heap[parent] as Entry;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Entry;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Entry, heap[child] as Entry)) child++;
      if (!isBefore(heap[child] as Entry, last)) break;
      heap[at] = heap[child] as Entry;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(one: Entry, other: Entry): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}

/** A process or thread: what happens in it waits while it is stopped, and never happens once it is dead. */
export class SimThread implements Clock {
  readonly #clock: SimClock;
  /** Its clock shows another time than everybody else's. */
  readonly #offsetMs: number;
  #stoppedUntilMs = 0;
  isDead = false;

  constructor(clock: SimClock, offsetMs: number) {
    this.#clock = clock;
    this.#offsetMs = offsetMs;
  }

  get isStopped(): boolean {
    return this.#clock.nowMs < this.#stoppedUntilMs;
  }

  nowMs(): number {
    return this.#clock.nowMs + this.#offsetMs;
  }

  wallMs(): number {
    return this.nowMs();
  }

  stop(forMs: number): void {
    this.#stoppedUntilMs = Math.max(this.#stoppedUntilMs, this.#clock.nowMs + forMs);
  }

  /** Runs at `atMs` of the common clock or, if it is stopped then, as soon as it goes on. */
  at(atMs: number, run: () => void): Timer {
    let timer = this.#clock.at(atMs, fire.bind(this));
    function fire(this: SimThread): void {
      if (this.isDead) return;
      if (this.isStopped) timer = this.#clock.at(this.#stoppedUntilMs, fire.bind(this));
      else run();
    }
    return { cancel: () => timer.cancel() };
  }

  after(delayMs: number, callback: () => void): Timer {
    return this.at(this.#clock.nowMs + delayMs, callback);
  }

  every(periodMs: number, callback: () => void): Timer {
    let timer: Timer;
    const again = (): void => {
      timer = this.after(periodMs, again);
      callback();
    };
    timer = this.after(periodMs, again);
    return { cancel: () => timer.cancel() };
  }
}
