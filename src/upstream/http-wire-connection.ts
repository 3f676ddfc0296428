import type { IncomingHttpHeaders } from 'node:http';
import { connect as connectTcp, type LookupFunction, type Socket, type TcpNetConnectOpts } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import type { Clock, Timer } from '../core/clock.ts';
import type { HttpReceiver } from './http-client.ts';
import { ResponseParser, type ParserSink } from './http-response-parser.ts';
import type { WriteQueue } from './write-queue.ts';

const CONNECT_TIMEOUT_MS = 2000;
/** All connections read into this one: what arrives is consumed or copied before the next read. */
const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);

/** Where to connect to. */
export interface WireTarget {
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
  /** Resolves and checks the address of every new connection. */
  readonly lookup: LookupFunction;
}

/** What a connection tells its pool. */
export interface ConnectionOwner {
  /** It may carry another request. `keepAliveSecs` −1 when the server did not say. */
  onIdle(connection: WireConnection, keepAliveSecs: number): void;
  onClosed(connection: WireConnection): void;
}

/** One connection: one request at a time, nothing pipelined. Bytes that come when none is awaited close it. */
export class WireConnection implements ParserSink {
  /** Managed by the pool: when an idle connection is given up. */
  idleUntilMs = 0;
  readonly openedMs: number;
  readonly #owner: ConnectionOwner;
  readonly #parser: ResponseParser;
  readonly #socket: Socket;
  readonly #writes: WriteQueue;
  /** Waits for the end of the turn. */
  #unsent: Buffer | null = null;
  #connecting: Timer | null;
  #receiver: HttpReceiver | null = null;
  #isConnected = false;
  #isPaused = false;
  /** It has carried a request before the one in progress. */
  #isKept = false;
  /** Something of an answer to the one in progress has come. */
  #isHeard = false;
  #isClosed = false;
  /** Closed from here. */
  #isOurs = false;
  /** Why the socket ended, for the receiver. */
  #error: Error | null = null;

  constructor(target: WireTarget, clock: Clock, owner: ConnectionOwner, writes: WriteQueue) {
    this.#owner = owner;
    this.#writes = writes;
    this.openedMs = clock.nowMs();
    this.#parser = new ResponseParser(this);
    const onread = {
      buffer: READ_BUFFER,
      callback: (size: number, buffer: Uint8Array) => this.#onBytes(buffer as Buffer, size),
    };
    const socket = openSocket(target, onread);
    this.#socket = socket;
    this.#connecting = clock.after(CONNECT_TIMEOUT_MS, () => this.#fail(timeoutError()));
    socket.once(target.isTls ? 'secureConnect' : 'connect', () => this.#onConnect());
    socket.on('error', (error) => this.#fail(error));
    socket.on('end', () => this.#onEnd());
    socket.on('close', () => this.#onClose());
  }

  /** Sends a request; called only on a new or an idle connection. */
  send(bytes: Buffer, receiver: HttpReceiver): void {
    this.#receiver = receiver;
    this.#isHeard = false;
    this.#parser.begin();
    this.#unsent = bytes;
    this.#writes.push(this);
  }

  /** The queue's: the turn is over. */
  writeNow(): void {
    const bytes = this.#unsent;
    this.#unsent = null;
    if (bytes !== null && !this.#socket.destroyed) this.#socket.write(bytes);
  }

  /** Whether this receiver's request is the one in progress. */
  carries(receiver: HttpReceiver): boolean {
    return this.#receiver === receiver;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#socket.resume();
  }

  /** Gives up what is in progress without telling the receiver. */
  abort(): void {
    this.#receiver = null;
    this.#socket.destroy();
  }

  /** Ends the connection; a receiver is told. */
  close(): void {
    this.#isOurs = true;
    this.#fail(new Error('closed'));
  }

  // ParserSink

  onHead(status: number, headers: IncomingHttpHeaders): void {
    this.#receiver?.onHead(status, headers);
  }

  onData(view: Buffer): void {
    this.#receiver?.onData(Buffer.from(view));
  }

  onEnd(): void {
    const receiver = this.#receiver;
    this.#receiver = null;
    receiver?.onEnd();
  }

  /** The buffer is read into again as soon as this returns; false stops reading. */
  #onBytes(buffer: Buffer, size: number): boolean {
    const wasBusy = this.#receiver !== null;
    this.#isHeard = true;
    const isSound = this.#parser.push(buffer.subarray(0, size));
    if (!isSound) this.#fail(new Error('malformed HTTP response'));
    else if (wasBusy && this.#receiver === null) this.#answered();
    return !this.#isPaused;
  }

  #answered(): void {
    if (this.#isClosed || this.#socket.destroyed) return;
    this.resume();
    // A server that answers before it has read the request may take the rest of it for another one.
    if (!this.#parser.isReusable || this.#unsent !== null || this.#socket.writableLength > 0) return void this.#socket.destroy();
    this.#isKept = true;
    this.#owner.onIdle(this, this.#parser.keepAliveSecs);
  }

  #onConnect(): void {
    this.#isConnected = true;
    this.#connecting?.cancel();
    this.#connecting = null;
  }

  #onEnd(): void {
    if (!this.#parser.end()) this.#fail(closedError());
  }

  #fail(error: Error): void {
    this.#error ??= error;
    this.#socket.destroy();
  }

  #onClose(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#connecting?.cancel();
    this.#owner.onClosed(this);
    const receiver = this.#receiver;
    this.#receiver = null;
    receiver?.onError(this.#error ?? closedError(), this.#isConnected, this.#isKept && !this.#isHeard && !this.#isOurs);
  }
}

/** Reads into one buffer instead of through the stream machinery (`onread`, node:net). */
type OnRead = NonNullable<TcpNetConnectOpts['onread']>;

function openSocket({ host, port, lookup, isTls }: WireTarget, onread: OnRead): Socket {
  if (!isTls) return connectTcp({ host, port, lookup, onread, noDelay: true });
  // `onread` is documented for tls.connect as well; the type declarations lack it.
  const options: ConnectionOptions & { onread: OnRead } = { host, port, lookup, onread, ALPNProtocols: ['http/1.1'], ...serverName(host) };
  return connectTls(options);
}

/** RFC 6066: no server name for addresses. */
function serverName(host: string): { servername?: string } {
  return /^[\d.]+$|:/.test(host) ? {} : { servername: host };
}

function closedError(): Error {
  return Object.assign(new Error('connection closed'), { code: 'ECONNRESET' });
}

function timeoutError(): Error {
  return Object.assign(new Error('connect timeout'), { code: 'ETIMEDOUT' });
}
