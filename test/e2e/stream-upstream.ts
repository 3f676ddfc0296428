import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll } from 'vitest';
import { waitUntil } from './wait.ts';

interface Session {
  readonly id: string;
  readonly client: string;
  /** The standing stream. */
  stream: ServerResponse | null;
  readonly responses: Map<string, unknown>;
}

interface Seen {
  readonly method: string;
  readonly headers: IncomingMessage['headers'];
  readonly message: Readonly<Record<string, unknown>>;
}

export interface StreamUpstream {
  readonly url: string;
  readonly seen: readonly Seen[];
  /** The session of the client that called itself so, while it goes on. */
  sessionOf(client: string): Session | undefined;
  /** Says something on the standing stream of a client. */
  say(client: string, message: object, lines?: string): void;
  /** Ends the standing stream of a client. */
  hangUp(client: string): void;
}

const open = new Set<Server>();
afterAll(() => {
  for (const server of open) {
    server.closeAllConnections();
    server.close();
  }
});

const CAPABILITIES = { tools: { listChanged: true }, logging: {}, resources: { subscribe: true, listChanged: true } };
/** What the position of a stream is called here: never to be seen by a client. */
const FIRST = 'upstream-event-1';
const SECOND = 'upstream-event-2';

function event(message: object, lines = ''): string {
  return `${lines}data: ${JSON.stringify(message)}\n\n`;
}

/**
 * A server that keeps sessions and streams (2025-11-25, Transports): `ask` asks its client during the call, `poll` and the list of
 * the cursor `later` are answered on a stream that the client has to fetch, so is `hold`, whose own stream stays open; `cut` is, but the stream is
 * closed without it the first times; `never` always; `wait` never answers, everything else at once.
 */
export async function startStreamUpstream(): Promise<StreamUpstream> {
  const sessions = new Map<string, Session>();
  const seen: Seen[] = [];
  /** Answers that wait to be fetched, by session. */
  const kept = new Map<string, object>();
  /** How often a stream is closed again before the answer, by session. */
  const cuts = new Map<string, number>();
  let count = 0;

  const initialize = (message: Seen['message'], response: ServerResponse): void => {
    const params = message['params'] as { protocolVersion: string; clientInfo: { name: string } };
    const session: Session = { id: `upstream-session-${++count}`, client: params.clientInfo.name, stream: null, responses: new Map() };
    sessions.set(session.id, session);
    const result = { protocolVersion: params.protocolVersion, capabilities: CAPABILITIES, serverInfo: { name: 'streams', version: '1' } };
    response.writeHead(200, { 'content-type': 'application/json', 'mcp-session-id': session.id });
    response.end(JSON.stringify({ jsonrpc: '2.0', id: message['id'], result }));
  };
  const suspend = (session: Session, reply: object, response: ServerResponse, staysOpen: boolean): void => {
    kept.set(session.id, reply);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`id: ${FIRST}\nretry: 70\ndata: \n\n`);
    if (!staysOpen) response.end();
  };
  const ask = async (session: Session, id: unknown, response: ServerResponse): Promise<void> => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(event({ jsonrpc: '2.0', id: 'question', method: 'elicitation/create', params: { message: 'your name?' } }));
    const answer = await waitUntil(() => session.responses.get('question'), { what: 'an answer' });
    response.end(event({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: JSON.stringify(answer) }] } }));
  };
  const post = async (session: Session, message: Seen['message'], response: ServerResponse): Promise<void> => {
    const { id, method } = message;
    const params = (message['params'] ?? {}) as { name?: string; cursor?: string };
    if (method === undefined) session.responses.set(String(id), message['result']);
    if (id === undefined || method === undefined) return void response.writeHead(202).end();
    const tools = ['ask', 'poll', 'wait', 'secret'].map((name) => ({ name, inputSchema: { type: 'object' } }));
    const result = method === 'tools/list' ? { tools } : { content: [{ type: 'text', text: `${params.name} was called` }] };
    const reply = { jsonrpc: '2.0', id, result };
    if (params.name === 'wait') return;
    if (params.name === 'cut' || params.name === 'never') cuts.set(session.id, params.name === 'cut' ? 2 : Number.POSITIVE_INFINITY);
    if (params.name === 'cut' || params.name === 'never') return suspend(session, reply, response, false);
    if (params.name === 'ask') return await ask(session, id, response);
    if (params.name === 'hold') return suspend(session, reply, response, true);
    if (params.name === 'poll' || params.cursor === 'later') return suspend(session, reply, response, false);
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(reply));
  };
  const get = (session: Session, request: IncomingMessage, response: ServerResponse): void => {
    const position = request.headers['last-event-id'];
    if (position !== undefined) {
      const reply = position === FIRST ? kept.get(session.id) : undefined;
      if (reply === undefined) return void response.writeHead(400).end();
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const cutsLeft = cuts.get(session.id) ?? 0;
      cuts.set(session.id, cutsLeft - 1);
      if (cutsLeft > 0) return void response.end(`: nothing yet\n\n`);
      return void response.end(event(reply, `id: ${SECOND}\n`));
    }
    if (session.stream !== null) return void response.writeHead(409).end();
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    session.stream = response;
    response.on('close', () => {
      session.stream = null;
    });
  };
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const message = (chunks.length === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString())) as Seen['message'];
    seen.push({ method: request.method ?? '', headers: request.headers, message });
    if (message['method'] === 'initialize') return initialize(message, response);
    const session = sessions.get(String(request.headers['mcp-session-id']));
    if (session === undefined) return void response.writeHead(404).end();
    if (request.method === 'GET') return get(session, request, response);
    if (request.method === 'POST') return await post(session, message, response);
    sessions.delete(session.id);
    session.stream?.end();
    response.writeHead(200).end();
  };
  const server = createServer((request, response) => void handle(request, response).catch(() => response.destroy()));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.add(server);
  const sessionOf = (client: string): Session | undefined => [...sessions.values()].find((session) => session.client === client);
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    seen,
    sessionOf,
    say: (client, message, lines) => void sessionOf(client)?.stream?.write(event(message, lines)),
    hangUp: (client) => void sessionOf(client)?.stream?.end(),
  };
}
