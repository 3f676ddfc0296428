import type { Clock, Timer } from '../core/clock.ts';
import { Backoff } from './backoff.ts';

/** As long as other servers that took no handshake are left alone; a pool pays for a trial with a process. */
const FIRST_MS = 5 * 60_000;
const MAX_MS = 60 * 60_000;

/** When a pool whose server took no handshake, but speaks a revision that needs none, tries one again: one child, less and less often. */
export class HandshakeTrial {
  readonly #clock: Clock;
  readonly #onDue: () => void;
  readonly #backoff = new Backoff({ firstMs: FIRST_MS, maxMs: MAX_MS });
  #timer: Timer | null = null;

  constructor(clock: Clock, onDue: () => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  /** Idempotent until it is due. */
  plan(): void {
    this.#timer ??= this.#clock.after(this.#backoff.next(), () => {
      this.#timer = null;
      this.#onDue();
    });
  }

  /** A handshake was taken, or there will be none. */
  end(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#backoff.reset();
  }
}
