import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, expect, it } from 'vitest';
import { flood } from './flood.ts';
import { WebSocketServer } from 'ws';
import { type Gateway, scrape, startGateway, toolCall, waitUntil } from './harness.ts';
import { MEASURABLE, type Memory, memoryOf } from './memory.ts';
import { initialize, openSession } from './sessions.ts';
import { sleep } from './wait.ts';

const IDLE_TTL_SECS = 5;
const LANES = 4;
const AGREED = { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'sessions', version: '1' } };
const BODY = JSON.stringify(initialize({ client: 'forgetful' }));
const POST = `POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`;
const closers: (() => void)[] = [];

afterAll(() => {
  for (const close of closers) close();
});

/** Begins a session with whoever asks and remembers none of them: what is measured is the gateway. */
function answer(request: IncomingMessage, response: ServerResponse): void {
  let text = '';
  request.setEncoding('utf8').on('data', (piece: string) => (text += piece));
  request.on('end', () => {
    if (request.method === 'DELETE') return void response.writeHead(200).end();
    const message = (text === '' ? {} : JSON.parse(text)) as { id?: unknown; method?: string };
    if (request.method === 'GET') return void response.writeHead(405).end();
    if (message.method !== 'initialize') return void response.writeHead(message.id === undefined ? 202 : 400).end();
    response.writeHead(200, { 'content-type': 'application/json', 'mcp-session-id': crypto.randomUUID() });
    response.end(JSON.stringify({ jsonrpc: '2.0', id: message.id, result: AGREED }));
  });
}

async function sessionServer(): Promise<string> {
  const server = createServer(answer);
  closers.push(() => server.closeAllConnections());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
}

/** The same over WebSocket, where a session is its connection; every call is answered with as much text. */
async function socketServer(textChars: number): Promise<string> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: () => 'mcp' });
  closers.push(() => server.close());
  server.on('connection', (socket) =>
    socket.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString('utf8')) as { id?: unknown; method?: string };
      const content = [{ type: 'text', text: 'x'.repeat(textChars) }];
      const result = message.method === 'initialize' ? AGREED : { content };
      if (message.id !== undefined) socket.send(JSON.stringify({ jsonrpc: '2.0', id: message.id, result }));
    }),
  );
  await new Promise((resolve) => server.on('listening', resolve));
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

async function start(upstream: object): Promise<Gateway> {
  return await startGateway({
    config: {
      server: { workers: 0, admin: { port: 0 } },
      auth: { allow_anonymous: true },
      rate_limit: { enabled: false },
      audit: { enabled: false },
      session: { idle_ttl_secs: IDLE_TTL_SECS, max_per_principal: 100_000 },
      upstream: { ...upstream, allow_private_networks: true },
    },
    env: MEASURABLE,
  });
}

async function allEnded(gateway: Gateway): Promise<void> {
  // Those of which the server is not told yet are kept for that, and that they ended is remembered until their age says so.
  for (const gauge of ['mcp_guard_sessions', 'mcp_guard_session_partings_waiting', 'mcp_guard_sessions_ended_known'])
    await waitUntil(async () => (await scrape(gateway, gauge)) === 0, { what: `an end of all sessions (${gauge})`, timeoutMs: 60_000 });
}

/** Sessions that nobody ends or comes back to; resolves when the gateway has ended them all. */
async function open(gateway: Gateway, sessions: number): Promise<void> {
  expect([...(await flood({ port: gateway.port, requests: sessions, connections: 16, request: () => POST }))]).toEqual([[200, sessions]]);
  await allEnded(gateway);
}

/** The same, with a call in each whose answer is kept for a client that never comes back. */
async function openAndCall(gateway: Gateway, sessions: number): Promise<void> {
  const lane = async (): Promise<void> => {
    for (let n = 0; n < sessions / LANES; n++) {
      const session = await openSession(gateway.mcp);
      expect((await session.post(toolCall('echo'))).status).toBe(200);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  await allEnded(gateway);
}

/** What is still in use after a while: one collection may come in the middle of something. */
async function memoryLeft(gateway: Gateway, before: Memory): Promise<Memory> {
  let left = await memoryOf(gateway);
  for (let tries = 1; tries < 5 && left.heapBytes > before.heapBytes * 1.1; tries++) {
    await sleep(2000);
    left = await memoryOf(gateway);
  }
  return left;
}

function expectAsMuch(after: Memory, before: Memory): void {
  expect(after.heapBytes).toBeLessThanOrEqual(before.heapBytes * 1.1);
  expect(after.residentBytes).toBeLessThanOrEqual(before.residentBytes * 1.3);
}

it('a client that never ends sessions: 100,000 opened and left idle leave no more memory in use than there was before', {
  timeout: 150_000,
}, async () => {
  const gateway = await start({ transport: 'http', url: await sessionServer() });
  // The engine compiles and grows once, whatever is asked.
  await open(gateway, 5000);
  const before = await memoryOf(gateway);
  await open(gateway, 100_000);
  expectAsMuch(await memoryLeft(gateway, before), before);
  expect(await scrape(gateway, 'mcp_guard_sessions_known')).toBe(0);
});

it('a client that never ends sessions with channels of their own, and what is kept of their streams, leaves as little', {
  timeout: 150_000,
}, async () => {
  const gateway = await start({ transport: 'websocket', url: await socketServer(20_000), isolation: 'session' });
  await openAndCall(gateway, 200);
  const before = await memoryOf(gateway);
  await openAndCall(gateway, 1500);
  expectAsMuch(await memoryLeft(gateway, before), before);
  expect(await scrape(gateway, 'mcp_guard_session_event_bytes')).toBe(0);
});
