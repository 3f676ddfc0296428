import type { Clock, Timer } from '../core/clock.ts';
import { HOLD_MS, MAX_HELD } from './deps.ts';

interface Held<T> {
  readonly item: T;
  readonly untilMs: number;
}

/** Most bytes of messages that wait, per upstream. */
const MAX_HELD_BYTES = 16 * 1024 * 1024;

/**
 * Requests that arrived shortly before their upstream is ready (first start, restart, new session). First in, first
 * out, bounded in number, bytes and time.
 */
export class HoldQueue<T extends { readonly bytes: Buffer }> {
  readonly #clock: Clock;
  readonly #onLate: (item: T) => void;
  readonly #holdMs: number;
  #held: Held<T>[] = [];
  #heldBytes = 0;
  #timer: Timer | null = null;

  /** `onLate` gets what waited too long. */
  constructor(clock: Clock, onLate: (item: T) => void, holdMs: number = HOLD_MS) {
    this.#clock = clock;
    this.#holdMs = holdMs;
    this.#onLate = onLate;
  }

  get isFull(): boolean {
    return this.#held.length >= MAX_HELD || this.#heldBytes >= MAX_HELD_BYTES;
  }

  push(item: T): void {
    this.#held.push({ item, untilMs: this.#clock.nowMs() + this.#holdMs });
    this.#heldBytes += item.bytes.length;
    this.#timer ??= this.#clock.after(this.#holdMs, () => this.#expire());
  }

  /** Empties the queue. */
  takeAll(): T[] {
    const items = this.#held.map((held) => held.item);
    this.#held = [];
    this.#heldBytes = 0;
    this.#timer?.cancel();
    this.#timer = null;
    return items;
  }

  #expire(): void {
    const nowMs = this.#clock.nowMs();
    const firstInTime = this.#held.findIndex((held) => held.untilMs > nowMs);
    const late = this.#held.splice(0, firstInTime < 0 ? this.#held.length : firstInTime);
    for (const held of late) this.#heldBytes -= held.item.bytes.length;
    const next = this.#held[0];
    this.#timer = next === undefined ? null : this.#clock.after(next.untilMs - nowMs, () => this.#expire());
    for (const held of late) this.#onLate(held.item);
  }
}
