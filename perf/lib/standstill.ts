/** A generator that comes to look later than this stood still: a collection of garbage, or a machine that gave it no time. */
const STANDS_STILL_MS = 1;

/** How long a load generator itself stood still, so that this is not taken for the time of those it measures. */
export class Standstill {
  #lookedMs = Number.POSITIVE_INFINITY;
  #totalMs = 0;

  /** To be called each time that the generator looks at what is due and what has arrived. */
  look(nowMs: number): void {
    const goneMs = nowMs - this.#lookedMs;
    if (goneMs > STANDS_STILL_MS) this.#totalMs += goneMs;
    this.#lookedMs = nowMs;
  }

  /** A moment, as it would be on a clock that stands still with the generator. */
  at(ms: number): number {
    return ms - this.#totalMs;
  }
}
