import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { WebSocketClientTransport } from '@modelcontextprotocol/sdk/client/websocket.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { ResourceUpdatedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { keyEntry, makeKey, MAIN, rpc, sleep, startGateway, tempDir, toolCall, waitUntil, type Gateway } from './harness.ts';
import { modernHeaders, modernMeta } from './modern.ts';
import { openSession } from './sessions.ts';
import { SocketClient } from './socket-client.ts';
import { startStreamUpstream, type StreamUpstream } from './stream-upstream.ts';

const alice = makeKey();
const narrow = makeKey();

let upstream: StreamUpstream;
let gateway: Gateway;

function config(more: object = {}): Record<string, unknown> {
  const entries = [keyEntry('alice', alice), { ...keyEntry('narrow', narrow), denied_tools: ['secret'] }];
  return {
    server: { workers: 2, websocket: { enabled: true }, sse: { enabled: true } },
    auth: { allow_anonymous: true, api_keys: entries.map((entry) => ({ ...entry, rate_limit: 10_000, burst: 10_000 })) },
    upstream: { transport: 'http', url: upstream.url, allow_private_networks: true, timeout_secs: 20, timeout_max_secs: 20, ...more },
  };
}

beforeAll(async () => {
  upstream = await startStreamUpstream();
  gateway = await startGateway({ config: config() });
});

type Way = 'websocket' | 'sse' | 'serve';

async function transportBy(way: Way): Promise<Transport> {
  if (way === 'websocket') return new WebSocketClientTransport(new URL(`${gateway.url.replace('http', 'ws')}/ws`));
  if (way === 'sse') return new SSEClientTransport(new URL(`${gateway.url}/sse`));
  const dir = await tempDir();
  await writeFile(join(dir, 'c.json'), JSON.stringify({ ...config(), server: {} }));
  return new StdioClientTransport({ command: process.execPath, args: [MAIN, 'serve', '-c', join(dir, 'c.json')], stderr: 'ignore' });
}

async function connect(way: Way, name: string): Promise<Client> {
  const client = new Client({ name, version: '1' });
  await client.connect(await transportBy(way));
  return client;
}

/** GETs that the server has seen of a client. */
function fetches(name: string, position?: string): number {
  const id = upstream.sessionOf(name)?.id;
  return upstream.seen.filter(
    ({ method, headers }) => method === 'GET' && headers['mcp-session-id'] === id && headers['last-event-id'] === position,
  ).length;
}

describe.each(['websocket', 'sse', 'serve'] as const)(
  'a server that closes the stream of a call before its answer, for a client by %s',
  (way) => {
    it('is asked for the rest, and again until the answer is there', async () => {
      const client = await connect(way, `polls by ${way}`);
      const text = JSON.stringify(await client.callTool({ name: 'poll', arguments: {} }));
      expect(text).toContain('poll was called');
      expect(JSON.stringify(await client.callTool({ name: 'cut', arguments: {} }))).toContain('cut was called');
      expect(fetches(`polls by ${way}`, 'upstream-event-1')).toBe(4);
      await client.close();
    });

    it('is listened to again when it closes the stream of what it says outside of calls', async () => {
      const name = `listens by ${way}`;
      const client = await connect(way, name);
      const heard: string[] = [];
      client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => void heard.push(params.uri));
      for (const uri of ['test://before', 'test://after']) {
        await waitUntil(() => upstream.sessionOf(name)?.stream ?? null, { what: 'the standing stream', timeoutMs: 10_000 });
        upstream.say(name, { jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri } });
        await waitUntil(() => heard.includes(uri), { what: uri });
        upstream.hangUp(name);
        await waitUntil(() => upstream.sessionOf(name)?.stream === null, { what: 'its end' });
      }
      expect(heard).toEqual(['test://before', 'test://after']);
      await client.close();
    });
  },
);

describe('a server that closes the stream of a call before its answer', () => {
  it('is asked for the rest on behalf of an HTTP client that takes no events', async () => {
    const session = await openSession(gateway.mcp, { key: alice.key, client: 'json only' });
    const answer = await session.post(toolCall('poll', {}, 'p'), { headers: { accept: 'application/json' } });
    expect([answer.status, answer.headers['content-type'], JSON.stringify(answer.json)]).toEqual([
      200,
      'application/json',
      expect.stringContaining('poll was called'),
    ]);
  });

  it('is asked for the rest on behalf of a client of 2026-07-28, which knows no such thing', async () => {
    const bridge = await startGateway({ config: config({ modern_clients: 'bridge' }) });
    const meta = modernMeta({ 'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} } } });
    for (const name of ['poll', 'cut']) {
      const message = { jsonrpc: '2.0', id: name, method: 'tools/call', params: { name, arguments: {}, _meta: meta } };
      const { status, json } = await rpc(bridge.mcp, message, { key: alice.key, headers: modernHeaders('tools/call', name) });
      expect([status, JSON.stringify(json)]).toEqual([200, expect.stringContaining(`${name} was called`)]);
    }
    await bridge.stop();
  });

  it('is asked for the rest of a call without a session', async () => {
    for (const name of ['poll', 'cut']) {
      const { status, body } = await rpc(gateway.mcp, toolCall(name, {}, `${name} alone`), { key: alice.key });
      expect([status, body.includes(`${name} was called`), body.includes(`"id":"${name} alone"`)]).toEqual([200, true, true]);
      expect(body).not.toContain('upstream-event');
    }
  });

  it('shows no more tools in the rest than in a list that came at once', async () => {
    const client = await SocketClient.connect(`${gateway.url}/ws`, { key: narrow.key });
    await client.ask('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'narrow', version: '1' } }, 'i');
    const { tools } = (await client.ask('tools/list', { cursor: 'later' }, 'l'))['result'] as { tools: { name: string }[] };
    expect(tools.map(({ name }) => name)).toEqual(['ask', 'poll', 'wait']);
    expect(JSON.stringify(client.messages)).not.toContain('upstream-event');
    client.socket.close();
  });

  it('does not keep the gateway busy: it is asked less and less often, until the deadline of the call', async () => {
    const short = await startGateway({ config: config({ timeout_secs: 3, timeout_max_secs: 3 }) });
    const client = new Client({ name: 'never', version: '1' });
    await client.connect(new WebSocketClientTransport(new URL(`${short.url.replace('http', 'ws')}/ws`)));
    await expect(client.callTool({ name: 'never', arguments: {} })).rejects.toThrow('Upstream timeout');
    const asked = fetches('never', 'upstream-event-1');
    expect(asked).toBeGreaterThan(2);
    expect(asked).toBeLessThan(10);
    await sleep(1000);
    expect(fetches('never', 'upstream-event-1')).toBe(asked);
    await client.close();
  });
});
