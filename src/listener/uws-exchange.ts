import type { BodyReceiver, Exchange, HeaderList } from '../core/exchange.ts';
import { INTERNAL } from '../core/errors.ts';
import type { RequestHead } from '../core/head.ts';
import { limitFields, type LimitFigures } from '../core/limit-fields.ts';
import { answerLines, firstName, hasBody, isFinal, MINIMAL_HEADERS, minimalBody, statusLine } from './answer-head.ts';
import { ChunkQueue, OPENING_BYTES } from './chunk-queue.ts';
import type { Verdict } from './head-guard.ts';
import type { Deferred } from './loop-queue.ts';
import type { HttpResponse } from './native.ts';
import { isPlain, plainHead } from './plain-head.ts';
import { type BodyHost, RequestBody } from './request-body.ts';
import { StallWatch } from './stall-watch.ts';
import type { UwsConnection } from './uws-connection.ts';
import type { UwsContext } from './uws-context.ts';

/**
 * One write of µWS stays below its cork buffer of 16 KiB, framing included: what does not fit is written around the
 * buffer, and lost when the flush of the buffer before it fails.
 */
const MAX_WRITE_BYTES = 15 * 1024;
const MAX_HEAD_BYTES = 9 * 1024;
const KEEP_ALIVE = '\r\nkeep-alive: timeout=8';
const CLOSE = '\r\nconnection: close';

type Phase = 'open' | 'answering' | 'streaming' | 'ending' | 'done';

/** One request on the µWS engine. `res` is only touched while `#res` holds it: any use after the end would throw. */
export class UwsExchange implements Exchange, BodyHost, Deferred {
  readonly head: RequestHead;
  onGone: (() => void) | null = null;
  onDrain: (() => void) | null = null;
  readonly #context: UwsContext;
  readonly #connection: UwsConnection;
  readonly #keepsConnection: boolean;
  readonly #body: RequestBody;
  #res: HttpResponse | null;
  #phase: Phase = 'open';
  #isDeliveryDue = false;
  #status = 0;
  #headers: HeaderList = [];
  #figures: LimitFigures | undefined = undefined;
  /** Of the answer's head, all but the name of the first header; null where the head is one of most (`plain-head.ts`). */
  #lines: string | null = '';
  /** The complete answer, or the part of a streamed one that waits. */
  #answer: string | Uint8Array = '';
  #queue: ChunkQueue | null = null;
  #stall: StallWatch | null = null;
  #hasFailed = false;
  #isHeadWritten = false;
  #isBlocked = false;
  #isDrainOwed = false;
  #wasHeld = false;

  constructor(context: UwsContext, res: HttpResponse | null, connection: UwsConnection, verdict: Verdict) {
    this.#context = context;
    this.#res = res;
    this.#connection = connection;
    this.head = verdict.head;
    this.#keepsConnection = verdict.keepsConnection;
    this.#body = new RequestBody(this, verdict.head.bodyBytes, context.settings.maxRequestBytes);
  }

  get isClosed(): boolean {
    return this.#res === null;
  }

  readBody(limitBytes: number, receive: BodyReceiver): void {
    if (this.#res === null) this.#body.lose();
    this.#body.request(limitBytes, receive);
  }

  send(status: number, headers: HeaderList, body: string | Uint8Array, figures?: LimitFigures): void {
    if (this.#phase !== 'open' || this.#res === null) return;
    this.#prepare(status, headers, figures);
    if (this.#status === status) this.#answer = body;
    this.#phase = 'answering';
    this.#context.queue.push(this);
  }

  open(status: number, headers: HeaderList, figures?: LimitFigures): void {
    if (this.head.method === 'HEAD') return this.send(status, headers, '', figures);
    if (this.#phase !== 'open' || this.#res === null) return;
    this.#prepare(status, headers, figures);
    if (this.#status !== status) {
      this.#phase = 'answering';
    } else {
      this.#phase = 'streaming';
      this.#queue = new ChunkQueue();
      this.#isBlocked = true;
    }
    this.#context.queue.push(this);
  }

  write(chunk: string | Uint8Array): boolean {
    const queue = this.#queue;
    if (this.#phase !== 'streaming' || queue === null) return true;
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    if (bytes.length > 0) queue.push(bytes);
    if (!this.#isBlocked) this.#pump(queue);
    if (queue.bytes - bytes.length > this.#context.settings.maxBufferedBytes) this.#drop();
    const isOpening = !this.#isHeadWritten && queue.bytes <= OPENING_BYTES;
    this.#isDrainOwed = !isOpening && (queue.bytes > 0 || this.#isBlocked);
    return !this.#isDrainOwed;
  }

  end(): void {
    if (this.#phase !== 'streaming' || this.#res === null) return;
    this.#phase = 'ending';
    this.#context.queue.push(this);
  }

  destroy(): void {
    const res = this.#res;
    if (res === null) return;
    this.#release(this.#context.closedSockets);
    res.close();
  }

  /** The engine's: a piece of the body, valid during the call. */
  feed(chunk: ArrayBuffer, isLast: boolean): void {
    this.#guarded(() => {
      this.#body.feed(new Uint8Array(chunk), isLast);
      this.#connection.bodyArrived(this.#body);
      return true;
    });
  }

  /** The engine's: the socket is closed, `res` is dead. */
  peerGone(): void {
    this.#connection.closed();
    if (this.#res !== null) this.#lost();
  }

  /** The engine's: answer with 500 when nothing was sent yet, and close. */
  fail(): void {
    this.#hasFailed = true;
    if (this.#phase === 'open') this.send(INTERNAL.status, MINIMAL_HEADERS, minimalBody(INTERNAL));
    else this.destroy();
  }

  pauseBody(): void {
    this.#res?.pause();
  }

  resumeBody(): void {
    this.#res?.resume();
  }

  deferDelivery(): void {
    this.#isDeliveryDue = true;
    this.#context.queue.push(this);
  }

  runDeferred(): void {
    this.#guarded(() => {
      if (this.#isDeliveryDue) {
        this.#isDeliveryDue = false;
        this.#body.deliver();
      } else if (this.#res !== null) {
        this.#advance();
      }
      return true;
    });
  }

  #advance(): void {
    if (this.#phase === 'answering') this.#answerInTime();
    else if (!this.#isHeadWritten || !this.#isBlocked) this.#onWritable();
  }

  /** Sets status and headers, or those of a 500 when they are not fit to be written. */
  #prepare(status: number, headers: HeaderList, figures?: LimitFigures): void {
    try {
      this.#lines = isFinal(status) && isPlain(headers) ? null : answerLines(status, headers, limitFields(figures));
      this.#headers = headers;
      this.#figures = figures;
      this.#status = status;
    } catch (error) {
      this.#context.failed(error);
      this.#status = INTERNAL.status;
      this.#lines = answerLines(INTERNAL.status, MINIMAL_HEADERS);
      this.#headers = MINIMAL_HEADERS;
      this.#answer = minimalBody(INTERNAL);
    }
  }

  #keeps(): boolean {
    return this.#keepsConnection && this.#body.isInStep && !this.#context.isStopping && !this.#hasFailed;
  }

  /**
   * Behind the answer to a request with `Connection: close` µWS itself closes the socket at once. While the peer still
   * sends, that resets the connection and can take the answer with it: then the answer waits for the body, for a while.
   */
  #answerInTime(): void {
    const isHeld = !this.#wasHeld && !this.#body.isComplete && this.#connection.canAwaitBody(this.head.bodyBytes);
    if (!isHeld) return this.#writeAnswer(this.#answer);
    this.#wasHeld = true;
    this.#body.discard();
    this.#connection.awaitBody(() => this.#context.queue.push(this));
  }

  #writeAnswer(answer: string | Uint8Array): void {
    if (!hasBody(this.#status)) return this.#writeBodiless(null);
    const bytes = Buffer.byteLength(answer);
    if (this.head.method === 'HEAD') this.#writeBodiless(bytes);
    else if (bytes <= MAX_WRITE_BYTES - MAX_HEAD_BYTES) this.#writeSmall(answer);
    else this.#writeLarge(typeof answer === 'string' ? Buffer.from(answer) : answer);
  }

  #writeSmall(body: string | Uint8Array): void {
    const isKept = this.#keeps();
    const isLingering = !isKept && !this.#body.isComplete && this.#connection.canLinger;
    this.#finish((res) =>
      res.cork(() => {
        this.#writeHead(res, isKept, isLingering);
        res.end(body, !isKept && !isLingering);
      }),
    );
    if (isLingering) this.#connection.lingerForBody(this.#body);
    else this.#connection.answered();
  }

  /** µWS neither completes an answer whose declared length it did not write, nor closes after one without a length. */
  #writeBodiless(length: number | null): void {
    const isKept = this.#keeps() && length === null;
    this.#finish((res) =>
      res.cork(() => {
        this.#writeHead(res, isKept, true);
        if (length === null) res.endWithoutBody();
        else res.endWithoutBody(length);
      }),
    );
    if (isKept) this.#connection.answered();
    else this.#connection.lingerForReader();
  }

  /** As much as the peer takes, the rest when it is writable again: µWS counts, nothing is buffered twice. */
  #writeLarge(body: Uint8Array): void {
    const res = this.#res;
    if (res === null) return;
    const isKept = this.#keeps();
    res.onWritable((offset) => this.#guarded(() => this.#tryEnd(res, body, offset, isKept)));
    res.cork(() => {
      this.#writeHead(res, isKept, true);
      this.#tryEnd(res, body, 0, isKept);
    });
  }

  #tryEnd(res: HttpResponse, body: Uint8Array, offset: number, isKept: boolean): boolean {
    const closedBefore = this.#context.closedSockets;
    const [isOk, isDone] = res.tryEnd(body.subarray(offset), body.length);
    if (!isDone) {
      this.#watch().start();
      return isOk;
    }
    this.#release(closedBefore);
    if (isKept || this.#connection.isPeerClosing) this.#connection.answered();
    // Not at once: inside the cork a close would take the answer with it.
    else if (this.#body.isComplete) this.#connection.lingerForReader();
    else this.#connection.lingerForBody(this.#body);
    return true;
  }

  #writeHead(res: HttpResponse, isKept: boolean, isCloseOurs: boolean): void {
    res.writeStatus(statusLine(this.#status));
    const isCloseSaid = !isKept && isCloseOurs && !this.#connection.isPeerClosing;
    const last = isKept ? KEEP_ALIVE : isCloseSaid ? CLOSE : '';
    const bytes = this.#lines === null && isKept ? plainHead(this.#headers, this.#figures, KEEP_ALIVE) : null;
    const lines = bytes === null ? (this.#lines ?? answerLines(this.#status, this.#headers, limitFields(this.#figures))) + last : bytes;
    // Every header is checked, so the lines may go over in one call instead of a dozen (`native-bench/uws-headers.ts`).
    res.writeHeader(firstName(this.#headers), lines);
  }

  /** Streams: the peer takes data again, or the answer has just been opened. */
  #onWritable(): boolean {
    const res = this.#res;
    const queue = this.#queue;
    if (res === null || queue === null) return true;
    if (this.#isHeadWritten) {
      // Only an empty cork flushes what µWS itself still holds when there is nothing more to write.
      if (this.#isBlocked) res.cork(noop);
    } else {
      res.onWritable(() => this.#guarded(() => this.#unblocked()));
    }
    this.#isBlocked = false;
    this.#stall?.stop();
    this.#pump(queue);
    if (this.#phase === 'ending' && queue.bytes === 0 && !this.#isBlocked) this.#endStream();
    return true;
  }

  #unblocked(): boolean {
    this.#isBlocked = true;
    return this.#onWritable();
  }

  #pump(queue: ChunkQueue): void {
    while (queue.bytes > 0 && !this.#isBlocked) this.#writePiece(queue);
    if (queue.bytes > 0 || this.#isBlocked || !this.#isDrainOwed || this.#phase !== 'streaming') return;
    this.#isDrainOwed = false;
    this.onDrain?.();
  }

  #writePiece(queue: ChunkQueue): void {
    const res = this.#res;
    if (res === null) return queue.clear();
    const piece = queue.shift(this.#isHeadWritten ? MAX_WRITE_BYTES : MAX_WRITE_BYTES - MAX_HEAD_BYTES);
    res.cork(() => {
      if (!this.#isHeadWritten) this.#writeStreamHead(res);
      this.#isBlocked = !res.write(piece);
    });
    this.#connection.streamedBytes += piece.length;
    if (!this.#isBlocked) return;
    this.#connection.wasBlocked = true;
    this.#watch().start();
  }

  #writeStreamHead(res: HttpResponse): void {
    this.#isHeadWritten = true;
    this.#writeHead(res, this.#keeps(), true);
  }

  #endStream(): void {
    const isKept = this.#keeps();
    this.#finish((res) =>
      res.cork(() => {
        if (!this.#isHeadWritten) this.#writeStreamHead(res);
        res.end();
      }),
    );
    if (isKept || this.#connection.isPeerClosing) this.#connection.answered();
    else this.#connection.lingerForReader();
  }

  /** Runs the last step of an answer, which may close the socket on the spot. */
  #finish(step: (res: HttpResponse) => void): void {
    const res = this.#res;
    if (res === null) return;
    const closedBefore = this.#context.closedSockets;
    this.#body.discard();
    step(res);
    this.#release(closedBefore);
  }

  #watch(): StallWatch {
    this.#stall ??= new StallWatch(this.#context.clock, this.#context.settings.stallMs, () => this.#drop());
    return this.#stall;
  }

  /** The peer does not read: it is cut off, and the application hears the same as if it had left. */
  #drop(): void {
    const res = this.#res;
    if (res === null) return;
    this.#lost();
    res.close();
  }

  #lost(): void {
    const wasDecided = this.#phase === 'answering' || this.#phase === 'ending';
    this.#release(this.#context.closedSockets);
    this.#context.guarded(() => {
      if (!wasDecided) this.onGone?.();
      this.#body.lose();
    });
  }

  /** The answer is complete or lost: `res` is not touched any more. */
  #release(closedBefore: number): void {
    this.#res = null;
    this.#phase = 'done';
    this.#stall?.stop();
    this.#queue?.clear();
    if (this.#context.closedSockets !== closedBefore) this.#connection.closed();
  }

  #guarded(step: () => boolean): boolean {
    try {
      return step();
    } catch (error) {
      this.#context.failed(error);
      this.fail();
      return true;
    }
  }
}

function noop(): void {}
