import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type MessagePeer, type Received, respond } from './message-peer.ts';

export interface SseBehaviour {
  /** What the first event names; default a path of its own. */
  readonly endpoint?: string;
  /** Answers the GET instead. */
  readonly open?: (response: ServerResponse) => void;
  /** HTTP status for a POST, 202 when it says nothing; the message is answered all the same below 300. */
  readonly accept?: (message: Received) => number | Promise<number> | undefined;
}

/** An MCP server over HTTP+SSE (2024-11-05). */
export class McpSseServer implements MessagePeer {
  readonly received: Received[] = [];
  readonly openings: IncomingHttpHeaders[] = [];
  /** Path and headers of each POST. */
  readonly posts: { readonly url: string; readonly headers: IncomingHttpHeaders }[] = [];
  readonly streams: Set<ServerResponse> = new Set();
  readonly #behaviour: SseBehaviour;
  #server: Server | null = null;
  #port = 0;
  #opened = 0;

  constructor(behaviour: SseBehaviour = {}) {
    this.#behaviour = behaviour;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/sse?tenant=a`;
  }

  async listen(): Promise<this> {
    const server = createServer((request, response) => void this.#serve(request, response));
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
    return this;
  }

  say(message: object | string): void {
    const text = typeof message === 'string' ? message : JSON.stringify(message);
    for (const stream of this.streams) stream.write(`event: message\ndata: ${text}\n\n`);
  }

  drop(): void {
    this.#server?.closeAllConnections();
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    this.#server = null;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === 'GET') return this.#open(request, response);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const message = JSON.parse(Buffer.concat(chunks).toString()) as Received;
    this.posts.push({ url: request.url ?? '', headers: request.headers });
    const status = (await this.#behaviour.accept?.(message)) ?? 202;
    response.writeHead(status).end(status === 202 ? 'Accepted' : '');
    if (status >= 300) return;
    this.received.push(message);
    respond(message, (answer) => this.say(answer));
  }

  #open(request: IncomingMessage, response: ServerResponse): void {
    this.openings.push(request.headers);
    if (this.#behaviour.open !== undefined) return this.#behaviour.open(response);
    this.#opened += 1;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`event: endpoint\ndata: ${this.#behaviour.endpoint ?? `/messages?sessionId=s${this.#opened}`}\n\n`);
    this.streams.add(response);
    response.on('close', () => this.streams.delete(response));
  }
}
