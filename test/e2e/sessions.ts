import { request, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { expect } from 'vitest';
import { rpc, rpcRequest, sseData, type HttpAnswer, type JsonValue, type RpcOptions } from './http.ts';
import { waitUntil } from './wait.ts';

/** An open session: what its client sends with everything. */
export interface OpenSession {
  readonly id: string;
  readonly answer: HttpAnswer;
  /** Its id and revision. */
  readonly headers: Readonly<Record<string, string>>;
  /** POSTs a message in it, on a connection of its own. */
  post(message: unknown, options?: RpcOptions): Promise<HttpAnswer>;
}

export interface SessionOptions extends RpcOptions {
  readonly revision?: string;
  readonly capabilities?: object;
  readonly client?: string;
}

export function initialize({ revision = '2025-11-25', capabilities = {}, client = 'tester' }: SessionOptions = {}): object {
  return rpcRequest('initialize', { protocolVersion: revision, capabilities, clientInfo: { name: client, version: '9' } }, 'init');
}

/** Opens a session as a client does: `initialize`, then `notifications/initialized`. */
export async function openSession(url: string, options: SessionOptions = {}): Promise<OpenSession> {
  const answer = await rpc(url, initialize(options), options);
  expect(answer.status).toBe(200);
  const id = String(answer.headers['mcp-session-id']);
  const revision = String(answer.json['result']?.['protocolVersion']);
  const headers = { 'mcp-session-id': id, 'mcp-protocol-version': revision };
  const session = sessionAt(url, { id, answer, headers }, options);
  expect((await session.post({ jsonrpc: '2.0', method: 'notifications/initialized' })).status).toBe(202);
  return session;
}

/** The same session by way of this URL. */
export function sessionAt(url: string, { id, answer, headers }: Omit<OpenSession, 'post'>, options: RpcOptions): OpenSession {
  const post = async (message: unknown, more: RpcOptions = {}): Promise<HttpAnswer> =>
    await rpc(url, message, { ...options, ...more, headers: { ...headers, ...more.headers } });
  return { id, answer, headers, post };
}

/** A GET that is answered with a stream, as far as it has come. */
export interface StandingStream {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  text(): string;
  /** Messages so far. */
  messages(): readonly JsonValue[];
  /** Waits for a text. */
  awaits(text: string): Promise<string>;
  readonly ended: Promise<'complete' | 'cut'>;
  leave(): void;
}

/** GETs the stream of a session; also resolves when it is refused. */
export async function listen(
  url: string,
  key: string,
  session: string,
  more: Readonly<Record<string, string>> = {},
): Promise<StandingStream> {
  const headers = { authorization: `Bearer ${key}`, accept: 'text/event-stream', 'mcp-session-id': session, ...more };
  const sent = request(url, { method: 'GET', headers, agent: false });
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    sent.on('response', resolve);
    sent.on('error', reject);
    sent.end();
  });
  let text = '';
  response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
  response.on('error', () => undefined);
  const ended = new Promise<'complete' | 'cut'>((resolve) => response.on('close', () => resolve(response.complete ? 'complete' : 'cut')));
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    text: () => text,
    messages: () => sseData(text.slice(0, text.lastIndexOf('\n\n') + 2)).map((data) => JSON.parse(data) as JsonValue),
    awaits: async (part) => await waitUntil(() => (text.includes(part) ? text : null), { what: part, describe: () => text }),
    ended,
    leave: () => sent.destroy(),
  };
}
