import { createServer, type IncomingMessage, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterAll } from 'vitest';
import { sleep } from './wait.ts';

/** What the upstream received. */
export interface UpstreamRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** Names and values as they came, in order and case. */
  readonly rawHeaders: readonly string[];
  readonly body: string;
  /** The JSON-RPC message; an empty object when the body was none. */
  readonly message: Readonly<Record<string, unknown>>;
  /** Number of the connection it came by. */
  readonly connection: number;
}

/** A scripted answer. */
export interface UpstreamAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** An object is sent as JSON. */
  readonly body?: unknown;
  /** Sent as an event stream instead of `body`: each element one event (`data:`), then the end. */
  readonly events?: readonly unknown[];
  /** Between events. */
  readonly gapMs?: number;
  readonly delayMs?: number;
  /** Drop the connection instead of answering; with `events`, after them. */
  readonly isDropped?: boolean;
  /** With `events`: the stream stays open after them. */
  readonly isKeptOpen?: boolean;
  /** Never answer. */
  readonly isSilent?: boolean;
}

export interface HttpUpstreamOptions {
  /** Asked first; undefined means the standard answer. */
  readonly answer?: (request: UpstreamRequest) => UpstreamAnswer | undefined | Promise<UpstreamAnswer | undefined>;
  /** Names for `tools/list`; default `echo`, `read_file`, `write_file`, `delete_file`. */
  readonly tools?: readonly string[];
  readonly capabilities?: Readonly<Record<string, unknown>>;
  /** Default: a free one. */
  readonly port?: number;
}

export interface HttpUpstream {
  /** `http://127.0.0.1:PORT/mcp` */
  readonly url: string;
  readonly port: number;
  /** All requests so far, oldest first. */
  readonly requests: readonly UpstreamRequest[];
  /** Those that clients caused: the gateway asks on its own account what a server speaks, whenever it likes. */
  readonly caused: readonly UpstreamRequest[];
  /** Those whose JSON-RPC method is this one. */
  of(method: string): readonly UpstreamRequest[];
  readonly connections: number;
  /** Whether a connection, by its number, was closed. */
  isGone(connection: number): boolean;
  close(): Promise<void>;
}

const TOOLS = ['echo', 'read_file', 'write_file', 'delete_file'];
const open = new Set<Server>();

afterAll(() => {
  for (const server of open) {
    server.closeAllConnections();
    server.close();
  }
});

function resultOf(request: UpstreamRequest, options: HttpUpstreamOptions): unknown {
  const params = (request.message['params'] ?? {}) as Record<string, unknown>;
  switch (request.message['method']) {
    case 'initialize':
      return {
        protocolVersion: params['protocolVersion'],
        capabilities: options.capabilities ?? { tools: {} },
        serverInfo: { name: 'echo-upstream', version: '1.2.3' },
      };
    case 'tools/list':
      return { tools: (options.tools ?? TOOLS).map((name) => ({ name, description: `Tool ${name}`, inputSchema: { type: 'object' } })) };
    case 'tools/call':
      return { content: [{ type: 'text', text: JSON.stringify({ name: params['name'], arguments: params['arguments'] }) }] };
    default:
      return { echo: request.message };
  }
}

function standardAnswer(request: UpstreamRequest, options: HttpUpstreamOptions): UpstreamAnswer {
  if (request.method !== 'POST') return { status: 405, body: '' };
  if (request.message['id'] === undefined || request.message['method'] === undefined) return { status: 202, body: '' };
  return { body: { jsonrpc: '2.0', id: request.message['id'], result: resultOf(request, options) } };
}

async function sendEvents(response: ServerResponse, answer: UpstreamAnswer): Promise<void> {
  response.writeHead(answer.status ?? 200, { 'content-type': 'text/event-stream', ...answer.headers });
  for (const [index, event] of (answer.events ?? []).entries()) {
    if (index > 0 && answer.gapMs !== undefined) await sleep(answer.gapMs);
    response.write(`data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`);
  }
  if (answer.isDropped === true) response.destroy();
  else if (answer.isKeptOpen !== true) response.end();
}

async function send(response: ServerResponse, answer: UpstreamAnswer): Promise<void> {
  if (answer.delayMs !== undefined) await sleep(answer.delayMs);
  if (answer.isSilent === true) return;
  if (answer.events !== undefined) return await sendEvents(response, answer);
  if (answer.isDropped === true) return void response.destroy();
  const isText = typeof answer.body === 'string';
  const type = isText ? {} : { 'content-type': 'application/json' };
  response.writeHead(answer.status ?? 200, { ...type, ...answer.headers });
  response.end(isText ? answer.body : JSON.stringify(answer.body ?? null));
}

async function record(request: IncomingMessage, connection: number): Promise<UpstreamRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks).toString('utf8');
  let message: Record<string, unknown> = {};
  try {
    message = JSON.parse(body) as Record<string, unknown>;
  } catch {
    // The record shows the body as it came.
  }
  const { method = '', url = '', headers, rawHeaders } = request;
  return { method, url, headers, rawHeaders, body, message, connection };
}

/** Which revision the server speaks, and the gateway's own handshake with it. */
function isOwn({ message }: UpstreamRequest): boolean {
  const { clientInfo } = (message['params'] ?? {}) as { readonly clientInfo?: { readonly name?: unknown } };
  return ['server/discover', 'notifications/initialized'].includes(String(message['method'])) || clientInfo?.name === 'mcp-guard';
}

/** A Streamable HTTP server (JSON mode, no sessions) that keeps what it received and answers as told. Ended with the test file. */
export async function startHttpUpstream(options: HttpUpstreamOptions = {}): Promise<HttpUpstream> {
  const requests: UpstreamRequest[] = [];
  const numbers = new WeakMap<Socket, number>();
  const gone = new Set<number>();
  let connections = 0;
  const server = createServer((request, response) => {
    const handle = async (): Promise<void> => {
      const received = await record(request, numbers.get(request.socket) ?? 0);
      requests.push(received);
      await send(response, (await options.answer?.(received)) ?? standardAnswer(received, options));
    };
    handle().catch(() => response.destroy());
  });
  server.on('connection', (socket: Socket) => {
    const number = ++connections;
    numbers.set(socket, number);
    socket.once('close', () => gone.add(number));
  });
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve));
  open.add(server);
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    port,
    requests,
    get caused() {
      return requests.filter((request) => !isOwn(request));
    },
    of: (method) => requests.filter((request) => request.message['method'] === method),
    get connections() {
      return connections;
    },
    isGone: (connection) => gone.has(connection),
    async close() {
      open.delete(server);
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
