import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { WebSocketClientTransport } from '@modelcontextprotocol/sdk/client/websocket.js';
import { CreateMessageRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { beforeAll, describe, expect, it } from 'vitest';
import { startGateway, waitUntil, type Gateway } from './harness.ts';
import { everythingOverHttp } from './peer-servers.ts';
import { startSessionUpstream, type SessionUpstream } from './session-upstream.ts';
import { SocketClient } from './socket-client.ts';

const HANDSHAKE = (name: string): object => ({ protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name, version: '1' } });

describe('a client over WebSocket, in front of a server that keeps sessions', () => {
  let upstream: SessionUpstream;
  let gateway: Gateway;

  beforeAll(async () => {
    upstream = await startSessionUpstream();
    gateway = await startGateway({
      config: {
        server: { websocket: { enabled: true }, workers: 2 },
        auth: { allow_anonymous: true },
        rate_limit: { requests_per_second: 1000, burst_size: 1000 },
        upstream: { transport: 'http', url: upstream.url, allow_private_networks: true },
      },
    });
  });

  const connect = async (): Promise<SocketClient> => await SocketClient.connect(`${gateway.url}/ws`);
  const sessionsUsed = (mark: string): readonly unknown[] =>
    upstream.of('tools/call').flatMap(({ body, headers }) => (body.includes(mark) ? [headers['mcp-session-id']] : []));

  it('has one session there for all its messages, which ends with its connection', async () => {
    const client = await connect();
    await client.ask('initialize', HANDSHAKE('one-session'), 'i');
    client.send({ method: 'notifications/initialized' });
    for (const id of [1, 2, 3]) await client.ask('tools/call', { name: 'echo', arguments: { mark: 'one-session' } }, id);
    const [own, ...others] = upstream.sessionsOf('one-session');
    expect([others, sessionsUsed('one-session')]).toEqual([[], [own, own, own]]);
    expect(JSON.stringify(client.messages)).not.toContain('upstream-session');
    client.socket.close();
    await waitUntil(() => upstream.sessionsOf('one-session').length === 0, { what: 'it is given back', timeoutMs: 10_000 });
  });

  it('shares it with nobody', async () => {
    const clients = await Promise.all(['left', 'right'].map(async (name) => ({ name, client: await connect() })));
    for (const { name, client } of clients) {
      await client.ask('initialize', HANDSHAKE(name), 'i');
      await client.ask('tools/call', { name: 'echo', arguments: { mark: `of ${name}` } });
    }
    for (const { name } of clients) expect(sessionsUsed(`of ${name}`)).toEqual(upstream.sessionsOf(name));
  });

  it('begins anew with another initialize, and gives the first one back', async () => {
    const client = await connect();
    await client.ask('initialize', HANDSHAKE('first'), 1);
    await client.ask('initialize', HANDSHAKE('second'), 2);
    await waitUntil(() => upstream.sessionsOf('first').length === 0, { what: 'the first is given back' });
    expect(upstream.sessionsOf('second')).toHaveLength(1);
  });

  it('is told by its end that the server has forgotten it', async () => {
    const client = await connect();
    await client.ask('initialize', HANDSHAKE('forgotten'), 'i');
    for (const id of upstream.sessionsOf('forgotten')) upstream.forget(id);
    expect(await client.ask('tools/call', { name: 'echo', arguments: {} })).toHaveProperty('error');
    expect(await client.closed()).toBe(1011);
  });
});

it('row 44: a server asks a WebSocket client during a call, and has its answer', async () => {
  const upstream = { transport: 'http', url: await everythingOverHttp(), allow_private_networks: true };
  const gateway = await startGateway({
    config: { server: { websocket: { enabled: true }, workers: 2 }, auth: { allow_anonymous: true }, upstream },
  });
  const client = new Client({ name: 'peer', version: '1.0.0' }, { capabilities: { sampling: {} } });
  const asked: unknown[] = [];
  client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => {
    asked.push(params.messages[0]?.content);
    return { role: 'assistant' as const, model: 'none', content: { type: 'text' as const, text: 'as you say' } };
  });
  await client.connect(new WebSocketClientTransport(new URL(`${gateway.url.replace('http', 'ws')}/ws`)));
  // The server offers it to clients that can be asked, and finds that out some time after the handshake.
  const isOffered = async (): Promise<boolean> => (await client.listTools()).tools.some(({ name }) => name === 'trigger-sampling-request');
  await waitUntil(isOffered, { what: 'the tool that asks', timeoutMs: 10_000 });
  const result = await client.callTool({ name: 'trigger-sampling-request', arguments: { prompt: 'say it', maxTokens: 10 } });
  expect(JSON.stringify(result)).toContain('as you say');
  expect(JSON.stringify(asked)).toContain('say it');
  await client.close();
  await gateway.stop();
});
