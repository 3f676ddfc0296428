import type { LookupFunction } from 'node:net';
import type { Clock, Timer } from '../core/clock.ts';
import type { HttpClient, HttpControl, HttpReceiver, HttpRequest } from './http-client.ts';
import { WireConnection, type ConnectionOwner, type WireTarget } from './http-wire-connection.ts';
import { WriteQueue } from './write-queue.ts';

/** An idle connection is given up before the usual server does (node:http 5 s, µWS 10 s). */
const IDLE_MS = 4000;
/** The server's own figure is undercut by this much, for what is on the way. */
const IDLE_MARGIN_MS = 1000;
const SWEEP_MS = 1000;
/** A busy connection would never close by itself, and the upstream's name never be resolved again. */
const MAX_CONNECTION_MS = 60_000;
/** What may stand in a request line (RFC 9112 section 3.2.1): visible ASCII. */
const PATH = /^\/[\x21-\x7e]*$/;
/** RFC 9110 section 5: a name is a token, a value has no line break and no other control character. */
const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/;
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * The HTTP client of the relay: keep-alive connections to one origin, the one used last first, so that surplus ones grow
 * old and are closed. Measured against undici in `docs/performance.md`.
 */
export class WireClient implements HttpClient, ConnectionOwner {
  readonly #target: WireTarget;
  readonly #host: string;
  readonly #clock: Clock;
  readonly #maxConnectionMs: number;
  readonly #idle: WireConnection[] = [];
  readonly #open = new Set<WireConnection>();
  readonly #writes: WriteQueue = new WriteQueue();
  /** Header blocks by the list they were made of; sessions keep their lists. */
  readonly #blocks = new WeakMap<readonly string[], string>();
  #sweeper: Timer | null = null;

  /** `maxConnectionMs`: age at which a connection takes no new requests; what it carries then is finished. */
  constructor(origin: string, lookup: LookupFunction, clock: Clock, maxConnectionMs: number = MAX_CONNECTION_MS) {
    const url = new URL(origin);
    const isTls = url.protocol === 'https:';
    const port = url.port === '' ? (isTls ? 443 : 80) : Number(url.port);
    this.#target = { host: url.hostname.replace(/^\[|\]$/g, ''), port, isTls, lookup };
    this.#host = url.host;
    this.#clock = clock;
    this.#maxConnectionMs = maxConnectionMs;
  }

  send(request: HttpRequest, receiver: HttpReceiver): HttpControl {
    const bytes = this.#encode(request);
    const connection = (request.isFresh === true ? null : this.#takeIdle()) ?? this.#connect();
    connection.send(bytes, receiver);
    return new Control(connection, receiver);
  }

  async close(): Promise<void> {
    this.#sweeper?.cancel();
    this.#sweeper = null;
    for (const connection of this.#open) connection.close();
    await Promise.resolve();
  }

  onIdle(connection: WireConnection, keepAliveSecs: number): void {
    const saidMs = keepAliveSecs < 0 ? IDLE_MS : keepAliveSecs * 1000 - IDLE_MARGIN_MS;
    const nowMs = this.#clock.nowMs();
    if (saidMs <= 0 || nowMs - connection.openedMs >= this.#maxConnectionMs) return connection.close();
    connection.idleUntilMs = nowMs + Math.min(saidMs, IDLE_MS);
    this.#idle.push(connection);
    this.#sweeper ??= this.#clock.every(SWEEP_MS, () => this.#sweep());
  }

  onClosed(connection: WireConnection): void {
    this.#open.delete(connection);
    const index = this.#idle.indexOf(connection);
    if (index >= 0) this.#idle.splice(index, 1);
  }

  /** The one used last, unless even that has been idle too long. */
  #takeIdle(): WireConnection | null {
    const connection = this.#idle.pop();
    if (connection === undefined) return null;
    if (connection.idleUntilMs > this.#clock.nowMs()) return connection;
    this.#idle.push(connection);
    this.#sweep();
    return null;
  }

  #connect(): WireConnection {
    const connection = new WireConnection(this.#target, this.#clock, this, this.#writes);
    this.#open.add(connection);
    return connection;
  }

  #sweep(): void {
    const nowMs = this.#clock.nowMs();
    for (const connection of this.#idle.filter(({ idleUntilMs }) => idleUntilMs <= nowMs)) connection.close();
    if (this.#open.size > 0) return;
    this.#sweeper?.cancel();
    this.#sweeper = null;
  }

  /** Head and body in one buffer: one write, one packet for what fits. */
  #encode({ method, path, headers, body }: HttpRequest): Buffer {
    if (!PATH.test(path)) throw new Error('a path cannot be written');
    const bodyBytes = body === null ? 0 : body.length;
    const length = method === 'POST' ? `content-length: ${bodyBytes}\r\n` : '';
    const head = `${method} ${path} HTTP/1.1\r\n${this.#block(headers)}${length}\r\n`;
    const bytes = Buffer.allocUnsafe(head.length + bodyBytes);
    bytes.write(head, 0, 'latin1');
    if (body !== null) bytes.set(body, head.length);
    return bytes;
  }

  #block(headers: readonly string[]): string {
    const known = this.#blocks.get(headers);
    if (known !== undefined) return known;
    let block = `host: ${this.#host}\r\n`;
    for (let index = 0; index + 1 < headers.length; index += 2) block += headerLine(headers[index] ?? '', headers[index + 1] ?? '');
    this.#blocks.set(headers, block);
    return block;
  }
}

/** Each part is looked at by itself: together, a value with a line break of its own would look like two headers. @throws when unfit */
function headerLine(name: string, value: string): string {
  if (!HEADER_NAME.test(name) || !HEADER_VALUE.test(value)) throw new Error('a header cannot be written');
  return `${name}: ${value}\r\n`;
}

/** A request's own handle: without effect once its connection carries another one. */
class Control implements HttpControl {
  readonly #connection: WireConnection;
  readonly #receiver: HttpReceiver;

  constructor(connection: WireConnection, receiver: HttpReceiver) {
    this.#connection = connection;
    this.#receiver = receiver;
  }

  pause(): void {
    if (this.#connection.carries(this.#receiver)) this.#connection.pause();
  }

  resume(): void {
    if (this.#connection.carries(this.#receiver)) this.#connection.resume();
  }

  abort(): void {
    if (this.#connection.carries(this.#receiver)) this.#connection.abort();
  }
}
