import type { Entry, Places, PlaceTicket } from '../core/limit.ts';

interface Waiter {
  done: ((isEntered: boolean) => void) | null;
}

/** Keys without a request that are kept for the next one. */
const KEPT_IDLE = 1024;

/**
 * The places of a gateway with one event loop: counted here, so that nothing is ever `unknown`. Keys are held while one of their requests is,
 * or waits, and at most `KEPT_IDLE` longer: the map is bounded by these and the requests that are open. Longer, because a `Map` whose entries come
 * and go with each request is given new tables again and again, and the old ones keep each other alive until the next full collection.
 */
export class PlaceTable implements Places {
  readonly #counts = new Map<string, number>();
  /** Keys with a count of 0. */
  #idle = 0;
  /** Who waits, first come first. */
  readonly #waiting = new Map<string, Waiter[]>();

  get size(): number {
    return this.#counts.size - this.#idle;
  }

  enter(key: string, max: number): Entry {
    const known = this.#counts.get(key);
    const count = known ?? 0;
    if (count >= max) return 'full';
    if (known === 0) this.#idle -= 1;
    this.#counts.set(key, count + 1);
    return 'entered';
  }

  /** A place that somebody waits for passes to him: it is never seen free. */
  leave(key: string): void {
    const count = this.#counts.get(key) ?? 0;
    if (count === 0) throw new RangeError('leave without enter');
    const next = this.#next(key);
    if (next !== null) return queueMicrotask(() => this.#pass(key, next));
    this.#counts.set(key, count - 1);
    if (count === 1) this.#keepIdle();
  }

  whenFree(key: string, max: number, patience: 'brief' | 'patient', done: (isEntered: boolean) => void): PlaceTicket {
    const waiter: Waiter = { done };
    const entry = this.enter(key, max);
    if (entry === 'entered') queueMicrotask(() => this.#pass(key, waiter));
    else if (patience === 'brief') queueMicrotask(() => waiter.done?.(false));
    else this.#wait(key, waiter);
    return { cancel: () => this.#cancel(key, waiter) };
  }

  /** What is denied here is taken. */
  isTaken(): boolean {
    return true;
  }

  close(): void {
    this.#waiting.clear();
  }

  #keepIdle(): void {
    this.#idle += 1;
    if (this.#idle <= KEPT_IDLE) return;
    for (const [key, count] of this.#counts) if (count === 0) this.#counts.delete(key);
    this.#idle = 0;
  }

  /** Who was promised the place may have gone meanwhile. */
  #pass(key: string, waiter: Waiter): void {
    const { done } = waiter;
    waiter.done = null;
    if (done === null) this.leave(key);
    else done(true);
  }

  #wait(key: string, waiter: Waiter): void {
    const queue = this.#waiting.get(key);
    if (queue === undefined) this.#waiting.set(key, [waiter]);
    else queue.push(waiter);
  }

  #cancel(key: string, waiter: Waiter): void {
    waiter.done = null;
    const queue = this.#waiting.get(key);
    const at = queue?.indexOf(waiter) ?? -1;
    if (queue === undefined || at < 0) return;
    queue.splice(at, 1);
    if (queue.length === 0) this.#waiting.delete(key);
  }

  #next(key: string): Waiter | null {
    const queue = this.#waiting.get(key);
    const waiter = queue?.shift() ?? null;
    if (queue?.length === 0) this.#waiting.delete(key);
    return waiter;
  }
}
