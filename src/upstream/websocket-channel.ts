import type { IncomingMessage } from 'node:http';
import type { LookupFunction } from 'node:net';
import { WebSocket } from 'ws';
import type { Clock, Timer } from '../core/clock.ts';
import type { Channel, ChannelListener } from './channel.ts';
import { SSRF_REFUSED } from './ssrf.ts';

export interface WebSocketTarget {
  /** `ws:` or `wss:`, already checked. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Of one message, all its fragments together. */
  readonly maxMessageBytes: number;
  /** Time for the connection and its upgrade, together; 5 s at most. */
  readonly openMs: number;
  readonly lookup: LookupFunction;
}

const SUBPROTOCOL = 'mcp';
const MAX_OPEN_MS = 5000;

/** Bytes that may wait in front of a server that does not read, beside one message of any size. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

/** A server is pinged after so long without a sign of life, and given up after three times as long. */
const PING_MS = 5000;

/** RFC 6455 section 7.4.1. */
const NORMAL_CLOSURE = 1000;

/** One WebSocket as a client: no redirects, no compression, bounded messages; pings find out that a silent server is gone. */
export class WebSocketChannel implements Channel {
  readonly pid = null;
  readonly #clock: Clock;
  readonly #listener: ChannelListener;
  readonly #socket: WebSocket;
  readonly #opening: Timer;
  readonly #pings: Timer;
  #signMs: number;
  #isGone = false;

  constructor(target: WebSocketTarget, clock: Clock, listener: ChannelListener) {
    this.#clock = clock;
    this.#listener = listener;
    this.#signMs = clock.nowMs();
    this.#socket = new WebSocket(target.url, [SUBPROTOCOL], {
      headers: target.headers,
      lookup: target.lookup,
      maxPayload: target.maxMessageBytes,
      perMessageDeflate: false,
      followRedirects: false,
    });
    this.#opening = clock.after(Math.min(target.openMs, MAX_OPEN_MS), () => this.kill('cannot be reached: no WebSocket in time'));
    this.#pings = clock.every(PING_MS, () => this.#checkLife());
    this.#listen();
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  send(message: Buffer): boolean {
    if (this.#isGone || !this.isOpen) return false;
    const waiting = this.#socket.bufferedAmount;
    if (waiting > 0 && waiting + message.length > MAX_WAITING_BYTES) return false;
    this.#socket.send(message, { binary: false });
    return true;
  }

  kill(reason: string): void {
    this.#gone(reason);
    this.#socket.terminate();
  }

  async stop(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#socket.once('close', () => resolve()));
    const wasOver = this.#socket.readyState === WebSocket.CLOSED;
    this.#socket.close(NORMAL_CLOSURE);
    const late = this.#clock.after(graceMs, () => this.#socket.terminate());
    if (!wasOver) await closed;
    late.cancel();
    this.#gone('stopped');
  }

  #listen(): void {
    const socket = this.#socket;
    socket.on('open', () => this.#onOpen());
    socket.on('message', (data, isBinary) => this.#onMessage(data as Buffer, isBinary));
    socket.on('ping', () => this.#sign());
    socket.on('pong', () => this.#sign());
    socket.on('unexpected-response', (request, response) => {
      request.destroy();
      this.kill(refusalOf(response));
    });
    socket.on('error', (error) => this.#onError(error));
    socket.on('close', (code) => this.#gone(`closed the connection: ${code}`));
  }

  #onOpen(): void {
    if (this.#isGone) return;
    this.#opening.cancel();
    this.#sign();
    this.#listener.onOpen();
  }

  #onMessage(data: Buffer, isBinary: boolean): void {
    if (this.#isGone) return;
    this.#sign();
    if (isBinary) this.#listener.onNoise('not_json');
    else this.#listener.onMessage(data);
  }

  #onError(error: Error): void {
    if (this.#isGone) return;
    const code = (error as NodeJS.ErrnoException).code ?? error.message;
    if (code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH') {
      this.#listener.onNoise('oversize');
      return this.kill('sent a message over the limit');
    }
    const wasOpen = this.isOpen || this.#socket.readyState === WebSocket.CLOSING;
    this.kill(wasOpen ? `broke the connection: ${code}` : `cannot be reached: ${code === SSRF_REFUSED ? error.message : code}`);
  }

  #checkLife(): void {
    if (!this.isOpen) return;
    const silentMs = this.#clock.nowMs() - this.#signMs;
    if (silentMs >= 3 * PING_MS) this.kill('gives no sign of life');
    else if (silentMs >= PING_MS) this.#socket.ping();
  }

  #sign(): void {
    this.#signMs = this.#clock.nowMs();
  }

  #gone(reason: string): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#opening.cancel();
    this.#pings.cancel();
    this.#listener.onGone(reason);
  }
}

function refusalOf({ statusCode = 0 }: IncomingMessage): string {
  if (statusCode >= 300 && statusCode < 400) return `answered with a redirect (HTTP ${statusCode}), which is not followed`;
  return `answered HTTP ${statusCode} instead of a WebSocket`;
}
