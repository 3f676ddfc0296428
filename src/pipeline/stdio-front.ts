import type { Readable, Writable } from 'node:stream';
import type { Clock } from '../core/clock.ts';
import { BODY_TOO_LARGE } from '../core/errors.ts';
import type { Application, Listener } from '../core/exchange.ts';
import type { RequestHead } from '../core/head.ts';
import { rpcError } from '../mcp/messages.ts';
import type { JsonLimits } from '../mcp/parse.ts';
import { Conversation, type Ending } from './conversation.ts';

/** Why a stdio front end is over: the client closed its end, or the gateway ended it. */
export type StdioEnd = 'closed' | Ending;

/** The client's end of a stdio front end. */
export interface StdioClient {
  readonly stdin: Readable;
  /** Carries JSON-RPC and nothing else. */
  readonly stdout: Writable;
  /** Presented with every message, as an `Authorization: Bearer` of HTTP is; null presents nothing. */
  readonly key: string | null;
  /** Which server it talks to; null: what `/mcp` is. */
  readonly server: string | null;
  /** Called once. */
  onEnd(why: StdioEnd): void;
}

/** How messages stand on a line (MCP, Transports, stdio). */
export interface LineFraming {
  /** `push` is false once a line exceeds the limit; the rest is of no use then. */
  framer(maxLineBytes: number, onLine: (line: Buffer) => void): { push(chunk: Buffer): boolean };
  toLine(message: Buffer): Buffer;
}

export interface StdioFrontOptions {
  readonly client: StdioClient;
  readonly application: Application;
  readonly framing: LineFraming;
  readonly clock: Clock;
  readonly maxMessageBytes: number;
  readonly jsonLimits: JsonLimits;
  /** Whether what the client wants to talk to has been tried to be reached. */
  isReached(): boolean;
}

/** What may wait for a client that does not read. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;
/** How long the client's first message waits for its server, which is started together with the gateway. */
const REACH_MS = 15_000;
const LOOK_MS = 25;

/** The client that started this process, as a listener with one connection that is always open. */
export class StdioFront implements Listener {
  readonly port = 0;
  connections = 1;
  readonly #options: StdioFrontOptions;
  readonly #conversation: Conversation;
  #isOver = false;

  constructor(options: StdioFrontOptions) {
    const { application, client } = options;
    this.#options = options;
    const wire = { deliver: (message: string | Uint8Array) => this.#write(message), end: (why: Ending) => this.#end(why) };
    const below = client.server === null ? '' : `/${client.server}`;
    this.#conversation = new Conversation((exchange) => application.handle(exchange), headOf(client.key), below, options, wire);
    client.stdout.on('drain', () => this.#conversation.drained());
    this.#readWhenReached(options.clock.nowMs() + REACH_MS);
  }

  stopAccepting(): void {
    this.#conversation.leave();
  }

  close(): void {
    this.#conversation.closed();
    this.#end('leaving');
  }

  #readWhenReached(untilMs: number): void {
    const { clock, client, framing, maxMessageBytes } = this.#options;
    if (this.#isOver) return;
    if (!this.#options.isReached() && clock.nowMs() < untilMs) return void clock.after(LOOK_MS, () => this.#readWhenReached(untilMs));
    const framer = framing.framer(maxMessageBytes, (line) => this.#conversation.receive(line));
    client.stdin.on('data', (chunk: Buffer) => {
      if (!this.#isOver && !framer.push(chunk)) this.#refuseLine();
    });
    client.stdin.once('end', () => this.#end('closed'));
    client.stdin.once('error', () => this.#end('closed'));
  }

  /** Where the next message begins cannot be told any more. */
  #refuseLine(): void {
    this.#write(rpcError('null', BODY_TOO_LARGE.rpcCode, BODY_TOO_LARGE.message, null));
    this.#end('overrun');
  }

  #write(message: string | Uint8Array): boolean {
    const { stdout } = this.#options.client;
    if (this.#isOver && !stdout.writable) return true;
    const waiting = stdout.writableLength;
    const isTaken = stdout.write(this.#options.framing.toLine(Buffer.from(message)));
    if (waiting > MAX_WAITING_BYTES) this.#end('overrun');
    return isTaken;
  }

  /** `closed`: what is under way is still answered, until the gateway has drained. */
  #end(why: StdioEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.connections = 0;
    this.#options.client.stdin.pause();
    this.#options.client.onEnd(why);
  }
}

/** Who started the process is on this machine. */
function headOf(key: string | null): RequestHead {
  return {
    method: 'POST',
    path: '',
    query: '',
    peerIp: '127.0.0.1',
    clientIp: '127.0.0.1',
    secure: false,
    entrance: 'main',
    host: 'localhost',
    origin: '',
    authorization: key === null ? '' : `Bearer ${key}`,
    xApiKey: '',
    contentType: '',
    accept: '',
    sessionId: '',
    protocolVersion: '',
    mcpMethod: '',
    mcpName: '',
    mcpParams: null,
    lastEventId: '',
    requestId: '',
    accessControlRequestMethod: '',
    accessControlRequestHeaders: '',
    bodyBytes: 0,
  };
}
