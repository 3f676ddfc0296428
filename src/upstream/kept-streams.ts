import { EVENT_UNKNOWN, UPSTREAM_BUSY } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import type { Listening, StreamSink } from '../core/upstream-session.ts';
import { KeptStream, type StreamTerms } from './kept-stream.ts';

/** Standing streams that one client may hold open at once: it needs one. */
const MAX_STANDING = 4;
/** Standing streams that a client may have left and come back to; it needs one. */
const MAX_LEFT = 4;

/** An event id as `KeptStream` writes it: `r` for the answer to a request, `s` for a standing stream. */
const EVENT_ID = /^((r|s)\d{1,15})\.(\d{1,15})$/;

/** The streams of one session: of answers and standing ones, read now or kept for a client that comes back. */
export class KeptStreams {
  readonly #terms: StreamTerms;
  /** Those that can be gone on with. */
  readonly #replies = new Map<string, KeptStream>();
  /** Oldest first. */
  readonly #standing = new Map<string, KeptStream>();
  #count = 0;

  constructor(terms: StreamTerms) {
    this.#terms = terms;
  }

  /** Somebody reads one of them behind its request, or outside of requests. */
  get isRead(): boolean {
    return this.isHeard || [...this.#replies.values()].some(({ isRead }) => isRead);
  }

  /** Somebody listens outside of requests. */
  get isHeard(): boolean {
    return [...this.#standing.values()].some(({ isRead }) => isRead);
  }

  /** For the answer to a request. */
  beginReply(): KeptStream {
    const stream = this.#newStream('r', (gone) => void this.#replies.delete(gone.name));
    if (stream.isKept) this.#replies.set(stream.name, stream);
    return stream;
  }

  /** A new standing stream; or that of an event goes on, an answer's too, behind it. */
  listen(lastEventId: string, sink: StreamSink): Listening | Refusal {
    if (lastEventId === '') return this.#stand(sink);
    const [, name = '', kind = '', number = ''] = EVENT_ID.exec(lastEventId) ?? [];
    const position = Number(number);
    const stream = this.#replies.get(name) ?? this.#standing.get(name);
    if (stream !== undefined) return stream.isLostAt(position) ? EVENT_UNKNOWN : stream.read(sink, position);
    // What a server says of its own accord goes on; an answer that is not there any more never comes.
    return kind === 's' ? this.#stand(sink) : EVENT_UNKNOWN;
  }

  /**
   * A message for the youngest standing stream that is read. When none is, it waits for a client that left one, unless it is a question: a
   * server would wait for its answer. False: nobody will get it.
   */
  deliver(bytes: Buffer, isQuestion: boolean): boolean {
    const all = [...this.#standing.values()];
    const read = all.filter(({ isRead }) => isRead);
    const isKept = this.#terms.memory !== null;
    const stream = read.findLast(({ isSlow }) => !isSlow) ?? (isKept ? (read.at(-1) ?? (isQuestion ? undefined : all.at(-1))) : undefined);
    stream?.say(bytes, false);
    return stream !== undefined;
  }

  /** The session is over, and with it everything that was kept. */
  end(detail: string): void {
    const all = [...this.#replies.values(), ...this.#standing.values()];
    this.#replies.clear();
    this.#standing.clear();
    this.#terms.memory?.clear();
    for (const stream of all) stream.end(null, detail);
  }

  #stand(sink: StreamSink): Listening | Refusal {
    const all = [...this.#standing.values()];
    const left = all.filter(({ isRead }) => !isRead);
    if (all.length - left.length >= MAX_STANDING) return UPSTREAM_BUSY;
    const room = this.#terms.memory === null ? 0 : MAX_LEFT - 1;
    for (const stream of left.slice(0, Math.max(left.length - room, 0))) stream.forget();
    const stream = this.#newStream('s', (gone) => void this.#standing.delete(gone.name));
    this.#standing.set(stream.name, stream);
    return stream.read(sink, 0);
  }

  #newStream(kind: 'r' | 's', onForgotten: (stream: KeptStream) => void): KeptStream {
    this.#count += 1;
    return new KeptStream(`${kind}${this.#count}`, this.#terms, onForgotten);
  }
}
