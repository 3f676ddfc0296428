import type { Clock, Timer } from '../core/clock.ts';
import type { Exchange } from '../core/exchange.ts';
import type { RequestHead } from '../core/head.ts';
import { mayClaimModern, modernHeaders } from '../mcp/modern-head.ts';
import { isFailure, type JsonLimits, parseMessage } from '../mcp/parse.ts';
import { MessageExchange, type MessageOutlet } from './message-exchange.ts';
import { OwnExchange } from './own-exchange.ts';

/** Why a conversation is ended by the gateway. */
export type Ending = 'leaving' | 'unauthorized' | 'lost' | 'overrun' | 'fault';

/** What carries the messages to the client. */
export interface Wire {
  /** One JSON-RPC message. False: the client reads slowly, and `Conversation.drained` follows. */
  deliver(message: string | Uint8Array): boolean;
  /** Nothing is delivered after it. */
  end(why: Ending): void;
}

/** Of what nobody hears the answer. */
const UNHEARD: MessageOutlet = { deliver: () => true, answered: () => undefined, sessionBegan: () => undefined, broken: () => undefined };

/** Before its standing stream is asked for again, unless the server says otherwise; twice as long each time that nothing came of it. */
const RETRY_MS = 1000;
const MAX_RETRY_MS = 30_000;
/** Of a standing stream: those behind which another try may fare better. */
const PASSING: ReadonlySet<number> = new Set([200, 400, 409, 429, 502, 503, 504]);

export interface ConversationOptions {
  readonly jsonLimits: JsonLimits;
  readonly clock: Clock;
}

/** Messages of one client that may be under way at once, whatever its limits are. */
const MAX_LIVE = 1024;

/**
 * A client whose messages come over one connection instead of HTTP requests. Each walks the request path on its own, with
 * the credential that the connection began with: authenticated, limited, decided on and recorded like a POST.
 */
export class Conversation implements MessageOutlet {
  readonly #serve: (exchange: Exchange) => void;
  /** Of every message; with the session, once there is one. */
  #head: RequestHead;
  readonly #limits: JsonLimits;
  readonly #clock: Clock;
  readonly #wire: Wire;
  readonly #live = new Set<MessageExchange>();
  readonly #readId = (message: Buffer): string | null | undefined => this.#idOf(message);
  /** What the server says outside of calls, once there is a session. */
  #standing: OwnExchange | null = null;
  #relisten: Timer | null = null;
  #idleStreams = 0;
  #isLeaving = false;
  #isOver = false;
  #isClosed = false;

  /** `serve`: the request path. `opening`: of the request that the connection began with; `path`: what it asked for below `/mcp`. */
  constructor(serve: (exchange: Exchange) => void, opening: RequestHead, path: string, options: ConversationOptions, wire: Wire) {
    this.#serve = serve;
    this.#head = messageHead(opening, path);
    this.#limits = options.jsonLimits;
    this.#clock = options.clock;
    this.#wire = wire;
  }

  /** A message of the client, owned by the conversation. */
  receive(message: Buffer): void {
    if (this.#isOver) return;
    this.#serve(this.begin(this.#head, message));
  }

  /** A message under way, whose answer goes to the client. */
  begin(head: RequestHead, message: Buffer): MessageExchange {
    const exchange = new MessageExchange(this.#withClaims(head, message), message, this, this.#readId);
    this.#live.add(exchange);
    if (this.#isOver || this.#live.size > MAX_LIVE) queueMicrotask(() => (this.#isOver ? exchange.gone() : this.#end('overrun')));
    return exchange;
  }

  /** The head of a message that came with a request of its own: its credential, for what this conversation is about. */
  headOf(request: RequestHead): RequestHead {
    const { path, sessionId } = this.#head;
    return { ...messageHead(request, ''), path, sessionId, contentType: request.contentType, requestId: request.requestId };
  }

  /** The client reads again. */
  drained(): void {
    for (const exchange of this.#live) exchange.onDrain?.();
    this.#standing?.onDrain?.();
  }

  /** The gateway stops: ends as soon as nothing is under way. */
  leave(): void {
    this.#isLeaving = true;
    if (this.#live.size === 0) this.#end('leaving');
  }

  /** The client is gone. */
  closed(): void {
    if (this.#isClosed) return;
    this.#isOver = true;
    this.#isClosed = true;
    const live = [...this.#live];
    this.#live.clear();
    for (const exchange of live) exchange.gone();
    this.#hangUp();
    this.#giveBack();
  }

  deliver(message: string | Uint8Array): boolean {
    return this.#isOver || this.#wire.deliver(message);
  }

  answered(exchange: MessageExchange, status: number): void {
    if (exchange instanceof OwnExchange) return this.#listenAgain(exchange, status);
    this.#live.delete(exchange);
    // The first that was taken without an answer is `notifications/initialized`: from now on the server may speak.
    if (status === 202 && exchange.head.sessionId !== '') this.#listen();
    // Its credential is not good any more: no message of this connection will be served.
    if (status === 401) this.#end('unauthorized');
    else if (status === 404 && exchange.head.sessionId !== '' && exchange.head.mcpMethod === '') this.#lose();
    else if (this.#isLeaving && this.#live.size === 0) this.#end('leaving');
  }

  sessionBegan(id: string): void {
    this.#giveBack();
    this.#hangUp();
    this.#head = { ...this.#head, sessionId: id };
  }

  /** Whoever holds the connection has its session: nobody could come back to it. */
  #giveBack(): void {
    if (this.#head.sessionId !== '') this.#serve(new OwnExchange(this.#head, 'DELETE', UNHEARD));
  }

  #listen(lastEventId = ''): void {
    if (this.#standing !== null || this.#isOver) return;
    this.#standing = new OwnExchange({ ...this.#head, lastEventId }, 'GET', this);
    this.#serve(this.#standing);
  }

  /** A server may close its standing stream at any time (2025-11-25, Transports): a client over HTTP would come back for it. */
  #listenAgain(exchange: MessageExchange, status: number): void {
    if (exchange !== this.#standing || this.#isOver || this.#isLeaving || !PASSING.has(status)) return;
    // One that was refused may have been so because of its position.
    const lastEventId = status === 200 ? exchange.lastEventId : '';
    this.#idleStreams = status === 200 && exchange.hasCarried ? 0 : this.#idleStreams + 1;
    const askedMs = exchange.retryMs >= 0 ? exchange.retryMs : RETRY_MS;
    const pauseMs = Math.min(MAX_RETRY_MS, Math.max(RETRY_MS, askedMs) * 2 ** Math.min(this.#idleStreams, 10));
    this.#relisten = this.#clock.after(pauseMs, () => {
      this.#standing = null;
      this.#listen(lastEventId);
    });
  }

  #hangUp(): void {
    this.#relisten?.cancel();
    this.#standing?.gone();
    this.#standing = null;
  }

  broken(exchange: MessageExchange): void {
    this.#live.delete(exchange);
    this.#end('fault');
  }

  /** The session is gone: there is nothing to give back. */
  #lose(): void {
    this.#head = { ...this.#head, sessionId: '' };
    this.#end('lost');
  }

  #end(why: Ending): void {
    if (this.#isOver) return;
    this.#wire.end(why);
    this.closed();
  }

  /** Who claims the revision without handshake sends, over HTTP, headers that repeat the message. */
  #withClaims(head: RequestHead, message: Buffer): RequestHead {
    if (!mayClaimModern(message)) return head;
    const parsed = parseMessage(message, this.#limits);
    return isFailure(parsed) ? head : { ...head, ...modernHeaders(parsed) };
  }

  #idOf(message: Buffer): string | null | undefined {
    const parsed = parseMessage(message, this.#limits);
    if (isFailure(parsed)) return parsed.idToken === 'null' ? undefined : parsed.idToken;
    return parsed.kind === 'request' ? parsed.bytes.toString('utf8', parsed.idStart, parsed.idEnd) : null;
  }
}

/** Nothing that belongs to one HTTP request is taken over: not its id, its session or its body. */
function messageHead(opening: RequestHead, path: string): RequestHead {
  return {
    ...opening,
    method: 'POST',
    path: `/mcp${path}`,
    query: '',
    contentType: 'application/json',
    accept: 'application/json, text/event-stream',
    sessionId: '',
    protocolVersion: '',
    mcpMethod: '',
    mcpName: '',
    mcpParams: null,
    lastEventId: '',
    requestId: '',
  };
}
