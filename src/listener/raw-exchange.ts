import type { Duplex } from 'node:stream';
import type { Clock } from '../core/clock.ts';
import { BAD_FRAMING } from '../core/errors.ts';
import type { BodyReceiver, Exchange, HeaderList } from '../core/exchange.ts';
import { limitFields, type LimitFigures } from '../core/limit-fields.ts';
import type { RequestHead } from '../core/head.ts';
import { answerHead, statusLine } from './answer-head.ts';
import { WholeAnswer } from './whole-answer.ts';

const LINGER_MS = 2000;

/**
 * The answer to bytes that `node:http` could not make a request of, written to the socket by hand; the connection
 * closes afterwards. It has no body to read, and a streamed answer leaves in one piece.
 */
export class RawExchange implements Exchange {
  readonly head: RequestHead;
  onGone: (() => void) | null = null;
  onDrain: (() => void) | null = null;
  isClosed = false;
  readonly #socket: Duplex;
  readonly #clock: Clock;
  readonly #whole = new WholeAnswer();

  constructor(socket: Duplex, head: RequestHead, clock: Clock) {
    this.#socket = socket;
    this.head = head;
    this.#clock = clock;
    // A socket that `node:http` let go of (CONNECT) has nobody else to hear of a reset, which would end the process.
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#gone());
  }

  readBody(_limitBytes: number, receive: BodyReceiver): void {
    setImmediate(() => receive(null, BAD_FRAMING));
  }

  send(status: number, headers: HeaderList, body: string | Uint8Array, figures?: LimitFigures): void {
    if (this.isClosed) return;
    const bytes = Buffer.from(body);
    const all = answerHead(status, headers, this.head.secure, limitFields(figures));
    this.isClosed = true;
    all.push('date', new Date(this.#clock.wallMs()).toUTCString(), 'content-length', String(bytes.length), 'connection', 'close');
    let text = `HTTP/1.1 ${statusLine(status)}\r\n`;
    for (let i = 0; i + 1 < all.length; i += 2) text += `${all[i]}: ${all[i + 1]}\r\n`;
    this.#socket.end(Buffer.concat([Buffer.from(`${text}\r\n`, 'latin1'), bytes]));
    this.#clock.after(LINGER_MS, () => this.#socket.destroy());
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
    this.isClosed = true;
    this.#socket.destroy();
  }

  #gone(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.onGone?.();
  }
}
