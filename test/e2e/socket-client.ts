import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { afterAll } from 'vitest';
import { WebSocket } from 'ws';
import { waitUntil } from './wait.ts';

export interface SocketOptions {
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Default `mcp`. */
  readonly protocols?: readonly string[];
}

export type SocketMessage = Readonly<Record<string, unknown>>;

const open = new Set<WebSocket>();
afterAll(() => {
  for (const socket of open) socket.terminate();
});

function socketTo(url: string, { key, headers = {}, protocols = ['mcp'] }: SocketOptions): WebSocket {
  const auth = key === undefined ? {} : { authorization: `Bearer ${key}` };
  const socket = new WebSocket(url.replace(/^http/, 'ws'), [...protocols], { headers: { ...auth, ...headers }, perMessageDeflate: false });
  open.add(socket);
  return socket;
}

/** What a request for a WebSocket was answered with instead of one. */
export async function refusedSocket(url: string, options: SocketOptions = {}): Promise<{ status: number; body: string }> {
  const socket = socketTo(url, options);
  socket.on('error', () => undefined);
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
  let body = '';
  for await (const chunk of response) body += String(chunk);
  return { status: response.statusCode ?? 0, body };
}

/** A client of the WebSocket front end, without an SDK in between. */
export class SocketClient {
  readonly socket: WebSocket;
  readonly messages: SocketMessage[] = [];
  /** The close code; null while it is open. */
  closeCode: number | null = null;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('message', (data: Buffer) => this.messages.push(JSON.parse(data.toString()) as SocketMessage));
    socket.on('close', (code) => (this.closeCode = code));
    socket.on('error', () => undefined);
  }

  static async connect(url: string, options: SocketOptions = {}): Promise<SocketClient> {
    const socket = socketTo(url, options);
    const client = new SocketClient(socket);
    await once(socket, 'open');
    return client;
  }

  send(message: object | string): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify({ jsonrpc: '2.0', ...message }));
  }

  /** The answer to a request, an error included. */
  async ask(method: string, params: object = {}, id: string | number = 1): Promise<SocketMessage> {
    this.send({ id, method, params });
    return await this.answer(id);
  }

  /** The answer that carries this id, once it is there. */
  async answer(id: string | number | null): Promise<SocketMessage> {
    return await waitUntil(() => this.messages.find((message) => message['id'] === id && message['method'] === undefined), {
      what: `an answer to ${String(id)}`,
      timeoutMs: 15_000,
      describe: () => JSON.stringify(this.messages).slice(0, 2000),
    });
  }

  async closed(): Promise<number> {
    return await waitUntil(() => this.closeCode ?? undefined, { what: 'the socket closes', timeoutMs: 15_000 });
  }
}
