/** Who holds how many tokens of each slot's bucket, as the authority believes: never less than what is really held. */
export class Holdings {
  /** Per holder, by slot; pages that are never touched take no memory. */
  readonly #held: readonly Int32Array[];
  readonly #sums: Float64Array;

  constructor(holders: number, capacity: number) {
    this.#held = Array.from({ length: holders }, () => new Int32Array(capacity));
    this.#sums = new Float64Array(capacity);
  }

  /** Of all holders. */
  sum(slot: number): number {
    return this.#sums[slot] as number;
  }

  of(holder: number, slot: number): number {
    return this.#held[holder]?.[slot] ?? 0;
  }

  /** Who else has some. */
  othersOf(holder: number, slot: number): number[] {
    if (this.sum(slot) === this.of(holder, slot)) return [];
    return [...this.#held.keys()].filter((other) => other !== holder && this.of(other, slot) > 0);
  }

  add(holder: number, slot: number, tokens: number): void {
    const held = this.#held[holder] as Int32Array;
    held[slot] = (held[slot] as number) + tokens;
    this.#sums[slot] = (this.#sums[slot] as number) + tokens;
  }

  /** What the holder has now, as it says; more than it was given it cannot have. Returns by how much that is less. */
  report(holder: number, slot: number, have: number): number {
    const held = this.of(holder, slot);
    const gone = held - Math.min(held, wholeTokens(have));
    if (gone > 0) this.add(holder, slot, -gone);
    return gone;
  }
}

/** A count that came from elsewhere: whole, ≥ 0, ≤ 2^30; 0 when it is none. */
export function wholeTokens(count: number): number {
  return count > 0 ? Math.min(2 ** 30, Math.floor(count)) : 0;
}
