import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Gateway,
  type HttpAnswer,
  type HttpUpstream,
  keyEntry,
  makeKey,
  rpc,
  rpcRequest,
  startGateway,
  startHttpUpstream,
  stdioUpstream,
  toolCall,
  toolText,
  type UpstreamAnswer,
  type UpstreamRequest,
} from './harness.ts';
import { discoverResult, MODERN, modernAnswers, modernHeaders, modernRequest } from './modern.ts';
import { sdkServerOverHttp } from './peer-servers.ts';
import { connectV2Auto } from './peers.ts';
import { namesIn } from './tool-gateway.ts';

const all = makeKey();
const few = makeKey();
const servers = new Map<string, HttpUpstream>();
let gateway: Gateway;

/** What each scripted server of that revision has. */
const CAPABILITIES: Readonly<Record<string, object>> = {
  one: { tools: { listChanged: true } },
  two: { tools: {}, resources: { subscribe: true } },
};
const TTL_MS: Readonly<Record<string, number>> = { one: 60_000, two: 5_000 };

function scripted(name: string): (request: UpstreamRequest) => UpstreamAnswer | undefined {
  return modernAnswers(({ message }) => {
    const { id, method } = message;
    const result = (value: object): UpstreamAnswer => ({ body: { jsonrpc: '2.0', id, result: { resultType: 'complete', ...value } } });
    const cached = { ttlMs: TTL_MS[name], cacheScope: 'public' };
    switch (method) {
      case 'server/discover':
        return { body: { jsonrpc: '2.0', id, result: discoverResult(CAPABILITIES[name]) } };
      case 'tools/list':
        return result({ ...cached, tools: ['read', 'write'].map((tool) => ({ name: tool, inputSchema: { type: 'object' } })) });
      case 'tools/call':
        return result({ content: [{ type: 'text', text: name }] });
      case 'resources/read':
        return result({ ...cached, contents: [{ uri: 'x://y', text: name }] });
      default:
        return undefined;
    }
  });
}

beforeAll(async () => {
  for (const name of ['one', 'two']) servers.set(name, await startHttpUpstream({ answer: scripted(name) }));
  const scriptedServers = ['one', 'two'].map((name) => ({ name, url: servers.get(name)?.url, allow_private_networks: true }));
  const url = await sdkServerOverHttp('http');
  gateway = await startGateway({
    config: {
      auth: { api_keys: [keyEntry('all', all), keyEntry('few', few, { allowed_tools: ['one:read'], servers: ['one'] })] },
      rate_limit: { enabled: false },
      upstream: {
        servers: [
          ...scriptedServers,
          { name: 'a', url, allow_private_networks: true },
          { name: 'b', url, allow_private_networks: true },
          { name: 'old', ...stdioUpstream() },
        ],
        virtual: [
          { name: 'scripted', servers: ['one', 'two'] },
          { name: 'sdk', servers: ['a', 'b'] },
          { name: 'mixed', servers: ['one', 'old'] },
        ],
      },
    },
  });
});

const send = (path: string, method: string, params: Readonly<Record<string, unknown>> = {}, key = all.key): Promise<HttpAnswer> => {
  const name = params['name'] ?? params['uri'];
  return rpc(`${gateway.mcp}/${path}`, modernRequest(method, params), { key, headers: modernHeaders(method, name as string | undefined) });
};

describe('a virtual server in revision 2026-07-28', () => {
  it('row 235: says what its servers can, and lists what they have with hints that hold for the caller only', async () => {
    const discover = await send('scripted', 'server/discover');
    expect(discover.json?.['result']).toMatchObject({
      supportedVersions: [MODERN],
      capabilities: { tools: { listChanged: true }, resources: { subscribe: true } },
      cacheScope: 'private',
    });
    expect(discover.json?.['result']?.['capabilities']).toEqual({ tools: { listChanged: true }, resources: { subscribe: true } });
    expect(discover.json?.['result']?.['instructions']).toContain('# two');
    const list = await send('scripted', 'tools/list');
    expect(list.json?.['result']).toEqual({
      tools: ['one__read', 'one__write', 'two__read', 'two__write'].map((name) => ({ name, inputSchema: { type: 'object' } })),
      resultType: 'complete',
      ttlMs: 5_000,
      cacheScope: 'private',
      _meta: { 'io.modelcontextprotocol/serverInfo': expect.objectContaining({ name: 'mcp-guard', title: 'scripted' }) },
    });
    const narrow = await send('scripted', 'tools/list', {}, few.key);
    expect(narrow.json?.['result']).toMatchObject({ tools: [{ name: 'one__read' }], ttlMs: 60_000 });
    expect((await send('scripted', 'server/discover', {}, few.key)).json?.['result']?.['capabilities']).toEqual({
      tools: { listChanged: true },
    });
  });

  it('row 235: trap 12: a tool has its own name in header and body upstream, and the name that came in both before', async () => {
    const answer = await send('scripted', 'tools/call', { name: 'two__read', arguments: {} });
    expect([answer.status, answer.json?.['result']?.['content']?.['0']?.['text']]).toEqual([200, 'two']);
    const seen = servers.get('two')?.of('tools/call').at(-1);
    expect([
      seen?.headers['mcp-name'],
      seen?.headers['mcp-method'],
      (seen?.message['params'] as { name?: string } | undefined)?.name,
    ]).toEqual(['read', 'tools/call', 'read']);
    const before = servers.get('two')?.of('tools/call').length;
    for (const header of ['read', 'one__read', 'two__write', '']) {
      const headers = { ...modernHeaders('tools/call'), 'mcp-name': header };
      const bad = await rpc(`${gateway.mcp}/scripted`, modernRequest('tools/call', { name: 'two__read' }), { key: all.key, headers });
      expect([header, bad.status, bad.json?.['error']?.['code']]).toEqual([header, 400, -32020]);
    }
    expect((await send('scripted', 'tools/call', { name: 'one__write' }, few.key)).status).toBe(403);
    expect((await send('scripted', 'tools/call', { name: 'read' })).json?.['error']?.['code']).toBe(-32602);
    expect(servers.get('two')?.of('tools/call').length).toBe(before);
  });

  it('row 235: a resource comes from the server that can have any, and one with a server of the older kind is of the older kind', async () => {
    expect((await send('scripted', 'resources/read', { uri: 'x://y' })).json?.['result']).toMatchObject({
      contents: [{ text: 'two' }],
      resultType: 'complete',
    });
    // With a server that speaks older revisions only, all of it speaks those.
    const mixed = await send('mixed', 'tools/list');
    expect([mixed.status, mixed.json?.['error']?.['code']]).toEqual([400, -32601]);
    const older = await rpc(`${gateway.mcp}/mixed`, rpcRequest('tools/list'), { key: all.key });
    expect(namesIn(older).slice(0, 4)).toEqual(['one__read', 'one__write', 'old__echo', 'old__env']);
    expect(toolText(await rpc(`${gateway.mcp}/mixed`, toolCall('one__read'), { key: all.key }))).toBe('one');
    expect(toolText(await rpc(`${gateway.mcp}/mixed`, toolCall('old__echo', { x: 1 }), { key: all.key }))).toBe('{"x":1}');
  });

  it('row 235: the client of SDK 2 speaks it through two servers of SDK 2, page by page', async () => {
    const peer = await connectV2Auto({ url: `${gateway.mcp}/sdk`, key: all.key });
    expect(peer.revision).toBe(MODERN);
    const names: string[] = [];
    for (let cursor: string | undefined; ; ) {
      const page = await peer.client.listTools(cursor === undefined ? {} : { cursor });
      names.push(...page.tools.map(({ name }) => name));
      cursor = page.nextCursor;
      if (cursor === undefined) break;
    }
    expect(names).toHaveLength(22);
    expect([names[0], names.at(-1)]).toEqual(['a__add', 'b__exit']);
    const result = await peer.callTool({ name: 'b__request', arguments: { x: 1 } });
    const seen = JSON.parse((result['content'] as { text: string }[])[0]?.text ?? '{}') as {
      headers: Record<string, string>;
      arguments: unknown;
    };
    expect([seen.headers['mcp-name'], seen.headers['mcp-protocol-version'], seen.arguments]).toEqual(['request', MODERN, { x: 1 }]);
    expect(seen.headers['authorization']).toBeUndefined();
    expect(peer.errors).toEqual([]);
  });
});
