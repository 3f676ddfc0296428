import type { Clock, Timer } from '../core/clock.ts';

/** Calls back when something that was started has not been stopped for `limitMs`. */
export class StallWatch {
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #onStall: () => void;
  #timer: Timer | null = null;

  constructor(clock: Clock, limitMs: number, onStall: () => void) {
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#onStall = onStall;
  }

  /** (Re)starts the limit. */
  start(): void {
    this.stop();
    this.#timer = this.#clock.after(this.#limitMs, this.#onStall);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }
}
