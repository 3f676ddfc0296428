import type { Refusal } from '../core/refusal.ts';
import type { StreamMark, StreamSink } from '../core/upstream-session.ts';
import type { LentSink } from './lent-sink.ts';

/** So much of a stream may be on its way to a worker that has not said that it was read; `RemoteStream` says so after less. */
const WINDOW_BYTES = 262_144;
/** What a message weighs beside its bytes. */
const MESSAGE_BYTES = 256;

export function weightOf(bytes: Buffer): number {
  return bytes.length + MESSAGE_BYTES;
}

/** Tells the worker whose client listens what is said in a stream, no faster than that client reads. */
export class LentStream implements StreamSink {
  readonly #sink: LentSink;
  #unreadBytes = 0;

  constructor(sink: LentSink) {
    this.#sink = sink;
  }

  pause(): void {
    this.#sink.pause();
  }

  resume(): void {
    this.#unreadBytes = 0;
    this.#sink.resume();
  }

  abandon(): void {
    this.#sink.abandon();
  }

  onOpen(): void {
    this.#sink.onStream();
  }

  onMessage(bytes: Buffer, isResponse: boolean, mark?: StreamMark): boolean {
    this.#unreadBytes += weightOf(bytes);
    this.#sink.say(bytes, isResponse, mark);
    return !this.#sink.isPaused && this.#unreadBytes < WINDOW_BYTES;
  }

  onMark(mark: StreamMark): void {
    this.#sink.onMark(mark);
  }

  onEnd(refusal: Refusal | null, detail: string): void {
    if (refusal === null) this.#sink.over();
    else this.#sink.onFail(refusal, detail);
  }
}
