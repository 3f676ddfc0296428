import { beforeAll, describe, expect, it } from 'vitest';
import {
  keyEntry,
  makeKey,
  rpc,
  rpcRequest,
  startGateway,
  startHttpUpstream,
  stdioUpstream,
  toolCall,
  toolText,
  waitUntil,
} from './harness.ts';
import type { Gateway, HttpAnswer } from './harness.ts';
import { MODERN, modernAnswers, modernHeaders, modernMeta, modernRequest } from './modern.ts';
import { everythingOverStdio, sdkServerOverHttp } from './peer-servers.ts';
import { connectV1, connectV2Legacy, connectV2Modern, type Connect, type Peer } from './peers.ts';

const key = makeKey();
const PREFIX = 'io.modelcontextprotocol/';
const OLDER: readonly (readonly [string, Connect])[] = [
  ['the SDK client', connectV1],
  ['the client of SDK 2', connectV2Legacy],
];

async function inFront(upstream: Readonly<Record<string, unknown>>): Promise<Gateway> {
  return await startGateway({
    config: { auth: { api_keys: [keyEntry('peer', key)] }, rate_limit: { enabled: false }, upstream },
  });
}

async function text(peer: Peer, name: string, args: Record<string, unknown> = {}): Promise<string> {
  const result = (await peer.callTool({ name, arguments: args })) as { content: [{ text: string }] };
  return result.content[0].text;
}

describe('a client of the older revisions, and a server of revision 2026-07-28 only', () => {
  let gateway: Gateway;
  beforeAll(async () => {
    gateway = await inFront({ transport: 'http', url: await sdkServerOverHttp('modern'), allow_private_networks: true });
  });

  it.each(OLDER)('row 230: meet: %s shakes hands with the gateway, lists and calls', async (_name, connect) => {
    const peer = await connect({ url: gateway.mcp, key: key.key });
    expect([peer.client.getServerVersion(), peer.client.getInstructions()]).toMatchObject([{ name: 'sdk-2-server' }, 'Say "please".']);
    const first = await peer.client.listTools();
    expect(first.tools.slice(0, 4).map(({ name }) => name)).toEqual(['add', 'fail', 'throw', 'mixed']);
    expect(first).not.toHaveProperty('resultType');
    expect(first).not.toHaveProperty('ttlMs');
    expect(await peer.callTool({ name: 'add', arguments: { a: 1, b: 2 } })).toMatchObject({ structuredContent: { sum: 3 } });
    expect(await peer.callTool({ name: 'fail' })).toMatchObject({ isError: true });
    await expect(peer.callTool({ name: 'throw' })).rejects.toMatchObject({ code: -32050, data: { hint: ['look', 'here'] } });
    expect(peer.errors).toEqual([]);
  });

  it('row 230: the server gets the claims that it needs, in body and headers, and what the client sent besides', async () => {
    const peer = await connectV1({ url: gateway.mcp, key: key.key });
    const result = await peer.callTool({ name: 'request', arguments: { n: [1, 'é'] }, _meta: { 'example.com/x': [1] } });
    const seen = JSON.parse((result as { content: [{ text: string }] }).content[0].text) as {
      headers: Record<string, string>;
      arguments: unknown;
      meta: Record<string, unknown>;
    };
    expect(seen.headers).toMatchObject({ 'mcp-protocol-version': MODERN, 'mcp-method': 'tools/call', 'mcp-name': 'request' });
    expect(seen.headers['authorization']).toBeUndefined();
    expect(seen.arguments).toEqual({ n: [1, 'é'] });
    expect(seen.meta['example.com/x']).toEqual([1]);
  });

  it('row 230: progress arrives, and a call that is taken back is cancelled at the server', async () => {
    const peer = await connectV1({ url: gateway.mcp, key: key.key });
    const progress: unknown[] = [];
    await peer.callTool({ name: 'steps', arguments: { count: 3, mark: 'x' } }, { onprogress: (step) => void progress.push(step.progress) });
    expect(progress).toEqual([1, 2, 3]);
    const quit = new AbortController();
    const called = peer.callTool({ name: 'wait', arguments: { ms: 20_000, mark: 'bridged' } }, { signal: quit.signal });
    await waitUntil(
      async () => (await gateway.auditLines()).some((line) => line['event_type'] === 'tool_call' && line['tool'] === 'wait'),
      {
        what: 'the call',
      },
    );
    quit.abort(new Error('enough'));
    await expect(called).rejects.toThrow('enough');
    await waitUntil(async () => (await text(peer, 'aborted')).includes('bridged'), { what: 'the server to know' });
  });
});

describe('arguments that a server wants repeated in headers', () => {
  const properties = { region: { type: 'string', 'x-mcp-header': 'Region' }, level: { type: 'integer', 'x-mcp-header': 'Level' } };
  const good = { name: 'mirrored', inputSchema: { type: 'object', properties } };
  const bad = { name: 'odd', inputSchema: { type: 'object', properties: { x: { type: 'object', 'x-mcp-header': 'X' } } } };

  it('are repeated for clients that know nothing of it; a tool with a bad annotation is not offered', async () => {
    let mismatches = 1;
    const upstream = await startHttpUpstream({
      answer: modernAnswers(({ message, headers }) => {
        const { id, method } = message;
        if (headers['mcp-protocol-version'] !== MODERN) return undefined;
        if (method === 'tools/list')
          return { body: { jsonrpc: '2.0', id, result: { resultType: 'complete', tools: [good, bad], ttlMs: 0, cacheScope: 'public' } } };
        if (method !== 'tools/call' || mismatches-- <= 0) return undefined;
        return { status: 400, body: { jsonrpc: '2.0', id, error: { code: -32020, message: 'Header mismatch' } } };
      }),
    });
    const gateway = await inFront({ transport: 'http', url: upstream.url, allow_private_networks: true });
    const answer = await rpc(gateway.mcp, toolCall('mirrored', { region: 'é', level: 3 }), { key: key.key });
    expect([answer.status, toolText(answer)]).toEqual([200, JSON.stringify({ name: 'mirrored', arguments: { region: 'é', level: 3 } })]);
    const calls = upstream.of('tools/call');
    expect(calls).toHaveLength(2);
    for (const { headers } of calls) expect(headers).toMatchObject({ 'mcp-param-region': '=?base64?w6k=?=', 'mcp-param-level': '3' });
    const listed = await rpc(gateway.mcp, rpcRequest('tools/list'), { key: key.key });
    expect(listed.json?.['result']).toEqual({ tools: [good] });
    const modern = await rpc(gateway.mcp, modernRequest('tools/list'), { key: key.key, headers: modernHeaders('tools/list') });
    expect(modern.json?.['result']?.['tools']).toEqual([good]);
  });
});

describe('a notification of an older revision, and a server of revision 2026-07-28 only', () => {
  it('goes there when its name fits the header that repeats it, and writes no headers of its own', async () => {
    const upstream = await startHttpUpstream({ answer: modernAnswers() });
    const gateway = await inFront({ transport: 'http', url: upstream.url, allow_private_networks: true });
    const own = 'notifications/x\r\nx-evil: 1\r\ncontent-length: 0\r\n\r\nPOST /evil HTTP/1.1\r\nhost: a';
    for (const method of [own, 'notifications/a b', 'notifications/vendor']) {
      expect((await rpc(gateway.mcp, { jsonrpc: '2.0', method }, { key: key.key })).status).toBe(202);
    }
    await waitUntil(() => upstream.of('notifications/vendor').length === 1, { what: 'the harmless one' });
    expect((await rpc(gateway.mcp, toolCall('echo'), { key: key.key })).status).toBe(200);
    expect(upstream.requests.filter(({ url, headers }) => url !== '/mcp' || headers['x-evil'] !== undefined)).toEqual([]);
    expect(upstream.requests.filter(({ body }) => body.includes('evil') || body.includes('a b'))).toEqual([]);
  });
});

describe('a client of revision 2026-07-28, and a server of older revisions with `modern_clients = "bridge"`', () => {
  let gateway: Gateway;
  let scripted: Gateway;
  const send = async (method: string, params: Record<string, unknown> = {}, meta: object = {}): Promise<HttpAnswer> => {
    const message = { jsonrpc: '2.0', id: 'mine', method, params: { ...params, _meta: modernMeta({ ...meta }) } };
    const name = (params['name'] ?? params['uri']) as string | undefined;
    return await rpc(gateway.mcp, message, { key: key.key, headers: modernHeaders(method, name) });
  };
  beforeAll(async () => {
    gateway = await inFront({ ...everythingOverStdio(), modern_clients: 'bridge' });
    scripted = await inFront({
      transport: 'http',
      url: await sdkServerOverHttp('sessions'),
      allow_private_networks: true,
      modern_clients: 'bridge',
    });
  });

  it('row 230: meet: a client that knows no other revision discovers, lists and calls', async () => {
    const peer = await connectV2Modern({ url: gateway.mcp, key: key.key });
    expect(peer.revision).toBe(MODERN);
    expect((await peer.client.listTools()).tools.map(({ name }) => name)).toContain('echo');
    expect(await text(peer, 'echo', { message: 'over two eras' })).toBe('Echo: over two eras');
    expect((await peer.client.listPrompts()).prompts.length).toBeGreaterThan(0);
    expect((await peer.client.listResources()).resources.length).toBeGreaterThan(0);
    expect(peer.errors).toEqual([]);
  });

  it('row 230: results say what the revision demands of them, under the client’s own id', async () => {
    const listed = await send('tools/list');
    expect(listed.json).toMatchObject({ id: 'mine', result: { resultType: 'complete', ttlMs: 0, cacheScope: 'private' } });
    const called = await send('tools/call', { name: 'echo', arguments: { message: 'x' } });
    expect(called.json?.['result']).toMatchObject({ resultType: 'complete', content: [{ text: 'Echo: x' }] });
    expect(called.json?.['result']).not.toHaveProperty('ttlMs');
    expect(called.json?.['result']?.['_meta']?.[`${PREFIX}serverInfo`]).toHaveProperty('name');
    const discovered = await send('server/discover');
    expect(discovered.json?.['result']).toMatchObject({ supportedVersions: [MODERN], cacheScope: 'private', capabilities: { tools: {} } });
    const missing = await send('resources/read', { uri: 'test://no/such' });
    expect([missing.status, missing.json?.['error']?.['code']]).toEqual([200, -32602]);
  });

  it('row 230: a client that leaves cancels, and log messages reach only who asked for them', async () => {
    const peer = await connectV2Modern({ url: scripted.mcp, key: key.key });
    const quit = new AbortController();
    const called = peer.callTool({ name: 'wait', arguments: { ms: 20_000, mark: 'left' } }, { signal: quit.signal });
    await waitUntil(
      async () => (await scripted.auditLines()).some((line) => line['event_type'] === 'tool_call' && line['tool'] === 'wait'),
      {
        what: 'the call',
      },
    );
    quit.abort(new Error('enough'));
    await expect(called).rejects.toThrow('enough');
    await waitUntil(async () => (await text(peer, 'aborted')).includes('left'), { what: 'the server to know' });
    const steps = { name: 'steps', arguments: { count: 2, mark: 'y' } };
    const events = async (meta: object): Promise<readonly unknown[]> => {
      const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { ...steps, _meta: modernMeta({ ...meta }) } };
      const answer = await rpc(scripted.mcp, message, { key: key.key, headers: modernHeaders('tools/call', 'steps') });
      return answer.events.map((event) => event['method']);
    };
    expect(await events({ [`${PREFIX}logLevel`]: 'error' })).toContain('notifications/message');
    expect(await events({})).not.toContain('notifications/message');
    // The method counts: other messages may hold its name, and it may be written in another way.
    const told = await events({ progressToken: 'notifications/message' });
    expect(told.filter((method) => method === 'notifications/progress')).toHaveLength(2);
  });

  it('row 230: the server sees a plain request of its own revision', async () => {
    const { json } = await rpc(scripted.mcp, modernRequest('tools/call', { name: 'request', arguments: { a: 1 } }), {
      key: key.key,
      headers: modernHeaders('tools/call', 'request'),
    });
    const seen = JSON.parse(String(json?.['result']?.['content']?.['0']?.['text'])) as { meta: unknown; arguments: unknown };
    expect([seen.meta, seen.arguments]).toEqual([{}, { a: 1 }]);
  });

  it('is refused what its tools do not allow, as everybody is', async () => {
    const narrow = makeKey();
    const own = await startGateway({
      config: {
        auth: { api_keys: [{ ...keyEntry('narrow', narrow), allowed_tools: ['read_*'] }] },
        upstream: { ...stdioUpstream(), modern_clients: 'bridge' },
      },
    });
    const denied = await rpc(own.mcp, modernRequest('tools/call', { name: 'echo' }), {
      key: narrow.key,
      headers: modernHeaders('tools/call', 'echo'),
    });
    expect(denied.status).toBe(403);
    const listed = await rpc(own.mcp, modernRequest('tools/list'), { key: narrow.key, headers: modernHeaders('tools/list') });
    const tools = listed.json?.['result']?.['tools'] as unknown as readonly { readonly name: string }[];
    expect(tools.every(({ name }) => name.startsWith('read_'))).toBe(true);
  });
});
