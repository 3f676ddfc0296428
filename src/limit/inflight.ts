import type { Entry, InFlightLimiter, PlaceNote, Places } from '../core/limit.ts';

/** Requests in progress per key, all with the same maximum. */
export class InFlightLimit implements InFlightLimiter {
  readonly max: number;
  readonly #places: Places;

  /** `max` per key, ≥ 1. */
  constructor(max: number, places: Places) {
    if (!(max >= 1)) throw new RangeError('at least one request in flight must be possible');
    this.max = max;
    this.#places = places;
  }

  enter(key: string, note?: PlaceNote | null): Entry {
    return this.#places.enter(key, this.max, note);
  }

  whenFree(key: string, done: (isEntered: boolean) => void): void {
    this.#places.whenFree(key, this.max, 'brief', done);
  }

  leave(key: string, note?: PlaceNote | null): void {
    this.#places.leave(key, note);
  }
}
