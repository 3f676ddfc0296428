/** Values below are counted one by one; above, each doubling of the value has half as many buckets. */
const EXACT = 2_048;
const HALF = EXACT / 2;
const MAX_US = 2 ** 32 - 1;

/**
 * Counts durations in microseconds with a relative error below 0.1 %, from 1 µs to over an hour, in fixed memory (the layout
 * of HdrHistogram with three digits).
 */
export class Histogram {
  readonly #counts = new Float64Array(EXACT + HALF * 21);
  #total = 0;
  #maxUs = 0;
  #sumUs = 0;

  record(us: number): void {
    const value = Math.min(Math.max(Math.round(us), 0), MAX_US);
    const index = indexOf(value);
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#total += 1;
    this.#sumUs += value;
    if (value > this.#maxUs) this.#maxUs = value;
  }

  get total(): number {
    return this.#total;
  }

  get maxUs(): number {
    return this.#maxUs;
  }

  get meanUs(): number {
    return this.#sumUs / this.#total;
  }

  /** The smallest value that `percent` of all do not exceed; not a number when there is none. */
  percentileUs(percent: number): number {
    const rank = Math.max(Math.ceil((percent / 100) * this.#total), 1);
    let seen = 0;
    for (let index = 0; index < this.#counts.length; index++) {
      seen += this.#counts[index] ?? 0;
      if (seen >= rank) return Math.min(upperOf(index), this.#maxUs);
    }
    return Number.NaN;
  }
}

/** How often the value must be halved until it is counted exactly. */
function halvingsOf(value: number): number {
  return value < EXACT ? 0 : Math.floor(Math.log2(value)) - 10;
}

function indexOf(value: number): number {
  const halvings = halvingsOf(value);
  return halvings * HALF + Math.floor(value / 2 ** halvings);
}

/** The largest value that is counted at this index. */
function upperOf(index: number): number {
  if (index < EXACT) return index;
  const halvings = Math.floor((index - HALF) / HALF);
  return (index - halvings * HALF + 1) * 2 ** halvings - 1;
}
