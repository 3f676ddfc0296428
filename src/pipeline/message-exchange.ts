import type { BodyReceiver, Exchange, HeaderList } from '../core/exchange.ts';
import { BODY_TOO_LARGE } from '../core/errors.ts';
import type { RequestHead } from '../core/head.ts';
import { SseDecoder } from '../mcp/sse.ts';

/** Where the answers to messages go. */
export interface MessageOutlet {
  /** One JSON-RPC message for the client. False: it reads slowly. */
  deliver(message: string | Uint8Array): boolean;
  /** The answer to this message, of this status, is complete; it may have been none. */
  answered(exchange: MessageExchange, status: number): void;
  /** The client has a session from now on. */
  sessionBegan(id: string): void;
  /** It will never be: a fault of the gateway. */
  broken(exchange: MessageExchange): void;
}

const SESSION_HEADER = 'mcp-session-id';

/** What a refusal begins with whose writer did not know the message yet. */
const WITHOUT_ID = '{"jsonrpc":"2.0","id":null,';

/** Of the raw JSON token of a request's id; null for a notification or a response, which nobody answers; undefined for what is no message. */
export type ReadId = (message: Buffer) => string | null | undefined;

/**
 * One message that did not come as an HTTP request, as the request path sees it: a POST that takes JSON and event streams. Its
 * answer is taken apart into the messages it consists of, so that every rule for a POST holds for it, and none is written twice.
 */
export class MessageExchange implements Exchange {
  readonly head: RequestHead;
  onGone: (() => void) | null = null;
  onDrain: (() => void) | null = null;
  isClosed = false;
  readonly isOnlyWay = true;
  /** Position in an event stream: the id of its last event, empty without one. */
  lastEventId = '';
  /** Something of the server was on it. */
  hasCarried = false;
  readonly #message: Buffer;
  readonly #outlet: MessageOutlet;
  readonly #readId: ReadId;
  #decoder: SseDecoder | null = null;
  #status = 0;
  #isRead = true;

  constructor(head: RequestHead, message: Buffer, outlet: MessageOutlet, readId: ReadId) {
    this.head = { ...head, bodyBytes: message.length };
    this.#message = message;
    this.#outlet = outlet;
    this.#readId = readId;
  }

  readBody(limitBytes: number, receive: BodyReceiver): void {
    const isTooLarge = this.#message.length > limitBytes;
    queueMicrotask(() => (isTooLarge ? receive(null, BODY_TOO_LARGE) : receive(this.#message, null)));
  }

  send(status: number, headers: HeaderList, body: string | Uint8Array): void {
    if (this.isClosed) return;
    this.isClosed = true;
    const at = headers.indexOf(SESSION_HEADER);
    if (at >= 0) this.#outlet.sessionBegan(headers[at + 1] ?? '');
    const message = status >= 400 ? this.#addressed(body) : body;
    if (message !== null && message.length > 0) this.#outlet.deliver(message);
    this.#outlet.answered(this, status);
  }

  open(status: number): void {
    if (this.isClosed || this.#decoder !== null) return;
    this.#status = status;
    // What the gateway itself writes is bounded already.
    this.#decoder = new SseDecoder({ maxEventBytes: Number.MAX_SAFE_INTEGER, onEvent: ({ data, id }) => this.#onEvent(data, id) });
  }

  write(chunk: string | Uint8Array): boolean {
    if (this.isClosed) return true;
    this.#isRead = true;
    this.#decoder?.push(typeof chunk === 'string' ? Buffer.from(chunk) : chunk);
    return this.#isRead;
  }

  end(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#outlet.answered(this, this.#status);
  }

  destroy(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#outlet.broken(this);
  }

  /** How long to wait before the rest of the stream is asked for; −1 when it did not say. */
  get retryMs(): number {
    return this.#decoder?.retryMs ?? -1;
  }

  /** The client is gone. */
  gone(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.onGone?.();
  }

  #onEvent(data: Buffer, id: string): void {
    this.lastEventId = id;
    this.hasCarried = true;
    if (!this.isClosed && data.length > 0) this.#isRead = this.#outlet.deliver(data) && this.#isRead;
  }

  /** A refusal with the id that its writer did not know; null when nobody waits for it. */
  #addressed(body: string | Uint8Array): string | Uint8Array | null {
    if (typeof body !== 'string' || !body.startsWith(WITHOUT_ID)) return body;
    const id = this.#readId(this.#message);
    if (id === null) return null;
    return id === undefined ? body : `{"jsonrpc":"2.0","id":${id},${body.slice(WITHOUT_ID.length)}`;
  }
}
