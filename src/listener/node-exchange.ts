import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../core/clock.ts';
import { BAD_FRAMING, INTERNAL, REQUEST_TIMEOUT } from '../core/errors.ts';
import type { BodyReceiver, Exchange, HeaderList } from '../core/exchange.ts';
import { limitFields, type LimitFigures } from '../core/limit-fields.ts';
import type { RequestHead } from '../core/head.ts';
import { answerHead, hasBody, MINIMAL_HEADERS, minimalBody } from './answer-head.ts';
import { ChunkQueue, OPENING_BYTES } from './chunk-queue.ts';
import type { Verdict } from './head-guard.ts';
import type { Deferred, LoopQueue } from './loop-queue.ts';
import { type BodyHost, RequestBody } from './request-body.ts';
import type { ListenerSettings } from './settings.ts';
import { StallWatch } from './stall-watch.ts';

/** What the exchanges of one `node` listener share. */
export interface NodeContext {
  readonly settings: ListenerSettings;
  readonly clock: Clock;
  readonly queue: LoopQueue;
  readonly isStopping: boolean;
  failed(error: unknown): void;
}

const PIECE_BYTES = 64 * 1024;
const BODY_TIMEOUT_MS = 12_000;
const MIN_BODY_BYTES_PER_SEC = 16 * 1024;
/** How long, and for how many bytes, a sender that was answered early may go on: a reset could take the answer with it. */
const LINGER_MS = 2000;
const MAX_DISCARDED_BYTES = 64 * 1024 * 1024;

type Phase = 'open' | 'answering' | 'streaming' | 'ending' | 'lingering' | 'done';

/** One request on the `node:http` engine. */
export class NodeExchange implements Exchange, BodyHost, Deferred {
  readonly head: RequestHead;
  onGone: (() => void) | null = null;
  onDrain: (() => void) | null = null;
  /** The connection takes no further request: set with the answer. */
  isLast = false;
  readonly #context: NodeContext;
  readonly #req: IncomingMessage;
  readonly #res: ServerResponse;
  readonly #keepsConnection: boolean;
  readonly #isContinueDue: boolean;
  readonly #body: RequestBody;
  readonly #queue: ChunkQueue = new ChunkQueue();
  #phase: Phase = 'open';
  #isDeliveryDue = false;
  #status = 0;
  #headers: string[] = [];
  #stall: StallWatch | null = null;
  #slowBody: StallWatch | null = null;
  #bodyBytesBefore = 0;
  #isBlocked = true;
  #isDrainOwed = false;

  /** `isContinueDue`: the client waits for `100 Continue`, which it gets when its body is asked for. */
  constructor(context: NodeContext, req: IncomingMessage, res: ServerResponse, verdict: Verdict, isContinueDue: boolean) {
    this.#context = context;
    this.#req = req;
    this.#res = res;
    this.head = verdict.head;
    this.#keepsConnection = verdict.keepsConnection;
    this.#isContinueDue = isContinueDue;
    this.#body = new RequestBody(this, verdict.head.bodyBytes, context.settings.maxRequestBytes);
    res.on('close', () => this.#closed());
    res.on('drain', () => this.#drained());
    req.on('error', noop);
    if (!this.#body.isComplete) this.#takeBody();
  }

  get isClosed(): boolean {
    return this.#phase === 'done' || this.#phase === 'lingering';
  }

  /** Still owes an answer, or still writes it. */
  get isPending(): boolean {
    return this.#phase !== 'done';
  }

  readBody(limitBytes: number, receive: BodyReceiver): void {
    if (this.isClosed) this.#body.lose();
    this.#body.request(limitBytes, receive);
    if (this.isClosed || this.#body.isComplete) return;
    if (this.#isContinueDue) this.#res.writeContinue();
    this.#watchBody();
  }

  send(status: number, headers: HeaderList, body: string | Uint8Array, figures?: LimitFigures): void {
    if (this.#phase !== 'open') return;
    const isFit = this.#prepare(status, headers, figures);
    const bytes = Buffer.from(isFit ? body : minimalBody(INTERNAL));
    const hasContent = hasBody(this.#status);
    if (hasContent) this.#headers.push('content-length', String(bytes.length));
    if (hasContent && this.head.method !== 'HEAD' && bytes.length > 0) this.#queue.push(bytes);
    this.#phase = 'answering';
    this.#context.queue.push(this);
  }

  open(status: number, headers: HeaderList, figures?: LimitFigures): void {
    if (this.head.method === 'HEAD') return this.send(status, headers, '', figures);
    if (this.#phase !== 'open') return;
    if (!this.#prepare(status, headers, figures)) {
      this.#queue.push(Buffer.from(minimalBody(INTERNAL)));
      this.#phase = 'ending';
    } else {
      this.#phase = 'streaming';
    }
    this.#context.queue.push(this);
  }

  write(chunk: string | Uint8Array): boolean {
    if (this.#phase !== 'streaming') return true;
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    if (bytes.length > 0) this.#queue.push(bytes);
    this.#pump();
    if (this.#queue.bytes - bytes.length > this.#context.settings.maxBufferedBytes) this.#drop();
    const isOpening = !this.#res.headersSent && this.#queue.bytes <= OPENING_BYTES;
    this.#isDrainOwed = !isOpening && (this.#queue.bytes > 0 || this.#isBlocked);
    return !this.#isDrainOwed;
  }

  end(): void {
    if (this.#phase !== 'streaming') return;
    this.#phase = 'ending';
    this.#context.queue.push(this);
  }

  destroy(): void {
    if (this.#phase === 'done') return;
    this.#release();
    this.#res.destroy();
    this.#req.socket.destroy();
  }

  /** The engine's: the parser gave up in the middle of the body. False when there is nobody left to tell. */
  bodyBroken(): boolean {
    // An answer that is decided, such as the refusal of this very framing, still goes out.
    if ((this.#phase !== 'open' && this.#phase !== 'answering') || this.#body.isComplete) return false;
    this.isLast = true;
    this.#body.fail(BAD_FRAMING);
    return true;
  }

  /**
   * The engine's: the peer ended its side in the middle of the body. Whoever waited for the body is not answered but told
   * that the peer left, as on µWS. False when the connection is to be closed for that.
   */
  bodyCut(): boolean {
    return this.#phase === 'answering' && this.bodyBroken();
  }

  /** The engine's: answer with 500 when nothing was sent yet, and close. */
  fail(): void {
    this.isLast = true;
    if (this.#phase === 'open') this.send(INTERNAL.status, MINIMAL_HEADERS, minimalBody(INTERNAL));
    else this.destroy();
  }

  pauseBody(): void {
    this.#req.pause();
  }

  resumeBody(): void {
    this.#req.resume();
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
      } else if (!this.isClosed) {
        this.#advance();
      }
    });
  }

  #takeBody(): void {
    this.#req.on('data', (chunk: Buffer) => this.#fed(chunk, false));
    this.#req.on('end', () => this.#fed(Buffer.alloc(0), true));
  }

  #fed(chunk: Buffer, isLast: boolean): void {
    this.#guarded(() => {
      this.#body.feed(chunk, isLast);
      if (this.#phase === 'lingering') this.#discarded();
      else if (this.#body.isComplete || !this.#body.isAwaited) this.#slowBody?.stop();
    });
  }

  #discarded(): void {
    if (this.#body.isComplete) this.#finish();
    else if (this.#body.discardedBytes > MAX_DISCARDED_BYTES) this.destroy();
  }

  /** The limits of the µWS engine: silence, or less than 16 KB/s, over twelve seconds. */
  #watchBody(): void {
    this.#slowBody ??= new StallWatch(this.#context.clock, BODY_TIMEOUT_MS, () => this.#judgeBody());
    this.#slowBody.start();
  }

  #judgeBody(): void {
    const arrived = this.#body.seenBytes - this.#bodyBytesBefore;
    this.#bodyBytesBefore = this.#body.seenBytes;
    if (arrived >= (MIN_BODY_BYTES_PER_SEC * BODY_TIMEOUT_MS) / 1000) this.#watchBody();
    else this.#guarded(() => this.#body.fail(REQUEST_TIMEOUT));
  }

  #prepare(status: number, headers: HeaderList, figures?: LimitFigures): boolean {
    try {
      this.#headers = answerHead(status, headers, this.head.secure, limitFields(figures));
      this.#status = status;
      return true;
    } catch (error) {
      this.#context.failed(error);
      this.#status = INTERNAL.status;
      this.#headers = answerHead(INTERNAL.status, MINIMAL_HEADERS, this.head.secure);
      return false;
    }
  }

  #advance(): void {
    if (!this.#res.headersSent) this.#writeHead();
    this.#pump();
  }

  #writeHead(): void {
    const isKept = this.#keepsConnection && this.#body.isInStep && !this.#context.isStopping && !this.isLast;
    this.isLast = !isKept;
    this.#res.shouldKeepAlive = isKept;
    this.#res.writeHead(this.#status, this.#headers);
    this.#isBlocked = false;
  }

  #pump(): void {
    while (this.#queue.bytes > 0 && !this.#isBlocked) {
      this.#isBlocked = !this.#res.write(this.#queue.shift(PIECE_BYTES));
      if (this.#isBlocked) this.#watchReader();
    }
    if (this.#queue.bytes > 0 || !this.#res.headersSent) return;
    if (this.#phase === 'answering' || this.#phase === 'ending') this.#complete();
    else if (!this.#isBlocked && this.#isDrainOwed) this.#tellDrain();
  }

  #tellDrain(): void {
    this.#isDrainOwed = false;
    this.onDrain?.();
  }

  #drained(): void {
    this.#stall?.stop();
    this.#isBlocked = false;
    this.#guarded(() => this.#pump());
  }

  /** All is written. While the peer still sends its body the socket stays open for a while: a reset could eat the answer. */
  #complete(): void {
    const isEarly = !this.#body.isComplete && !this.#body.isBroken && this.isLast;
    this.#body.discard();
    this.#slowBody?.stop();
    if (!isEarly) return this.#finish();
    if (this.#phase === 'ending') this.#res.end();
    else this.#res.flushHeaders();
    this.#phase = 'lingering';
    this.#slowBody = new StallWatch(this.#context.clock, LINGER_MS, () => this.destroy());
    this.#slowBody.start();
  }

  #finish(): void {
    this.#phase = 'done';
    this.#slowBody?.stop();
    this.#res.end();
  }

  #watchReader(): void {
    this.#stall ??= new StallWatch(this.#context.clock, this.#context.settings.stallMs, () => this.#drop());
    this.#stall.start();
  }

  /** The peer does not read: it is cut off, and the application hears the same as if it had left. */
  #drop(): void {
    this.#guarded(() => this.#lost());
    this.#res.destroy();
    this.#req.socket.destroy();
  }

  #closed(): void {
    this.#stall?.stop();
    this.#guarded(() => this.#lost());
  }

  #lost(): void {
    if (this.#phase === 'done') return;
    const wasDecided = this.#phase !== 'open' && this.#phase !== 'streaming';
    this.#release();
    if (!wasDecided) this.onGone?.();
    this.#body.lose();
  }

  #release(): void {
    this.#phase = 'done';
    this.isLast = true;
    this.#stall?.stop();
    this.#slowBody?.stop();
    this.#queue.clear();
  }

  #guarded(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#context.failed(error);
      this.fail();
    }
  }
}

function noop(): void {}
