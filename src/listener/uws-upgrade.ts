import type { us_socket_context_t } from 'uWebSockets.js';
import type { BodyReceiver, Exchange, HeaderList } from '../core/exchange.ts';
import { limitFields, type LimitFigures } from '../core/limit-fields.ts';
import { BAD_FRAMING, INTERNAL } from '../core/errors.ts';
import type { RequestHead } from '../core/head.ts';
import type { SocketOpener } from '../core/message-socket.ts';
import { answerLines, firstName, MINIMAL_HEADERS, minimalBody, statusLine } from './answer-head.ts';
import type { Deferred } from './loop-queue.ts';
import type { HttpResponse } from './native.ts';
import type { UwsContext } from './uws-context.ts';
import type { UwsSocketData } from './uws-socket.ts';
import { SUBPROTOCOL } from './websocket-ask.ts';
import { WholeAnswer } from './whole-answer.ts';

interface Answer {
  readonly status: number;
  readonly headers: HeaderList;
  readonly body: string | Uint8Array;
  readonly figures: LimitFigures | undefined;
}

/** A request for a WebSocket on the µWS engine: becomes one, or is answered and its connection closed. */
export class UwsUpgrade implements Exchange, Deferred {
  readonly head: RequestHead;
  onGone: (() => void) | null = null;
  onDrain: (() => void) | null = null;
  readonly #context: UwsContext;
  readonly #key: string;
  readonly #socketContext: us_socket_context_t;
  #res: HttpResponse | null;
  #opener: SocketOpener | null = null;
  #isInHandler = true;
  #answer: Answer | null = null;
  readonly #whole = new WholeAnswer();

  constructor(context: UwsContext, res: HttpResponse, head: RequestHead, key: string, socketContext: us_socket_context_t) {
    this.#context = context;
    this.#res = res;
    this.head = head;
    this.#key = key;
    this.#socketContext = socketContext;
  }

  get isClosed(): boolean {
    return this.#res === null;
  }

  /**
   * At once inside the handler, as almost always: rule R1 is for answers, behind which a further request could stand; what stands
   * behind a head that became a WebSocket is no request any more.
   */
  readonly upgrade = (open: SocketOpener): void => {
    const res = this.#res;
    if (res === null || this.#answer !== null || this.#opener !== null) return;
    this.#opener = open;
    if (!this.#isInHandler) return this.#context.queue.push(this);
    this.#res = null;
    this.#become(res, open);
  };

  /** The engine's: its handler returns. */
  leaveHandler(): void {
    this.#isInHandler = false;
  }

  readBody(_limitBytes: number, receive: BodyReceiver): void {
    setImmediate(() => receive(null, BAD_FRAMING));
  }

  send(status: number, headers: HeaderList, body: string | Uint8Array, figures?: LimitFigures): void {
    if (this.#res === null || this.#answer !== null || this.#opener !== null) return;
    this.#answer = { status, headers, body, figures };
    this.#context.queue.push(this);
  }

  open(status: number, headers: HeaderList, figures?: LimitFigures): void {
    this.#whole.open(status, headers, figures);
  }

  write(chunk: string | Uint8Array): boolean {
    this.#whole.write(chunk);
    return true;
  }

  end(): void {
    this.#whole.end(this);
  }

  destroy(): void {
    const res = this.#res;
    this.#res = null;
    res?.close();
  }

  /** The engine's: the socket is closed, `res` is dead. */
  peerGone(): void {
    this.#context.addresses.give(this.head.peerIp);
    if (this.#res === null) return;
    this.#res = null;
    if (this.#answer === null) this.onGone?.();
  }

  /** The engine's: answer with 500 when nothing was sent yet. */
  fail(): void {
    this.send(INTERNAL.status, MINIMAL_HEADERS, minimalBody(INTERNAL));
  }

  runDeferred(): void {
    const res = this.#res;
    if (res === null) return;
    this.#res = null;
    this.#context.guarded(() => (this.#opener === null ? this.#write(res) : this.#become(res, this.#opener)));
  }

  /**
   * Not in a cork of ours: after the callback this build of µWS goes on with memory that the socket may have left (fixed in 20.79), and
   * loses or closes it. Outside of the handler it then warns on standard error, once for each.
   */
  #become(res: HttpResponse, opener: SocketOpener): void {
    const data: UwsSocketData = { opener, peerIp: this.head.peerIp, socket: null };
    res.upgrade(data, this.#key, SUBPROTOCOL, '', this.#socketContext);
  }

  #write(res: HttpResponse): void {
    const { status, headers, body, figures } = this.#answer ?? internalError();
    const lines = answerLines(status, headers, limitFields(figures));
    // The answer ends the connection, and µWS calls no abort handler then.
    this.#context.addresses.give(this.head.peerIp);
    res.cork(() => {
      res.writeStatus(statusLine(status));
      res.writeHeader(firstName(headers), `${lines}\r\nconnection: close`);
      res.end(body, true);
    });
  }
}

function internalError(): Answer {
  return { status: INTERNAL.status, headers: MINIMAL_HEADERS, body: minimalBody(INTERNAL), figures: undefined };
}
