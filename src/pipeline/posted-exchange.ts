import { randomUUID } from 'node:crypto';
import type { BodyReceiver, Exchange, HeaderList } from '../core/exchange.ts';
import type { LimitFigures } from '../core/limit-fields.ts';
import type { RequestHead } from '../core/head.ts';
import type { Conversation } from './conversation.ts';
import type { MessageExchange } from './message-exchange.ts';

/** MCP 2024-11-05, Transports: a POST is answered at once, and what it asked for comes on the stream. */
const ACCEPTED = 202;

/**
 * A POST whose answer goes to the event stream of its conversation. What is refused at once is refused on the POST, as any other
 * one is; everything later, and every answer, goes to the stream.
 */
export class PostedExchange implements Exchange {
  readonly head: RequestHead;
  readonly isOnlyWay = true;
  onGone: (() => void) | null = null;
  onDrain: (() => void) | null = null;
  readonly #http: Exchange;
  readonly #conversation: Conversation;
  /** Null until the message is there. */
  #onStream: MessageExchange | null = null;
  #isAccepted = false;

  constructor(http: Exchange, conversation: Conversation) {
    this.#http = http;
    this.#conversation = conversation;
    this.head = { ...conversation.headOf(http.head), requestId: http.head.requestId || randomUUID() };
    // With the message here it counts as sent: the stream is where its answer goes.
    http.onGone = () => {
      if (this.#onStream === null) this.onGone?.();
    };
  }

  get isClosed(): boolean {
    return this.#onStream?.isClosed ?? this.#http.isClosed;
  }

  readBody(limitBytes: number, receive: BodyReceiver): void {
    this.#http.readBody(limitBytes, (body, refusal) => {
      if (body !== null) {
        this.#onStream = this.#conversation.begin(this.head, body);
        this.#onStream.onGone = () => this.onGone?.();
        this.#onStream.onDrain = () => this.onDrain?.();
      }
      receive(body, refusal);
      // Nothing refused it so far: whatever comes of it now comes on the stream.
      if (body !== null) setImmediate(() => this.#accept());
    });
  }

  send(status: number, headers: HeaderList, body: string | Uint8Array, figures?: LimitFigures): void {
    const onStream = this.#onStream;
    if (!this.#isAccepted && (onStream === null || status >= 400)) {
      this.#isAccepted = true;
      this.#http.send(status, headers, body, figures);
      return onStream?.end();
    }
    this.#accept();
    onStream?.send(status, headers, body);
  }

  open(status: number): void {
    this.#accept();
    this.#onStream?.open(status);
  }

  write(chunk: string | Uint8Array): boolean {
    return this.#onStream?.write(chunk) ?? true;
  }

  end(): void {
    this.#onStream?.end();
  }

  destroy(): void {
    if (!this.#isAccepted) this.#http.destroy();
    this.#onStream?.destroy();
  }

  #accept(): void {
    if (this.#isAccepted) return;
    this.#isAccepted = true;
    this.#http.send(ACCEPTED, ['x-request-id', this.head.requestId], '');
  }
}
