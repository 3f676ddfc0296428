import type { BatchStream } from '../core/batch-streams.ts';
import type { RequestContext } from '../core/context.ts';
import { BATCH_REFUSED, UPSTREAM_TOO_LARGE } from '../core/errors.ts';
import { isRefusal } from '../core/refusal.ts';
import type { Upstream } from '../core/upstream.ts';
import { acceptsOf } from '../mcp/content.ts';
import { rpcError } from '../mcp/messages.ts';
import { splitBatch } from '../mcp/split-batch.ts';
import { encodeMarkedEvent } from '../mcp/sse.ts';
import { scanUpstreamMessage } from '../mcp/upstream-message.ts';
import { ElementExchange, type ElementOutlet } from './batch-element.ts';
import { guarded } from './guarded.ts';
import type { Parts } from './parts.ts';
import { answer, headersOf, JSON_TYPE, refuse, SSE_TYPE } from './reply.ts';
import type { Session } from './session.ts';
import { sessionOf } from './session-book.ts';
import { begin, settle, settleGone } from './settle.ts';

/** The only revision that has batches. */
const BATCH_REVISION = '2025-03-26';
/** Answers that are held together; beyond them the rest is streamed, or refused to a client that takes no stream. */
const MAX_HELD_BYTES = 16 * 1024 * 1024;
/** What servers say has been checked as deeply. */
const MAX_DEPTH = 512;

/** Handles one message as a request of its own: all of it, nothing is left out because others came with it. */
type HandleElement = (context: RequestContext) => void;

/**
 * A batch, in a session that agreed on the revision that has them: each message goes through all that a request goes through,
 * from the credential to its record, and what is answered to it becomes part of the one answer.
 */
export function handleBatch(parts: Parts, context: RequestContext, upstream: Upstream, body: Buffer, handle: HandleElement): void {
  if (context.exchange.head.sessionId === '') return refuse(parts, context, BATCH_REFUSED);
  const session = sessionOf(parts, context, upstream, null);
  if (session === null) return refuse(parts, context, BATCH_REFUSED);
  if (isRefusal(session)) return refuse(parts, context, session);
  const elements = session.revision === BATCH_REVISION ? splitBatch(body, parts.settings.jsonLimits) : null;
  if (elements === null) return refuse(parts, context, BATCH_REFUSED);
  context.method = 'batch';
  context.methodLabel = 'batch';
  const batch = new Batch(parts, context, session, elements.length);
  const exchanges = elements.map((bytes) => new ElementExchange(batch, context.exchange.head, bytes));
  batch.begin(exchanges);
  for (const exchange of exchanges) {
    const element = begin(parts, exchange);
    guarded(parts, element, () => handle(element));
  }
}

/**
 * What becomes of the answers of a batch. Its stream is kept as one: a client that leaves takes nothing back, and who comes back gets what it has
 * not seen of every message (2025-03-26, Transports, Resumability and Redelivery). Ends in exactly one settle.
 */
class Batch implements ElementOutlet {
  readonly #parts: Parts;
  readonly #context: RequestContext;
  readonly #session: Session;
  readonly #acceptsSse: boolean;
  /** It came by a connection that nobody can come back for. */
  readonly #isMessage: boolean;
  /** Null where nothing is kept, and for a client that takes no stream. */
  readonly #kept: BatchStream | null;
  readonly #held: Buffer[] = [];
  #heldBytes = 0;
  #open: number;
  /** Something has a position that the client may have seen. */
  #hasPosition = false;

  constructor(parts: Parts, context: RequestContext, session: Session, count: number) {
    this.#parts = parts;
    this.#context = context;
    this.#session = session;
    this.#open = count;
    this.#acceptsSse = acceptsOf(context.exchange.head.accept).sse;
    this.#isMessage = context.exchange.isOnlyWay === true;
    this.#kept = this.#acceptsSse && !this.#isMessage ? parts.batches.begin(session) : null;
  }

  get isKept(): boolean {
    return this.#kept !== null;
  }

  get isOnlyWay(): boolean {
    return this.isKept || this.#isMessage;
  }

  /** Nobody hears it, nor comes back for it. */
  get isClosed(): boolean {
    return !this.#isHeard && !this.#hasPosition;
  }

  begin(elements: readonly ElementExchange[]): void {
    const { exchange } = this.#context;
    const resume = (): void => {
      for (const element of elements) element.onDrain?.();
    };
    exchange.onDrain = resume;
    if (this.#kept !== null) this.#kept.onTakenUp = resume;
    exchange.onGone = () => {
      // With a position the client comes back for the rest; nothing waits for it meanwhile.
      for (const element of elements) {
        if (this.#hasPosition) element.onDrain?.();
        else element.gone();
      }
      if (!this.#hasPosition) this.#kept?.over();
      settleGone(this.#parts, this.#context);
    };
  }

  take(body: Buffer): void {
    if (body.length === 0 || this.isClosed) return;
    const isTooMuch = this.#heldBytes + body.length > MAX_HELD_BYTES;
    if (this.#context.isStreaming || (isTooMuch && this.#acceptsSse)) return void this.say(body);
    const kept = isTooMuch ? Buffer.from(rpcError('null', UPSTREAM_TOO_LARGE.rpcCode, UPSTREAM_TOO_LARGE.message, null)) : body;
    this.#held.push(kept);
    this.#heldBytes += kept.length;
  }

  say(message: Buffer): boolean {
    this.#openStream();
    return this.#tell(message);
  }

  pass(chunk: string | Uint8Array): boolean {
    this.#openStream();
    return !this.#isHeard || this.#context.exchange.write(chunk);
  }

  over(): void {
    this.#open -= 1;
    if (this.#open > 0) return;
    this.#kept?.over();
    if (this.#context.isSettled || this.#context.exchange.isClosed) return;
    if (!this.#context.isStreaming) return this.#answerAll();
    this.#context.exchange.end();
    settle(this.#parts, this.#context);
  }

  /** By who sent the batch, who has not come back by another connection. */
  get #isHeard(): boolean {
    return !this.#context.isSettled && !this.#context.exchange.isClosed && this.#kept?.isTakenUp !== true;
  }

  #tell(message: Buffer): boolean {
    // Whoever comes back meanwhile must not get it twice.
    const isHeard = this.#isHeard;
    const mark = this.#kept?.say(message, scanUpstreamMessage(message, { maxDepth: MAX_DEPTH })?.kind === 'response');
    if (mark !== undefined) this.#hasPosition = true;
    return !isHeard || this.#context.exchange.write(encodeMarkedEvent(message, this.#session.sealed(mark, 'batch')));
  }

  #answerAll(): void {
    if (this.#held.length === 0) return answer(this.#parts, this.#context, 202, '', '');
    const pieces = this.#held.flatMap((one, index) => (index === 0 ? [one] : [Buffer.from(','), one]));
    answer(this.#parts, this.#context, 200, JSON_TYPE, Buffer.concat([Buffer.from('['), ...pieces, Buffer.from(']')]));
  }

  /** What was held until now goes first. */
  #openStream(): void {
    if (this.#context.isStreaming || !this.#isHeard) return;
    this.#context.isStreaming = true;
    this.#context.status = 200;
    this.#parts.load.streams += 1;
    const headers = headersOf(this.#parts, this.#context, SSE_TYPE);
    headers.push('x-accel-buffering', 'no');
    this.#context.exchange.open(200, headers, this.#context);
    for (const one of this.#held.splice(0)) this.#tell(one);
    this.#heldBytes = 0;
  }
}
