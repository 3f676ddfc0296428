const NONE = -1;

/** Slots in the order in which they were added: each at most once, every operation in constant time. Bounded by the capacity. */
export class SlotList {
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #isIn: Uint8Array;
  #first = NONE;
  #last = NONE;

  constructor(capacity: number) {
    this.#next = new Int32Array(capacity);
    this.#previous = new Int32Array(capacity);
    this.#isIn = new Uint8Array(capacity);
  }

  /** The oldest, or −1. */
  get first(): number {
    return this.#first;
  }

  /** The one added after `slot`, or −1. */
  after(slot: number): number {
    return this.#next[slot] as number;
  }

  has(slot: number): boolean {
    return this.#isIn[slot] === 1;
  }

  /** Nothing for a slot that is in it: it keeps its place. */
  add(slot: number): void {
    if (this.#isIn[slot] === 1) return;
    this.#isIn[slot] = 1;
    this.#next[slot] = NONE;
    this.#previous[slot] = this.#last;
    if (this.#last === NONE) this.#first = slot;
    else this.#next[this.#last] = slot;
    this.#last = slot;
  }

  /** Nothing for a slot that is not in it. */
  remove(slot: number): void {
    if (this.#isIn[slot] !== 1) return;
    this.#isIn[slot] = 0;
    const next = this.#next[slot] as number;
    const previous = this.#previous[slot] as number;
    if (previous === NONE) this.#first = next;
    else this.#next[previous] = next;
    if (next === NONE) this.#last = previous;
    else this.#previous[next] = previous;
  }
}
