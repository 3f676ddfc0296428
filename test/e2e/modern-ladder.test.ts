import { beforeAll, describe, expect, it } from 'vitest';
import { keyEntry, makeKey, rpc, rpcRequest, startGateway, startHttpUpstream } from './harness.ts';
import type { Gateway, HttpAnswer, HttpUpstream } from './harness.ts';
import { MODERN, modernAnswers, modernHeaders, modernMeta, modernRequest } from './modern.ts';

const key = makeKey();
const PREFIX = 'io.modelcontextprotocol/';
let gateway: Gateway;
let upstream: HttpUpstream;

beforeAll(async () => {
  upstream = await startHttpUpstream({ answer: modernAnswers() });
  gateway = await startGateway({
    config: {
      auth: { api_keys: [keyEntry('tester', key)] },
      rate_limit: { enabled: false },
      upstream: { transport: 'http', url: upstream.url, allow_private_networks: true },
    },
  });
});

async function send(message: unknown, headers: Record<string, string | undefined>): Promise<HttpAnswer> {
  return await rpc(gateway.mcp, message, { key: key.key, headers });
}

function call(name: string, meta: unknown = modernMeta(), id: string | number = 'id-1'): Record<string, unknown> {
  return {
    jsonrpc: '2.0',
    id,
    method: 'tools/call',
    params: { name, arguments: { a: 1 }, ...(meta === null ? {} : { _meta: meta }) },
  };
}

function expectRefused(answer: HttpAnswer, status: number, code: number, id: unknown = 'id-1'): void {
  expect([answer.status, answer.json?.['error']?.['code'], answer.json?.['id']]).toEqual([status, code, id]);
}

describe('a request of revision 2026-07-28', () => {
  it('is relayed with headers made from its body, and mints no session', async () => {
    const answer = await send(call('echo'), { ...modernHeaders('tools/call', 'echo'), 'mcp-session-id': 'of-another-era' });
    expect([answer.status, answer.json?.['id']]).toEqual([200, 'id-1']);
    expect(answer.headers['mcp-session-id']).toBeUndefined();
    const sent = upstream.of('tools/call').at(-1);
    expect(sent?.headers).toMatchObject({ 'mcp-protocol-version': MODERN, 'mcp-method': 'tools/call', 'mcp-name': 'echo' });
    expect(sent?.headers['mcp-session-id']).toBeUndefined();
    expect(sent?.headers['authorization']).toBeUndefined();
    expect(sent?.message['params']).toEqual(call('echo')['params']);
  });

  it('trap 1: `initialize` with a modern `_meta` is 404 −32601, without it the handshake of the older revisions', async () => {
    const modern = { ...rpcRequest('initialize', { protocolVersion: MODERN, _meta: modernMeta() }, 'id-1') };
    expectRefused(await send(modern, modernHeaders('initialize')), 404, -32601);
    const legacy = rpcRequest('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } });
    expect((await send(legacy, {})).json?.['result']).toMatchObject({ protocolVersion: '2025-11-25' });
    expectRefused(await send(legacy, { 'mcp-protocol-version': MODERN }), 400, -32020, 1);
  });

  it.each(['ping', 'logging/setLevel', 'resources/subscribe', 'resources/unsubscribe', 'tasks/list', 'no/such'])(
    'is 404 −32601 with the method %s, which the revision does not define',
    async (method) => {
      expectRefused(await send(modernRequest(method, {}, 'id-1'), modernHeaders(method)), 404, -32601);
    },
  );

  it('trap 2: a modern header without `_meta` is −32602, a wrong case in `Mcp-Method` −32020, edges of white space are nothing', async () => {
    expectRefused(await send(call('echo', null), modernHeaders('tools/call', 'echo')), 400, -32602);
    expectRefused(await send(call('echo'), modernHeaders('Tools/Call', 'echo')), 400, -32020);
    const spaced = { 'MCP-PROTOCOL-VERSION': `  ${MODERN}`, 'Mcp-Method': '\t tools/call ', 'MCP-NAME': ' echo\t' };
    expect((await send(call('echo'), spaced)).status).toBe(200);
  });

  it.each([
    ['no version', { [`${PREFIX}protocolVersion`]: undefined }],
    ['a version that is no string', { [`${PREFIX}protocolVersion`]: 20_260_728 }],
    ['no client capabilities', { [`${PREFIX}clientCapabilities`]: undefined }],
    ['client capabilities that are no object', { [`${PREFIX}clientCapabilities`]: [] }],
    ['a client without a name', { [`${PREFIX}clientInfo`]: { version: '1' } }],
    ['a log level that there is not', { [`${PREFIX}logLevel`]: 'loud' }],
  ])('is 400 −32602 with %s', async (_what, changes) => {
    expectRefused(await send(call('echo', modernMeta(changes)), modernHeaders('tools/call', 'echo')), 400, -32602);
  });

  it('needs no client info', async () => {
    const answer = await send(call('echo', modernMeta({ [`${PREFIX}clientInfo`]: undefined })), modernHeaders('tools/call', 'echo'));
    expect(answer.status).toBe(200);
  });

  it.each([
    ['no version header', { 'mcp-method': 'tools/call', 'mcp-name': 'echo' }],
    ['another version in the header', { ...modernHeaders('tools/call', 'echo'), 'mcp-protocol-version': '2025-11-25' }],
    ['no method header', { 'mcp-protocol-version': MODERN, 'mcp-name': 'echo' }],
    ['another method in the header', modernHeaders('tools/list', 'echo')],
    ['no name header', modernHeaders('tools/call')],
    ['another name in the header', modernHeaders('tools/call', 'Echo')],
    ['a name in bad Base64', modernHeaders('tools/call', '=?base64?ZWNo?=')],
    ['a name in Base64 that is no UTF-8', modernHeaders('tools/call', '=?base64?/w==?=')],
  ])('is 400 −32020 with %s', async (_what, headers) => {
    expectRefused(await send(call('echo'), headers), 400, -32020);
  });

  it('trap 3: −32022 names what `server/discover` supports, and what was asked for', async () => {
    const discovered = await send(modernRequest('server/discover'), modernHeaders('server/discover'));
    const supported = discovered.json?.['result']?.['supportedVersions'];
    for (const version of ['2099-01-01', '2025-11-25', '1']) {
      const meta = modernMeta({ [`${PREFIX}protocolVersion`]: version });
      const answer = await send(call('echo', meta), { ...modernHeaders('tools/call', 'echo'), 'mcp-protocol-version': version });
      expectRefused(answer, 400, -32022);
      expect(answer.json?.['error']?.['data']).toMatchObject({ supported, requested: version });
    }
  });

  it.each(['=?base64?ZWNobw==?=', 'données', '日本語', ' edges ', '=?base64?'])(
    'trap 13: the name %j goes through the header and comes out the same',
    async (name) => {
      const wrapped = `=?base64?${Buffer.from(name).toString('base64')}?=`;
      expect((await send(call(name), modernHeaders('tools/call', wrapped))).status).toBe(200);
      const sent = upstream.of('tools/call').at(-1);
      const isPlain = /^[\x21-\x7e]+$/.test(name) && !(name.startsWith('=?base64?') && name.endsWith('?='));
      expect(sent?.headers['mcp-name']).toBe(isPlain ? name : wrapped);
      expect(sent?.message['params']).toMatchObject({ name });
    },
  );

  it('trap 13: a URI that is not ASCII goes through the header as well', async () => {
    const uri = 'test://données/日本語';
    const wrapped = `=?base64?${Buffer.from(uri).toString('base64')}?=`;
    expect((await send(modernRequest('resources/read', { uri }), modernHeaders('resources/read', wrapped))).status).toBe(200);
    expect(upstream.of('resources/read').at(-1)?.headers['mcp-name']).toBe(wrapped);
  });

  it('has its `Mcp-Param-*` headers relayed as they are, and those of other methods dropped', async () => {
    const params = { 'Mcp-Param-Region': 'eu', 'mcp-param-x': '=?base64?w6k=?=' };
    await send(call('echo'), { ...modernHeaders('tools/call', 'echo'), ...params });
    expect(upstream.of('tools/call').at(-1)?.headers).toMatchObject({ 'mcp-param-region': 'eu', 'mcp-param-x': '=?base64?w6k=?=' });
    await send(modernRequest('tools/list'), { ...modernHeaders('tools/list'), ...params });
    expect(upstream.of('tools/list').at(-1)?.headers['mcp-param-region']).toBeUndefined();
  });

  it('is 400 −32600 when it is a response, and 202 when it is a notification, whatever that carries', async () => {
    expectRefused(await send({ jsonrpc: '2.0', id: 'id-1', result: {} }, { 'mcp-protocol-version': MODERN }), 400, -32600, null);
    const note = { jsonrpc: '2.0', method: 'notifications/vendor', params: {} };
    const answer = await send(note, { 'mcp-protocol-version': MODERN });
    expect([answer.status, answer.body]).toEqual([202, '']);
    expectRefused(await send(note, { 'mcp-protocol-version': MODERN, 'mcp-method': 'notifications/other' }), 400, -32020, null);
  });

  it('goes through the same doors: a credential, the caller’s tools', async () => {
    const stranger = await rpc(gateway.mcp, call('echo'), { headers: modernHeaders('tools/call', 'echo') });
    expect(stranger.status).toBe(401);
    const before = upstream.of('tools/call').length;
    // What is allowed is decided by the body, and the header agrees with it.
    expectRefused(await send(call('echo'), modernHeaders('tools/call', 'other')), 400, -32020);
    expect(upstream.of('tools/call').length).toBe(before);
  });
});

describe('a server that knows only older revisions', () => {
  it('is not asked in the new one: the client is told to fall back', async () => {
    const old = await startHttpUpstream();
    const own = await startGateway({
      config: {
        auth: { api_keys: [keyEntry('tester', key)] },
        upstream: { transport: 'http', url: old.url, allow_private_networks: true },
      },
    });
    const answer = await rpc(own.mcp, call('echo'), { key: key.key, headers: modernHeaders('tools/call', 'echo') });
    expectRefused(answer, 400, -32601);
    expect(old.of('tools/call')).toEqual([]);
  });
});
