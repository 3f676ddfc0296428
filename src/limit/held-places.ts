import type { Timer } from '../core/clock.ts';
import type { PlainPlaces } from '../core/limit.ts';

/** Who waits for a place. `done` is null once nobody does any more. */
export interface Waiter {
  done: ((isEntered: boolean) => void) | null;
  readonly isPatient: boolean;
  late: Timer | null;
}

/** Stays empty. */
const NOBODY: Waiter[] = [];

/** What one worker knows of one key's places. */
export class HeldPlaces implements PlainPlaces {
  readonly key: string;
  readonly max: number;
  /** Most free places that are kept ahead of need: what one worker may hold idle of all. */
  readonly #maxAhead: number;
  /** Whose they are; null once they are forgotten. */
  keeper: object | null;
  /** Most places that were in use at once, lately. */
  #busiest = 1;
  #inUse = 0;
  /** As the authority counts them, once it has read what was sent. */
  held = 0;
  /** First come first. One list for all keys that nobody waits for, which are most of them. */
  #waiters: Waiter[] = NOBODY;
  /** An ask is on its way. */
  isAsked = false;
  // Not 0: a field that begins with a whole number and gets a fraction makes V8 lay its object out anew, and ends what was compiled for the old layout.
  deniedUntilMs: number = Number.NEGATIVE_INFINITY;
  /** As of the last answer: it was denied, and all who hold places said that they use them. */
  isTaken = false;
  /** Until a moment that may have come. */
  isRecalled = false;
  recalledUntilMs: number = Number.NEGATIVE_INFINITY;
  idleSinceMs: number = Number.NEGATIVE_INFINITY;
  /** Since the last sweep. */
  wasUsed = false;

  constructor(key: string, max: number, workers: number, keeper: object) {
    this.key = key;
    this.keeper = keeper;
    this.max = max;
    this.#maxAhead = Math.max(Math.floor(max / (4 * workers)), 1);
  }

  /** Asked at each request, and without a look at the list: one with somebody in it is another kind of array to V8, and ends what was compiled before. */
  get isAwaited(): boolean {
    return this.#waiters !== NOBODY;
  }

  get waiters(): readonly Waiter[] {
    return this.#waiters;
  }

  wait(waiter: Waiter): void {
    if (this.#waiters === NOBODY) this.#waiters = [waiter];
    else this.#waiters.push(waiter);
  }

  /** False: it does not wait any more. */
  unwait(waiter: Waiter): boolean {
    const at = this.#waiters.indexOf(waiter);
    if (at < 0) return false;
    if (this.#waiters.length === 1) this.#waiters = NOBODY;
    else this.#waiters.splice(at, 1);
    return true;
  }

  get inUse(): number {
    return this.#inUse;
  }

  /**
   * Free places that are kept while the key is in use: as many as it lately used at once, so that a caller with one call at a time
   * asks once. They are called back when another worker lacks them.
   */
  get ahead(): number {
    return Math.min(this.#busiest, this.#maxAhead);
  }

  /** Below zero: more was entered, without the authority, than is held. */
  get free(): number {
    return this.held - this.inUse;
  }

  take(): void {
    this.#inUse += 1;
    if (this.#inUse > this.#busiest) this.#busiest = this.#inUse;
  }

  /** As `PlainPlaces`: true where neither an ask nor an answer is due, and the keeper is the same. */
  enterPlain(): boolean {
    if (this.keeper === null || this.isAwaited) return false;
    const inUse = this.#inUse + 1;
    const free = this.held - inUse;
    const busiest = Math.max(this.#busiest, inUse);
    const ahead = Math.min(busiest, this.#maxAhead);
    if (free < 0 || (ahead > 1 && free < ahead / 2)) return false;
    this.#inUse = inUse;
    this.#busiest = busiest;
    return true;
  }

  /** The same. */
  leavePlain(): boolean {
    if (this.keeper === null || this.isAwaited || this.isRecalled || this.#inUse === 0 || this.free >= 2 * this.ahead) return false;
    this.#inUse -= 1;
    this.wasUsed = true;
    return true;
  }

  release(): void {
    this.#inUse -= 1;
  }

  /** Called now and then: what was used at once long ago is forgotten, a quarter each time. */
  forget(): void {
    this.#busiest = Math.max(this.#inUse, Math.floor(this.#busiest * 0.75), 1);
  }

  get isEmpty(): boolean {
    return this.inUse === 0 && this.held === 0 && !this.isAwaited && !this.isAsked;
  }
}
