import type { Timer } from '../core/clock.ts';

/** Who waits for a place. `done` is null once nobody does any more. */
export interface Waiter {
  done: ((isEntered: boolean) => void) | null;
  readonly isPatient: boolean;
  late: Timer | null;
}

/** What one worker knows of one key's places. */
export class HeldPlaces {
  readonly key: string;
  readonly max: number;
  /** Free places that are kept while the key is in use. They are called back when another worker lacks them. */
  readonly ahead: number;
  inUse = 0;
  /** As the authority counts them, once it has read what was sent. */
  held = 0;
  /** First come first. */
  readonly waiters: Waiter[] = [];
  /** An ask is on its way. */
  isAsked = false;
  deniedUntilMs = 0;
  recalledUntilMs = 0;
  idleSinceMs = 0;

  constructor(key: string, max: number, workers: number) {
    this.key = key;
    this.max = max;
    this.ahead = Math.max(Math.floor(max / (4 * workers)), 1);
  }

  /** Below zero: more was entered, without the authority, than is held. */
  get free(): number {
    return this.held - this.inUse;
  }

  get isEmpty(): boolean {
    return this.inUse === 0 && this.held === 0 && this.waiters.length === 0 && !this.isAsked;
  }
}
