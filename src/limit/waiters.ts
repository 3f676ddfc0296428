/** A request that waits for tokens of one or more slots. */
export interface Waiter {
  /**
   * Null once it was called: a set that was outgrown may lie among old objects, and whatever hangs on an entry of it, a whole request,
   * would stay until old objects are collected.
   */
  again: (() => void) | null;
  /** On the clock of waits (`wait-clock.ts`); from then on it is told whatever is known. */
  readonly dueMs: number;
  /** Slots with too few tokens, and how many it needs of each. */
  readonly slots: readonly number[];
  readonly tokens: readonly number[];
}

interface Queue {
  readonly waiters: Set<Waiter>;
  need: number;
}

/** Bounds what clients can pile up while an authority is slow. */
export const MAX_WAITERS_PER_SLOT: number = 1_024;
export const MAX_WAITERS: number = 8_192;

/** Who waits for which slot, first come first served. */
export class Waiters {
  readonly #queues = new Map<number, Queue>();
  readonly #all = new Set<Waiter>();

  get size(): number {
    return this.#all.size;
  }

  hasRoom(slot: number): boolean {
    return this.#all.size < MAX_WAITERS && (this.#queues.get(slot)?.waiters.size ?? 0) < MAX_WAITERS_PER_SLOT;
  }

  has(slot: number): boolean {
    return this.#queues.has(slot);
  }

  /** Slots that somebody waits for. */
  slots(): IterableIterator<number> {
    return this.#queues.keys();
  }

  /** Tokens that all who wait for the slot need. */
  need(slot: number): number {
    return this.#queues.get(slot)?.need ?? 0;
  }

  /** Tokens that the first of them needs; 0 when nobody waits. */
  firstNeed(slot: number): number {
    for (const waiter of this.#queues.get(slot)?.waiters ?? []) return needOf(waiter, slot);
    return 0;
  }

  add(waiter: Waiter): void {
    this.#all.add(waiter);
    for (const slot of waiter.slots) {
      let queue = this.#queues.get(slot);
      if (queue === undefined) this.#queues.set(slot, (queue = { waiters: new Set(), need: 0 }));
      queue.waiters.add(waiter);
      queue.need += needOf(waiter, slot);
    }
  }

  /** False when it was not waiting any more. */
  remove(waiter: Waiter): boolean {
    if (!this.#all.delete(waiter)) return false;
    for (const slot of waiter.slots) this.#leave(slot, waiter);
    return true;
  }

  /** Who waits for the slot now, in order. */
  of(slot: number): readonly Waiter[] {
    return [...(this.#queues.get(slot)?.waiters ?? [])];
  }

  /** Whose time is up. */
  due(nowMs: number): readonly Waiter[] {
    return [...this.#all].filter((waiter) => waiter.dueMs <= nowMs);
  }

  all(): readonly Waiter[] {
    return [...this.#all];
  }

  /** When the next one's time is up; Infinity when nobody waits. */
  nextDueMs(): number {
    let dueMs = Number.POSITIVE_INFINITY;
    for (const waiter of this.#all) dueMs = Math.min(dueMs, waiter.dueMs);
    return dueMs;
  }

  #leave(slot: number, waiter: Waiter): void {
    const queue = this.#queues.get(slot);
    if (queue === undefined || !queue.waiters.delete(waiter)) return;
    queue.need -= needOf(waiter, slot);
    if (queue.waiters.size === 0) this.#queues.delete(slot);
  }
}

function needOf(waiter: Waiter, slot: number): number {
  return waiter.tokens[waiter.slots.indexOf(slot)] ?? 0;
}
