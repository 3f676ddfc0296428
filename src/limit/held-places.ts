import type { Timer } from '../core/clock.ts';
import { closePlaceNote, newPlaceNote, type PlaceNote } from '../core/limit.ts';

/** Who waits for a place. `done` is null once nobody does any more. */
export interface Waiter {
  done: ((isEntered: boolean) => void) | null;
  readonly isPatient: boolean;
  late: Timer | null;
}

/** Stays empty. */
const NOBODY: Waiter[] = [];

/** What one worker knows of one key's places. How many are in use is counted in the note of whoever takes them, so that most requests look at nothing else. */
export class HeldPlaces {
  readonly key: string;
  readonly max: number;
  /** Most free places that are kept ahead of need: what one worker may hold idle of all. */
  readonly #maxAhead: number;
  /** Most places that were in use at once, lately. */
  #busiest = 1;
  #held = 0;
  #note: PlaceNote = newPlaceNote();
  #isClosed = false;
  #isRecalled = false;
  /** First come first. One list for all keys that nobody waits for, which are most of them. */
  #waiters: Waiter[] = NOBODY;
  /** An ask is on its way. */
  isAsked = false;
  // Not 0: a field that begins with a whole number and gets a fraction makes V8 lay its object out anew, and ends what was compiled for the old layout.
  deniedUntilMs: number = Number.NEGATIVE_INFINITY;
  /** As of the last answer: it was denied, and all who hold places said that they use them. */
  isTaken = false;
  recalledUntilMs: number = Number.NEGATIVE_INFINITY;
  idleSinceMs: number = Number.NEGATIVE_INFINITY;

  constructor(key: string, max: number, workers: number) {
    this.key = key;
    this.max = max;
    this.#maxAhead = Math.max(Math.floor(max / (4 * workers)), 1);
  }

  /** Whether the places in use are counted in this note. */
  isCountedIn(note: PlaceNote): boolean {
    return note.places === this;
  }

  /** From here on they are counted there; who entered by another note leaves by `release`. */
  countIn(note: PlaceNote): void {
    if (this.#isClosed) return;
    if (note.places instanceof HeldPlaces) note.places.#countAlone();
    this.#moveTo(note);
    note.places = this;
    this.#bound();
  }

  /** They are forgotten, or their keeper is: nothing is counted in a note any more. */
  close(): void {
    this.#countAlone();
    this.#isClosed = true;
  }

  /** As the authority counts them, once it has read what was sent. */
  get held(): number {
    return this.#held;
  }

  set held(count: number) {
    this.#held = count;
    this.#bound();
  }

  /** Until a moment that may have come. */
  get isRecalled(): boolean {
    return this.#isRecalled;
  }

  set isRecalled(isRecalled: boolean) {
    this.#isRecalled = isRecalled;
    this.#bound();
  }

  get isAwaited(): boolean {
    return this.#waiters !== NOBODY;
  }

  get waiters(): readonly Waiter[] {
    return this.#waiters;
  }

  wait(waiter: Waiter): void {
    if (this.#waiters === NOBODY) this.#waiters = [waiter];
    else this.#waiters.push(waiter);
    this.#bound();
  }

  /** False: it does not wait any more. */
  unwait(waiter: Waiter): boolean {
    const at = this.#waiters.indexOf(waiter);
    if (at < 0) return false;
    if (this.#waiters.length === 1) this.#waiters = NOBODY;
    else this.#waiters.splice(at, 1);
    this.#bound();
    return true;
  }

  get inUse(): number {
    return this.#note.entered;
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
    return this.#held - this.inUse;
  }

  take(): void {
    this.#note.entered += 1;
    if (this.inUse <= this.#busiest) return;
    this.#busiest = this.inUse;
    this.#bound();
  }

  release(): void {
    this.#note.entered -= 1;
    this.#note.wasUsed = true;
  }

  /** True: somebody left since this was last asked. */
  endUse(): boolean {
    const { wasUsed } = this.#note;
    this.#note.wasUsed = false;
    return wasUsed;
  }

  /** Called now and then: what was used at once long ago is forgotten, a quarter each time. */
  forget(): void {
    this.#busiest = Math.max(this.inUse, Math.floor(this.#busiest * 0.75), 1);
    this.#bound();
  }

  get isEmpty(): boolean {
    return this.inUse === 0 && this.#held === 0 && !this.isAwaited && !this.isAsked;
  }

  #countAlone(): void {
    if (this.isCountedIn(this.#note)) this.#moveTo(newPlaceNote());
  }

  #moveTo(note: PlaceNote): void {
    const before = this.#note;
    note.entered = before.entered;
    note.wasUsed = before.wasUsed;
    before.entered = 0;
    before.places = null;
    closePlaceNote(before);
    this.#note = note;
  }

  /**
   * Plainly entered is what neither asks for more nor is more than was lately in use, and plainly left what neither returns a place nor lets anybody in. Its own
   * note, which nobody else looks at, needs no bounds.
   */
  #bound(): void {
    const note = this.#note;
    if (!this.isCountedIn(note)) return;
    const { ahead } = this;
    closePlaceNote(note);
    if (this.isAwaited) return;
    note.enterBelow = Math.min(this.#busiest, this.#held - (ahead > 1 ? Math.ceil(ahead / 2) : 0));
    if (!this.#isRecalled) note.leaveAbove = Math.max(0, this.#held - 2 * ahead);
  }
}
