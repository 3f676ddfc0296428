import type { Clock, Timer } from '../../src/core/clock.ts';

interface Due {
  atMs: number;
  readonly everyMs: number | null;
  readonly callback: () => void;
}

/** Time that moves only when told to. */
export class FakeClock implements Clock {
  #nowMs = 1000;
  readonly #due = new Set<Due>();

  /** Timers that wait. */
  get timers(): number {
    return this.#due.size;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return 1_700_000_000_000 + this.#nowMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    return this.#add({ atMs: this.#nowMs + delayMs, everyMs: null, callback });
  }

  every(periodMs: number, callback: () => void): Timer {
    return this.#add({ atMs: this.#nowMs + periodMs, everyMs: periodMs, callback });
  }

  /** Lets time pass, calling what falls due on the way, in order. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (let next = this.#next(untilMs); next !== null; next = this.#next(untilMs)) {
      this.#nowMs = next.atMs;
      if (next.everyMs === null) this.#due.delete(next);
      else next.atMs += next.everyMs;
      next.callback();
    }
    this.#nowMs = untilMs;
  }

  #next(untilMs: number): Due | null {
    const due = [...this.#due].filter(({ atMs }) => atMs <= untilMs).sort((one, other) => one.atMs - other.atMs);
    return due[0] ?? null;
  }

  #add(due: Due): Timer {
    this.#due.add(due);
    return { cancel: () => void this.#due.delete(due) };
  }
}
