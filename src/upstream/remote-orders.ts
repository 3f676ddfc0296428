import { SESSION_UNKNOWN, UPSTREAM_FAILED, UPSTREAM_TIMEOUT } from '../core/errors.ts';
import { refusalOf } from '../core/errors-by-code.ts';
import type { SessionEvent } from '../core/mesh-session.ts';
import type { InFlight, ReplySink } from '../core/upstream.ts';
import type { Listening, StreamSink } from '../core/upstream-session.ts';
import { weightOf } from './lent-stream.ts';

/** After so much of a stream was read the worker that holds it is told: well before it would wait. */
const READ_BYTES = 65_536;

/** What ties an order to the worker that it was sent to. */
export interface OrderLine {
  /** Asks for less, or for more again; or that who asked is gone. */
  tell(what: 'pause' | 'resume' | 'gone'): void;
  /** Nobody wants to hear of it any more: no event follows. */
  leave(): void;
}

/** How an order was lost: its worker has ended (`gone`), says nothing in time (`late`), or was never reached, so that nothing was sent (`unreached`). */
export type Loss = 'gone' | 'late' | 'unreached';

/** Something that another worker was asked for in a session that it holds. */
export interface RemoteOrder {
  /** Set when it is sent. */
  line: OrderLine | null;
  /** No event follows `reply`, `fail`, `suspended` and `over`. */
  onEvent(event: SessionEvent): void;
  /** No event follows. */
  onLost(loss: Loss): void;
}

const GONE = 'the worker that holds its session is gone';
const LATE = 'the worker that holds its session does not answer';
const UNREACHED = 'the host that holds its session cannot be reached';

/** A request. */
export class RemoteRequest implements RemoteOrder, InFlight {
  line: OrderLine | null = null;
  #sink: ReplySink | null;
  #whenOver: (() => void) | null = null;
  #isOver = false;

  constructor(sink: ReplySink) {
    this.#sink = sink;
  }

  detach(whenOver: () => void): void {
    this.#sink = null;
    if (this.#isOver) return whenOver();
    this.#whenOver = whenOver;
    this.gone();
  }

  gone(): void {
    this.line?.tell('gone');
  }

  resume(): void {
    this.line?.tell('resume');
  }

  onEvent(event: SessionEvent): void {
    switch (event.what) {
      case 'stream':
        return this.#sink?.onStream();
      case 'mark':
        return this.#sink?.onMark?.(event.mark);
      case 'message':
        if (this.#sink?.onMessage(event.bytes, event.mark ?? undefined) === false) this.line?.tell('pause');
        return;
      case 'reply':
        return this.#end((sink) => sink.onReply(event.bytes, event.isError, event.code, event.mark ?? undefined));
      case 'suspended':
        return this.#end((sink) => sink.onSuspended?.());
      case 'fail':
        return this.#end((sink) =>
          sink.onFail(refusalOf(event.refusal) ?? UPSTREAM_FAILED, event.detail, ...(event.health === null ? [] : [event.health])),
        );
      case 'over':
        return this.#end((sink) => sink.onCancelled());
    }
  }

  /** Whether it was served nobody knows, unless it was never sent: then its client can begin anew. */
  onLost(loss: Loss): void {
    this.#end((sink) => {
      if (loss === 'unreached') sink.onFail(SESSION_UNKNOWN, UNREACHED);
      else if (loss === 'late') sink.onFail(UPSTREAM_TIMEOUT, LATE, 'failed');
      else sink.onFail(UPSTREAM_FAILED, GONE);
    });
  }

  #end(tell: (sink: ReplySink) => void): void {
    this.#isOver = true;
    this.line = null;
    if (this.#sink !== null) tell(this.#sink);
    this.#whenOver?.();
    this.#whenOver = null;
  }
}

/** A standing stream, or the rest of one. */
export class RemoteStream implements RemoteOrder, Listening {
  line: OrderLine | null = null;
  readonly #sink: StreamSink;
  #readBytes = 0;

  constructor(sink: StreamSink) {
    this.#sink = sink;
  }

  leave(): void {
    this.line?.leave();
    this.line = null;
  }

  resume(): void {
    this.#readBytes = 0;
    this.line?.tell('resume');
  }

  onEvent(event: SessionEvent): void {
    switch (event.what) {
      case 'stream':
        return this.#sink.onOpen();
      case 'mark':
        return this.#sink.onMark(event.mark);
      case 'message':
        this.#readBytes += weightOf(event.bytes);
        if (!this.#sink.onMessage(event.bytes, event.isResponse, event.mark ?? undefined)) this.line?.tell('pause');
        else if (this.#readBytes >= READ_BYTES) this.resume();
        return;
      case 'fail':
        this.line = null;
        return this.#sink.onEnd(refusalOf(event.refusal) ?? UPSTREAM_FAILED, event.detail);
      case 'reply':
      case 'suspended':
      case 'over':
        this.line = null;
        return this.#sink.onEnd(null, 'its server ended it');
    }
  }

  onLost(loss: Loss): void {
    this.line = null;
    if (loss === 'unreached') this.#sink.onEnd(SESSION_UNKNOWN, UNREACHED);
    else this.#sink.onEnd(null, GONE);
  }
}

/** What needs no answer, only to be known: `done` is called once, that worker has seen to it or never will. */
export class RemoteNotice implements RemoteOrder {
  line: OrderLine | null = null;
  readonly #done: () => void;

  constructor(done: () => void) {
    this.#done = done;
  }

  onEvent(): void {
    this.#done();
  }

  onLost(): void {
    this.#done();
  }
}
