import type { Clock } from '../core/clock.ts';
import type { Envelope } from '../core/envelope.ts';
import { UPSTREAM_BUSY, UPSTREAM_DOWN } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import type { InFlight, ReplySink, RequestOptions } from '../core/upstream.ts';
import { HeldRequest } from './held-request.ts';

/** Requests that wait until it is known which revisions the server speaks. */
const MAX_HELD = 256;
/** A server that is a program may take its time to start, and then to answer. */
const HOLD_MS = 10_000;

type Send = (message: Envelope, options: RequestOptions, sink: ReplySink) => InFlight | Refusal;

/** What waits for the answer to one question about a server: bounded in number and time. */
export class HeldRequests {
  readonly #clock: Clock;
  readonly #onFirst: () => void;
  readonly #held = new Map<HeldRequest, Send>();

  /** `onFirst`: somebody waits now. Called later than `hold`, never inside. */
  constructor(clock: Clock, onFirst: () => void) {
    this.#clock = clock;
    this.#onFirst = onFirst;
  }

  get isWaiting(): boolean {
    return this.#held.size > 0;
  }

  /** `send`: how it goes on once that is known. */
  hold(message: Envelope, options: RequestOptions, sink: ReplySink, send: Send): InFlight | Refusal {
    if (this.#held.size >= MAX_HELD) return UPSTREAM_BUSY;
    const held = new HeldRequest(message, options, sink);
    this.#held.set(held, send);
    if (this.#held.size === 1) queueMicrotask(this.#onFirst);
    this.#clock.after(HOLD_MS, () => {
      if (this.#held.delete(held)) held.fail(UPSTREAM_DOWN, 'its revisions are not known in time');
    });
    return held;
  }

  /** Sends all of them; `detail` says why, should that be refused. */
  release(detail: string): void {
    for (const [held, send] of this.#held) {
      this.#held.delete(held);
      if (!held.isOver) held.release(send, detail);
    }
  }

  close(): void {
    for (const held of this.#held.keys()) held.fail(UPSTREAM_DOWN, 'closed');
    this.#held.clear();
  }
}
