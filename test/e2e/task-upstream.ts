import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll } from 'vitest';
import { TaskServer, type Message } from './fixtures/task-server.ts';

export interface TaskUpstream {
  readonly url: string;
  readonly seen: readonly { readonly headers: IncomingHttpHeaders; readonly message: Message }[];
}

const open = new Set<Server>();
afterAll(() => {
  for (const server of open) {
    server.closeAllConnections();
    server.close();
  }
});

/** A server with tasks over Streamable HTTP. */
export async function startTaskUpstream(): Promise<TaskUpstream> {
  const tasks = new TaskServer();
  const seen: { headers: IncomingHttpHeaders; message: Message }[] = [];
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    if (request.method !== 'POST') return void response.writeHead(405).end();
    const message = JSON.parse(text) as Message;
    seen.push({ headers: request.headers, message });
    if (message.method === 'initialize') {
      const error = { code: -32_022, message: 'Unsupported protocol version', data: { supported: ['2026-07-28'], requested: 'none' } };
      return void response
        .writeHead(400, { 'content-type': 'application/json' })
        .end(JSON.stringify({ jsonrpc: '2.0', id: message.id, error }));
    }
    const isStream = message.method === 'subscriptions/listen';
    response.writeHead(message.id === undefined ? 202 : 200, { 'content-type': isStream ? 'text/event-stream' : 'application/json' });
    const send = (answer: object): void => {
      const json = JSON.stringify({ jsonrpc: '2.0', ...answer });
      response.write(isStream ? `data: ${json}\n\n` : json);
    };
    if (tasks.handle(message, send) === 'done') response.end();
  };
  const server = createServer((request, response) => void serve(request, response).catch(() => response.destroy()));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.add(server);
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`, seen };
}
