import type { BodyReceiver, Exchange, HeaderList } from '../core/exchange.ts';
import type { RequestHead } from '../core/head.ts';
import { SseDecoder } from '../mcp/sse.ts';
import { SSE_TYPE } from './reply.ts';

const COMMENT = ':\n\n';

/** The batch that a message came in, for what is answered to it. */
export interface ElementOutlet {
  readonly isClosed: boolean;
  /** Its client comes back for the whole batch: what is said has positions there, not in a stream of the message's own. */
  readonly isKept: boolean;
  /** Its client cannot come back for the stream of one message. */
  readonly isOnlyWay: boolean;
  /** Answered with JSON, or with nothing (empty). `over` follows. */
  take(body: Buffer): void;
  /** One message of an event stream. False: the client reads slowly. */
  say(message: Buffer): boolean;
  /** What an event stream consists of, as it is. */
  pass(chunk: string | Uint8Array): boolean;
  over(): void;
}

/** One message of a batch, as if it had come alone. */
export class ElementExchange implements Exchange {
  readonly head: RequestHead;
  onGone: (() => void) | null = null;
  onDrain: (() => void) | null = null;
  readonly #batch: ElementOutlet;
  readonly #bytes: Buffer;
  #decoder: SseDecoder | null = null;
  #isRead = true;
  #hasSaid = false;
  #isDone = false;

  constructor(batch: ElementOutlet, head: RequestHead, bytes: Buffer) {
    this.#batch = batch;
    this.#bytes = bytes;
    this.head = { ...head, bodyBytes: bytes.length };
  }

  get isClosed(): boolean {
    return this.#isDone || this.#batch.isClosed;
  }

  get isOnlyWay(): boolean {
    return this.#batch.isOnlyWay;
  }

  readBody(_limitBytes: number, receive: BodyReceiver): void {
    setImmediate(() => receive(this.#bytes, null));
  }

  send(_status: number, headers: HeaderList, body: string | Uint8Array): void {
    if (this.#isDone) return;
    if (headers.includes(SSE_TYPE)) this.write(body);
    else this.#batch.take(Buffer.from(body));
    this.end();
  }

  open(): void {}

  write(chunk: string | Uint8Array): boolean {
    if (this.#isDone) return true;
    if (!this.#batch.isKept) return this.#batch.pass(chunk);
    this.#isRead = true;
    this.#hasSaid = false;
    // What the gateway itself writes is bounded already.
    this.#decoder ??= new SseDecoder({ maxEventBytes: Number.MAX_SAFE_INTEGER, onEvent: ({ data }) => this.#onEvent(data) });
    this.#decoder.push(typeof chunk === 'string' ? Buffer.from(chunk) : chunk);
    // A comment, or a position of the message alone: it shows that there is a stream.
    return this.#hasSaid ? this.#isRead : this.#batch.pass(COMMENT);
  }

  end(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#batch.over();
  }

  destroy(): void {
    this.end();
  }

  /** The client of the whole batch has left, and does not come back. */
  gone(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.onGone?.();
  }

  #onEvent(data: Buffer): void {
    if (data.length === 0) return;
    this.#hasSaid = true;
    this.#isRead = this.#batch.say(data) && this.#isRead;
  }
}
