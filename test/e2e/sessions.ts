import { expect } from 'vitest';
import { rpc, rpcRequest, type HttpAnswer, type RpcOptions } from './http.ts';

/** An open session: what its client sends with everything. */
export interface OpenSession {
  readonly id: string;
  readonly answer: HttpAnswer;
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
  const post = async (message: unknown, more: RpcOptions = {}): Promise<HttpAnswer> =>
    await rpc(url, message, { ...options, ...more, headers: { ...headers, ...more.headers } });
  expect((await post({ jsonrpc: '2.0', method: 'notifications/initialized' })).status).toBe(202);
  return { id, answer, post };
}
