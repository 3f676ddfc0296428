/** What can wait: the memory it holds meanwhile, and whose it is. */
export interface Queued {
  readonly bytes: number;
  readonly principalKey: string;
}

/** Most bytes of messages that wait, per upstream and worker. */
const MAX_QUEUED_BYTES = 16 * 1024 * 1024;

/**
 * Requests that wait for their turn, in turns of their principals: one caller's thousand requests delay another's single one
 * by one. Bounded in number and bytes; when it is full, who has nothing in it displaces the newest of who has most.
 */
export class FairQueue<T extends Queued> {
  readonly #max: number;
  /** In order of turns. */
  readonly #byPrincipal = new Map<string, T[]>();
  #size = 0;
  #bytes = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#size;
  }

  /** Null: it waits. Else what has no room: the item itself, or the one that it displaced. */
  push(item: T): T | null {
    const isFull = this.#size >= this.#max || this.#bytes + item.bytes > MAX_QUEUED_BYTES;
    const displaced = isFull ? this.#displacedBy(item) : null;
    if (isFull && displaced === null) return item;
    const own = this.#byPrincipal.get(item.principalKey);
    if (own === undefined) this.#byPrincipal.set(item.principalKey, [item]);
    else own.push(item);
    this.#size += 1;
    this.#bytes += item.bytes;
    return displaced;
  }

  /** The oldest of the principal whose turn it is; its next turn is after all others. */
  shift(): T | null {
    for (const [principalKey, items] of this.#byPrincipal) {
      const item = items[0] as T;
      this.remove(item);
      if (items.length > 0) {
        this.#byPrincipal.delete(principalKey);
        this.#byPrincipal.set(principalKey, items);
      }
      return item;
    }
    return null;
  }

  /** False when it was not in. */
  remove(item: T): boolean {
    const items = this.#byPrincipal.get(item.principalKey);
    const at = items?.indexOf(item) ?? -1;
    if (items === undefined || at < 0) return false;
    items.splice(at, 1);
    if (items.length === 0) this.#byPrincipal.delete(item.principalKey);
    this.#size -= 1;
    this.#bytes -= item.bytes;
    return true;
  }

  /** Only for a principal that has nothing in the queue, so that nobody can make others search it again and again. */
  #displacedBy(item: T): T | null {
    if (this.#byPrincipal.has(item.principalKey)) return null;
    let most: T[] = [];
    for (const items of this.#byPrincipal.values()) if (items.length > most.length) most = items;
    const newest = most.at(-1);
    if (most.length < 2 || newest === undefined || this.#bytes - newest.bytes + item.bytes > MAX_QUEUED_BYTES) return null;
    this.remove(newest);
    return newest;
  }
}
