import type { Clock, Timer } from '../core/clock.ts';
import { METHOD_NOT_ALLOWED, SESSION_UNKNOWN, STREAM_TAKEN } from '../core/errors.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { RequestOptions } from '../core/upstream.ts';
import type { Listening, StreamMark, StreamSink, UpstreamSession } from '../core/upstream-session.ts';

/** Before a stream that ended is asked for again; twice as long each time that nothing came of it. */
const RETRY_MS = 1000;
const MAX_RETRY_MS = 30_000;

export interface PartListeningOptions {
  readonly clock: Clock;
  readonly options: RequestOptions;
  onNews(bytes: Buffer): void;
  /** The session is gone. */
  onLost(session: UpstreamSession): void;
}

/** The standing stream of a member's session, as long as somebody wants it: opened again when it ends, behind what was heard. */
export class PartListening {
  readonly #options: PartListeningOptions;
  #session: UpstreamSession | null = null;
  /** Whose position and refusal these are; kept while nobody listens. */
  #known: UpstreamSession | null = null;
  #stream: Listening | null = null;
  #again: Timer | null = null;
  #lastEventId = '';
  #idleStreams = 0;
  /** It offers no such stream. */
  #isRefused = false;

  constructor(options: PartListeningOptions) {
    this.#options = options;
  }

  /** Listens to this session, and to no other; null: to none. */
  follow(session: UpstreamSession | null): void {
    if (session === this.#session) return;
    this.#stop();
    if (session !== null) this.#begin(session);
  }

  #begin(session: UpstreamSession): void {
    if (session !== this.#known) {
      this.#known = session;
      this.#lastEventId = '';
      this.#isRefused = false;
      this.#idleStreams = 0;
    }
    this.#session = session;
    if (!this.#isRefused) this.#listen(session);
  }

  #listen(session: UpstreamSession): void {
    const stream = session.listen(this.#lastEventId, this.#options.options, this.#sinkOf(session));
    if (isRefusal(stream)) this.#onEnd(session, stream);
    else if (session === this.#session) this.#stream = stream;
    else stream.leave();
  }

  #sinkOf(session: UpstreamSession): StreamSink {
    const isCurrent = (): boolean => session === this.#session;
    return {
      onOpen: () => undefined,
      onMark: (mark) => this.#note(mark),
      onMessage: (bytes, isResponse, mark) => {
        if (!isCurrent()) return true;
        this.#note(mark);
        if (!isResponse) this.#options.onNews(bytes);
        return true;
      },
      onEnd: (refusal) => {
        if (isCurrent()) this.#onEnd(session, refusal);
      },
    };
  }

  #note(mark: StreamMark | undefined): void {
    this.#idleStreams = 0;
    if (mark !== undefined && mark.eventId !== '') this.#lastEventId = mark.eventId;
  }

  #onEnd(session: UpstreamSession, refusal: Refusal | null): void {
    this.#stream = null;
    if (refusal === SESSION_UNKNOWN) return this.#options.onLost(session);
    if (refusal === METHOD_NOT_ALLOWED) return void (this.#isRefused = true);
    // It may have been refused because of its position.
    if (refusal !== null && refusal !== STREAM_TAKEN) this.#lastEventId = '';
    const pauseMs = Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** Math.min(this.#idleStreams, 10));
    this.#idleStreams += 1;
    this.#again = this.#options.clock.after(pauseMs, () => {
      if (session === this.#session) this.#listen(session);
    });
  }

  #stop(): void {
    this.#session = null;
    this.#again?.cancel();
    this.#stream?.leave();
    this.#stream = null;
  }
}
