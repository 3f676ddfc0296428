import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { WebSocketClientTransport } from '@modelcontextprotocol/sdk/client/websocket.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { http, keyEntry, makeKey, sleep, startGateway, stdioUpstream, waitUntil, type Gateway } from './harness.ts';
import { everythingOverWebSocket } from './peer-servers.ts';
import { refusedSocket, SocketClient } from './socket-client.ts';

const alice = makeKey();
const bob = makeKey();
const brief = makeKey();
const SERVED = { websocket: { enabled: true } };
const HANDSHAKE = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } };

const errorOf = (message: object): { code: number; data: Record<string, unknown> } =>
  (message as { error: { code: number; data: Record<string, unknown> } }).error;
const textOf = (message: object): string => (message as { result: { content: [{ text: string }] } }).result.content[0].text;
const callOf = (name: string, args: object = {}, meta: object = {}): object => ({ name, arguments: args, ...meta });

describe.each(['uws', 'node'] as const)('a client over WebSocket (%s)', (engine) => {
  let gateway: Gateway;
  let url = '';

  beforeAll(async () => {
    const keys = [
      keyEntry('alice', alice, { allowed_tools: ['*'], denied_tools: ['env'], rate_limit: 10_000, burst: 10_000 }),
      keyEntry('bob', bob, { servers: ['second'] }),
    ];
    gateway = await startGateway({
      config: {
        server: { ...SERVED, engine, workers: 0, max_request_size: 65_536 },
        auth: { api_keys: keys },
        audit: { enabled: true },
        upstream: {
          servers: [
            { name: 'first', ...stdioUpstream({ name: 'first' }) },
            { name: 'second', ...stdioUpstream({ name: 'second' }) },
          ],
        },
      },
    });
    url = `${gateway.url}/ws/first`;
  });
  afterAll(async () => void (await gateway.stop()));

  const connect = async (): Promise<SocketClient> => await SocketClient.connect(url, { key: alice.key });

  it('row 44: speaks MCP in text frames, and answers nothing to a notification', async () => {
    const client = await connect();
    expect(client.socket.protocol).toBe('mcp');
    const hello = await client.ask('initialize', HANDSHAKE, 'hello');
    expect(hello).toMatchObject({ id: 'hello', result: { protocolVersion: '2025-11-25', serverInfo: { name: 'first' } } });
    client.send({ method: 'notifications/initialized' });
    expect(textOf(await client.ask('tools/call', callOf('echo', { a: 'ü\u2028' }), 7))).toBe('{"a":"ü\u2028"}');
    expect(await client.ask('ping', {}, 0)).toEqual({ jsonrpc: '2.0', id: 0, result: {} });
    expect(client.messages).toHaveLength(3);
  });

  it('row 44: progress comes before the answer, message by message', async () => {
    const client = await connect();
    const answer = await client.ask('tools/call', callOf('progress', { steps: 3 }, { _meta: { progressToken: 'p' } }), 'long');
    expect(textOf(answer)).toBe('done');
    expect(client.messages.map(({ method, params }) => [method, (params as { progress?: number } | undefined)?.progress])).toEqual([
      ['notifications/progress', 1],
      ['notifications/progress', 2],
      ['notifications/progress', 3],
      [undefined, undefined],
    ]);
  });

  it('row 44: the same rules as for a POST decide, and each message has its own record', async () => {
    const client = await connect();
    expect(errorOf(await client.ask('tools/call', callOf('env'), 'denied'))).toMatchObject({ code: -31_403 });
    const { result } = (await client.ask('tools/list', {}, 'list')) as unknown as { result: { tools: { name: string }[] } };
    expect(result.tools.map(({ name }) => name)).not.toContain('env');
    const records = await waitUntil(
      async () => {
        const found = (await gateway.auditLines()).filter((line) => line['tool'] === 'env');
        return found.length > 0 ? found : undefined;
      },
      { what: 'its record' },
    );
    expect(records.at(-1)).toMatchObject({ identity: 'alice', server: 'first', decision: 'deny', status: 403 });
  });

  it('row 44: refuses what is no single message, and goes on', async () => {
    const client = await connect();
    for (const [sent, code] of [
      ['{nonsense', -32_700],
      ['[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32_600],
      ['{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}', -32_600],
    ] as const) {
      client.messages.length = 0;
      client.send(sent);
      await waitUntil(() => client.messages.length === 1, { what: `an answer to ${sent}` });
      expect(errorOf(client.messages[0] as object)).toMatchObject({ code });
    }
    expect(await client.ask('ping', {}, 'on')).toMatchObject({ result: {} });
  });

  it('keeps two clients that count alike apart', async () => {
    const clients = await Promise.all(Array.from({ length: 8 }, connect));
    await Promise.all(
      clients.map(async (client, index) => {
        for (const id of [1, 2, 3]) {
          const text = textOf(await client.ask('tools/call', callOf('echo', { index, id, delayMs: (7 * index) % 20 }), id));
          expect(JSON.parse(text)).toMatchObject({ index, id });
        }
        expect(client.messages).toHaveLength(3);
      }),
    );
  });

  it('cancels a call of its own, and hears no more of it', async () => {
    const client = await connect();
    client.send({ id: 'slow', method: 'tools/call', params: callOf('sleep', { ms: 60_000 }) });
    client.send({ method: 'notifications/cancelled', params: { requestId: 'slow' } });
    expect(await client.ask('ping')).toMatchObject({ result: {} });
    await waitUntil(async () => (await gateway.auditLines()).some((line) => line['status'] === 499), { what: 'it is over' });
    expect(client.messages.map(({ id }) => id)).toEqual([1]);
  });

  it('reaches a server by name, and only who may', async () => {
    const client = await SocketClient.connect(`${gateway.url}/ws/second`, { key: bob.key });
    expect(await client.ask('initialize', HANDSHAKE)).toMatchObject({ result: { serverInfo: { name: 'second' } } });
    expect((await refusedSocket(url, { key: bob.key })).status).toBe(403);
    for (const nowhere of ['/ws', '/ws/third']) expect((await refusedSocket(gateway.url + nowhere, { key: alice.key })).status).toBe(404);
  });

  it('lets nobody in who would not be let in by POST', async () => {
    const statuses = await Promise.all([
      refusedSocket(url),
      refusedSocket(url, { key: 'mcp_wrong' }),
      refusedSocket(`${url}?api_key=${alice.key}`),
      refusedSocket(url, { key: alice.key, headers: { origin: 'https://evil.example' } }),
      refusedSocket(url, { key: alice.key, headers: { host: 'evil.example' } }),
      refusedSocket(url, { key: alice.key, protocols: [] }),
      refusedSocket(url, { key: alice.key, protocols: ['graphql'] }),
    ]);
    expect(statuses.map(({ status }) => status)).toEqual([401, 401, 401, 403, 403, 400, 400]);
    expect(statuses.every(({ body }) => body.includes('error_id') && !body.includes(alice.key))).toBe(true);
    const plain = await http('GET', url, { headers: { authorization: `Bearer ${alice.key}` } });
    expect([plain.status, JSON.parse(plain.body)]).toMatchObject([426, { error: 'WebSocket required' }]);
  });

  it('ends a connection whose message is too large, or is binary', async () => {
    const large = await connect();
    large.send(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping', params: { pad: 'x'.repeat(70_000) } }));
    expect([1006, 1009]).toContain(await large.closed());
    const binary = await connect();
    binary.socket.send(Buffer.from('{"jsonrpc":"2.0","id":1,"method":"ping"}'), { binary: true });
    expect(await binary.closed()).toBe(1003);
    expect(binary.messages).toEqual([]);
  });
});

describe('WebSocket clients and the rest of the gateway', () => {
  it('row 44: from a WebSocket client to a WebSocket server, with the official client', async () => {
    const upstream = { transport: 'websocket', url: await everythingOverWebSocket(), allow_private_networks: true };
    const gateway = await startGateway({ config: { server: { ...SERVED, workers: 2 }, auth: { allow_anonymous: true }, upstream } });
    const client = new Client({ name: 'peer', version: '1.0.0' });
    await client.connect(new WebSocketClientTransport(new URL(`${gateway.url.replace('http', 'ws')}/ws`)));
    expect((await client.listTools()).tools.map(({ name }) => name)).toContain('echo');
    const echoed = await client.callTool({ name: 'echo', arguments: { message: 'through two sockets' } });
    expect(echoed.content).toEqual([{ type: 'text', text: 'Echo: through two sockets' }]);
    const steps: number[] = [];
    const long = { name: 'trigger-long-running-operation', arguments: { duration: 0.4, steps: 4 } };
    await client.callTool(long, undefined, { onprogress: ({ progress }) => void steps.push(progress) });
    expect(steps.slice(0, 3)).toEqual([1, 2, 3]);
    await client.close();
    await gateway.stop();
  });

  it('row 44: limits count each message, and the answer says which id it refuses', async () => {
    const config = {
      server: { ...SERVED, workers: 0 },
      auth: { api_keys: [keyEntry('alice', alice, { rate_limit: 0.01, burst: 4 })] },
      upstream: stdioUpstream(),
    };
    const gateway = await startGateway({ config });
    const client = await SocketClient.connect(`${gateway.url}/ws`, { key: alice.key });
    for (const id of [1, 2, 3]) expect(await client.ask('ping', {}, id)).toMatchObject({ result: {} });
    expect(errorOf(await client.ask('ping', {}, 'four'))).toMatchObject({ code: -31_429, data: { retry_after: expect.any(Number) } });
    client.send({ method: 'notifications/cancelled', params: { requestId: 1 } });
    expect(errorOf(await client.ask('ping', {}, 'five')).code).toBe(-31_429);
    expect(client.messages).toHaveLength(5);
    expect((await refusedSocket(`${gateway.url}/ws`, { key: alice.key })).status).toBe(429);
    await gateway.stop();
  });

  it('a credential that runs out ends its connection with the next message', async () => {
    const expires = new Date(Date.now() + 8000).toISOString();
    const config = {
      server: { ...SERVED, workers: 0 },
      auth: { api_keys: [keyEntry('brief', brief, { expires_at: expires, rate_limit: 1000, burst: 1000 })] },
      upstream: stdioUpstream(),
    };
    const gateway = await startGateway({ config });
    const client = await SocketClient.connect(`${gateway.url}/ws`, { key: brief.key });
    let id = 0;
    await waitUntil(async () => errorOf(await client.ask('ping', {}, (id += 1)))?.code === -31_401, { what: '401', timeoutMs: 20_000 });
    expect(await client.closed()).toBe(1008);
    await gateway.stop();
  });

  it('is 404 unless it is switched on', async () => {
    const gateway = await startGateway({ config: { server: { workers: 0 }, auth: { allow_anonymous: true }, upstream: stdioUpstream() } });
    expect((await refusedSocket(`${gateway.url}/ws`)).status).toBe(404);
    await gateway.stop();
  });

  it.each(['uws', 'node'])('finishes what is under way before it goes away (%s)', async (engine) => {
    const config = { server: { ...SERVED, engine, workers: 1 }, auth: { allow_anonymous: true }, upstream: stdioUpstream() };
    const gateway = await startGateway({ config });
    const [busy, idle] = await Promise.all([0, 1].map(() => SocketClient.connect(`${gateway.url}/ws`)));
    if (busy === undefined || idle === undefined) throw new Error('no clients');
    busy.send({ id: 'slow', method: 'tools/call', params: callOf('sleep', { ms: 1000 }) });
    await sleep(100);
    const stopped = gateway.stop();
    expect(await idle.closed()).toBe(1001);
    expect(textOf(await busy.answer('slow'))).toBe('slept');
    expect(await busy.closed()).toBe(1001);
    expect(await stopped).toEqual({ code: 0, signal: null });
  });
});
