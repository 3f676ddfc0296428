import type { Clock, Timer } from '../core/clock.ts';
import type { StreamMark } from '../core/upstream-session.ts';

/** Before the rest of a stream is asked for, unless the server says otherwise (`retry`, WHATWG HTML section 9.2.5). */
const RETRY_MS = 1000;
const MIN_RETRY_MS = 50;
const MAX_RETRY_MS = 30_000;

/** Where a stream goes on that broke (2025-11-25, Transports, Resumability and Redelivery: always by GET), and after which pause. */
export class StreamRest {
  /** Id of the last event that had one; empty: it cannot be gone on with. */
  position = '';
  /** It broke for the first time already. */
  isFetched = false;
  #retryMs = RETRY_MS;
  /** Streams in a row that brought nothing. */
  #idleFetches = 0;
  #pause: Timer | null = null;

  /** An event came. */
  note(mark: StreamMark | undefined): void {
    this.#idleFetches = 0;
    if (mark === undefined) return;
    if (mark.eventId !== '') this.position = mark.eventId;
    if (mark.retryMs >= 0) this.#retryMs = mark.retryMs;
  }

  /** Fetches after the pause that the server asks for, or a longer one when nothing came of the last. */
  fetch(clock: Clock, send: () => void): void {
    const pauseMs = Math.min(MAX_RETRY_MS, Math.max(MIN_RETRY_MS, this.#retryMs) * 2 ** Math.min(this.#idleFetches, 10));
    this.isFetched = true;
    this.#idleFetches += 1;
    this.#pause = clock.after(pauseMs, send);
  }

  cancel(): void {
    this.#pause?.cancel();
  }
}
