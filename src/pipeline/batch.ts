import type { RequestContext } from '../core/context.ts';
import { BATCH_REFUSED, UPSTREAM_TOO_LARGE } from '../core/errors.ts';
import type { BodyReceiver, Exchange, HeaderList } from '../core/exchange.ts';
import type { RequestHead } from '../core/head.ts';
import { isRefusal } from '../core/refusal.ts';
import type { Upstream } from '../core/upstream.ts';
import { acceptsOf } from '../mcp/content.ts';
import { rpcError } from '../mcp/messages.ts';
import { splitBatch } from '../mcp/split-batch.ts';
import { encodeSseEvent } from '../mcp/sse.ts';
import { guarded } from './guarded.ts';
import type { Parts } from './parts.ts';
import { answer, headersOf, JSON_TYPE, refuse, SSE_TYPE } from './reply.ts';
import { sessionOf } from './session-book.ts';
import { begin, settle, settleGone } from './settle.ts';

/** The only revision that has batches. */
const BATCH_REVISION = '2025-03-26';
/** Answers that are held together; beyond them the rest is streamed, or refused to a client that takes no stream. */
const MAX_HELD_BYTES = 16 * 1024 * 1024;

/** Handles one message as a request of its own: all of it, nothing is left out because others came with it. */
type HandleElement = (context: RequestContext) => void;

/**
 * A batch, in a session that agreed on the revision that has them: each message goes through all that a request goes through,
 * from the credential to its record, and what is answered to it becomes part of the one answer.
 */
export function handleBatch(parts: Parts, context: RequestContext, upstream: Upstream, body: Buffer, handle: HandleElement): void {
  if (context.exchange.head.sessionId === '') return refuse(parts, context, BATCH_REFUSED);
  const session = sessionOf(parts, context, upstream, null);
  if (session !== null && isRefusal(session)) return refuse(parts, context, session);
  const elements = session?.revision === BATCH_REVISION ? splitBatch(body, parts.settings.jsonLimits) : null;
  if (elements === null) return refuse(parts, context, BATCH_REFUSED);
  context.method = 'batch';
  context.methodLabel = 'batch';
  const batch = new Batch(parts, context, elements.length);
  const exchanges = elements.map((bytes) => new ElementExchange(batch, context.exchange.head, bytes));
  batch.begin(exchanges);
  for (const exchange of exchanges) {
    const element = begin(parts, exchange);
    guarded(parts, element, () => handle(element));
  }
}

/** What becomes of the answers of a batch. Ends in exactly one settle. */
class Batch {
  readonly #parts: Parts;
  readonly #context: RequestContext;
  readonly #acceptsSse: boolean;
  readonly #held: Buffer[] = [];
  #heldBytes = 0;
  #open: number;

  constructor(parts: Parts, context: RequestContext, count: number) {
    this.#parts = parts;
    this.#context = context;
    this.#open = count;
    this.#acceptsSse = acceptsOf(context.exchange.head.accept).sse;
  }

  get isClosed(): boolean {
    return this.#context.isSettled || this.#context.exchange.isClosed;
  }

  begin(elements: readonly ElementExchange[]): void {
    const { exchange } = this.#context;
    exchange.onDrain = () => {
      for (const element of elements) element.onDrain?.();
    };
    exchange.onGone = () => {
      for (const element of elements) element.gone();
      settleGone(this.#parts, this.#context);
    };
  }

  /** One message is answered: with JSON, or with nothing. */
  answered(body: Buffer, isStream: boolean): void {
    if (this.isClosed) return;
    if (isStream) this.stream(body);
    else if (body.length > 0) this.#take(body);
    this.over();
  }

  /** Events of one message. */
  stream(events: string | Uint8Array): boolean {
    this.#openStream();
    return this.#context.exchange.write(events);
  }

  over(): void {
    this.#open -= 1;
    if (this.#open > 0 || this.isClosed) return;
    if (!this.#context.isStreaming) return this.#answerAll();
    this.#context.exchange.end();
    settle(this.#parts, this.#context);
  }

  #take(body: Buffer): void {
    if (this.#context.isStreaming) return void this.#context.exchange.write(encodeSseEvent(body));
    const isTooMuch = this.#heldBytes + body.length > MAX_HELD_BYTES;
    if (isTooMuch && this.#acceptsSse) {
      this.#openStream();
      return void this.#context.exchange.write(encodeSseEvent(body));
    }
    const kept = isTooMuch ? Buffer.from(rpcError('null', UPSTREAM_TOO_LARGE.rpcCode, UPSTREAM_TOO_LARGE.message, null)) : body;
    this.#held.push(kept);
    this.#heldBytes += kept.length;
  }

  #answerAll(): void {
    if (this.#held.length === 0) return answer(this.#parts, this.#context, 202, '', '');
    const pieces = this.#held.flatMap((one, index) => (index === 0 ? [one] : [Buffer.from(','), one]));
    answer(this.#parts, this.#context, 200, JSON_TYPE, Buffer.concat([Buffer.from('['), ...pieces, Buffer.from(']')]));
  }

  /** What was held until now goes first. */
  #openStream(): void {
    if (this.#context.isStreaming || this.isClosed) return;
    this.#context.isStreaming = true;
    this.#context.status = 200;
    this.#parts.load.streams += 1;
    const headers = headersOf(this.#parts, this.#context, SSE_TYPE);
    headers.push('x-accel-buffering', 'no');
    this.#context.exchange.open(200, headers);
    for (const one of this.#held.splice(0)) this.#context.exchange.write(encodeSseEvent(one));
    this.#heldBytes = 0;
  }
}

/** One message of a batch, as if it had come alone. */
class ElementExchange implements Exchange {
  readonly head: RequestHead;
  onGone: (() => void) | null = null;
  onDrain: (() => void) | null = null;
  readonly #batch: Batch;
  readonly #bytes: Buffer;
  #isDone = false;

  constructor(batch: Batch, head: RequestHead, bytes: Buffer) {
    this.#batch = batch;
    this.#bytes = bytes;
    this.head = { ...head, bodyBytes: bytes.length };
  }

  get isClosed(): boolean {
    return this.#isDone || this.#batch.isClosed;
  }

  readBody(_limitBytes: number, receive: BodyReceiver): void {
    setImmediate(() => receive(this.#bytes, null));
  }

  send(_status: number, headers: HeaderList, body: string | Uint8Array): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#batch.answered(Buffer.from(body), headers.includes(SSE_TYPE));
  }

  open(): void {}

  write(chunk: string | Uint8Array): boolean {
    return this.#isDone || this.#batch.stream(chunk);
  }

  end(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#batch.over();
  }

  destroy(): void {
    this.end();
  }

  /** The client of the whole batch has left. */
  gone(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.onGone?.();
  }
}
