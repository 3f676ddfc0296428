import type { StreamMark } from '../core/upstream-session.ts';
import { SseDecoder } from '../mcp/sse.ts';

/** Ids that can come back in a `Last-Event-ID` header; others are no positions. */
const USABLE_ID = /^[\x21-\x7e](?:[\x20-\x7e]{0,1022}[\x21-\x7e])?$/;

/** Decodes an event stream whose positions matter: which event has an id of its own, and where the pause between retries changes. */
export class MarkedEvents {
  readonly #decoder: SseDecoder;
  readonly #onEvent: (data: Buffer, mark: StreamMark | undefined) => void;
  #lastId = '';
  #lastRetryMs = -1;

  /** `onEvent` is called from inside `push`; `data` is empty for a position without a message. */
  constructor(maxEventBytes: number, onEvent: (data: Buffer, mark: StreamMark | undefined) => void) {
    this.#onEvent = onEvent;
    this.#decoder = new SseDecoder({ maxEventBytes, onEvent: ({ data, id }) => this.#take(data, id) });
  }

  /** False once an event exceeded the limit. */
  push(chunk: Uint8Array): boolean {
    return this.#decoder.push(chunk);
  }

  #take(data: Buffer, id: string): void {
    const eventId = id !== this.#lastId && USABLE_ID.test(id) ? id : '';
    const retryMs = this.#decoder.retryMs === this.#lastRetryMs ? -1 : this.#decoder.retryMs;
    this.#lastId = id;
    this.#lastRetryMs = this.#decoder.retryMs;
    this.#onEvent(data, eventId === '' && retryMs < 0 ? undefined : { eventId, retryMs });
  }
}
