import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly message: {
    readonly id?: number;
    readonly method?: string;
    readonly params?: Record<string, unknown>;
    readonly result?: unknown;
    readonly error?: unknown;
  };
}

/** Answers one call; the id is the one the gateway sent. */
export type Handler = (response: ServerResponse, seen: Seen & { readonly id: number; readonly params: Record<string, unknown> }) => void;

export interface Behaviour {
  readonly sessions?: boolean;
  readonly protocolVersion?: string;
  /** Default: tools. */
  readonly capabilities?: object;
  /** Called instead of the ordinary answer to `initialize`. */
  readonly initialize?: Handler;
  readonly handlers?: Readonly<Record<string, Handler>>;
  /** What a GET gets; default 405. */
  readonly standing?: (response: ServerResponse) => void;
  /** HTTP status for an unknown session. */
  readonly lostStatus?: number;
}

/** A Streamable HTTP server on 127.0.0.1 that does to each method what a test wants. */
export class McpHttpServer {
  readonly seen: Seen[] = [];
  readonly sockets: Set<Socket> = new Set();
  /** Sessions that it knows. */
  sessions: Set<string> = new Set();
  connections = 0;
  readonly #behaviour: Behaviour;
  #server: Server | null = null;
  #minted = 0;
  #port = 0;

  constructor(behaviour: Behaviour = {}) {
    this.#behaviour = behaviour;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/mcp`;
  }

  /** Calls of one JSON-RPC method. */
  calls(method: string): Seen[] {
    return this.seen.filter(({ message }) => message.method === method);
  }

  async listen(): Promise<this> {
    const server = createServer((request, response) => void this.#serve(request, response));
    server.on('connection', (socket) => {
      this.connections += 1;
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
    return this;
  }

  /** Dies with all connections and sessions; `listen` brings it back on its port. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    this.sessions = new Set();
    if (server === null) return;
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const message = (text === '' ? {} : JSON.parse(text)) as Seen['message'];
    const seen: Seen = { method: request.method ?? '', path: request.url ?? '', headers: request.headers, message };
    this.seen.push(seen);
    if (request.method === 'GET') return this.#stand(response);
    if (request.method === 'DELETE') return void response.writeHead(200).end();
    if (message.method === 'initialize') return this.#initialize(response, seen);
    const session = request.headers['mcp-session-id'];
    if (this.#behaviour.sessions === true && !this.sessions.has(String(session)))
      return void response.writeHead(this.#behaviour.lostStatus ?? 404).end();
    if (message.id === undefined || message.method === undefined) return void response.writeHead(202).end();
    this.#call(response, seen);
  }

  #stand(response: ServerResponse): void {
    if (this.#behaviour.standing === undefined) response.writeHead(405).end();
    else this.#behaviour.standing(response);
  }

  #initialize(response: ServerResponse, seen: Seen): void {
    const id = seen.message.id ?? 0;
    if (this.#behaviour.initialize !== undefined) return this.#behaviour.initialize(response, { ...seen, id, params: {} });
    if (this.#behaviour.sessions === true) {
      this.#minted += 1;
      this.sessions.add(`session-${this.#minted}`);
      response.setHeader('mcp-session-id', `session-${this.#minted}`);
    }
    const serverInfo = { name: 'fixture', version: '1.2.3' };
    const { protocolVersion = '2025-06-18', capabilities = { tools: {} } } = this.#behaviour;
    reply(response, id, { protocolVersion, capabilities, serverInfo });
  }

  #call(response: ServerResponse, seen: Seen): void {
    const id = seen.message.id ?? 0;
    const params = seen.message.params ?? {};
    const handler = this.#behaviour.handlers?.[seen.message.method ?? ''];
    if (handler !== undefined) return handler(response, { ...seen, id, params });
    reply(response, id, seen.message.method === 'ping' ? {} : params);
  }
}

export function json(response: ServerResponse, text: string | Buffer, headers: Record<string, string> = {}): void {
  response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(text);
}

export function reply(response: ServerResponse, id: unknown, result: unknown): void {
  json(response, JSON.stringify({ jsonrpc: '2.0', id, result }));
}

/** Opens an event stream and returns what writes one event to it. */
export function stream(response: ServerResponse): (message: object) => void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.flushHeaders();
  return (message) => void response.write(`event: message\ndata: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`);
}

export const progress = (progressToken: unknown, step: number): object => ({
  method: 'notifications/progress',
  params: { progressToken, progress: step },
});
