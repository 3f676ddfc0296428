import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Gateway,
  type HttpAnswer,
  type HttpUpstream,
  keyEntry,
  makeKey,
  rpc,
  startGateway,
  startHttpUpstream,
  waitUntil,
} from './harness.ts';
import { MODERN, modernAnswers, modernHeaders, modernMeta, modernRequest } from './modern.ts';
import { namesIn } from './tool-gateway.ts';

const all = makeKey();
const few = makeKey();
let hints: object = {};
let upstream: HttpUpstream;
let gateway: Gateway;

beforeAll(async () => {
  upstream = await startHttpUpstream({
    answer: modernAnswers(({ message }) => {
      const { id, method } = message;
      if (method !== 'tools/list') return undefined;
      const tools = ['read_file', 'write_file'].map((name) => ({ name, inputSchema: { type: 'object' } }));
      return { body: { jsonrpc: '2.0', id, result: { ...hints, resultType: 'complete', tools } } };
    }),
  });
  gateway = await startGateway({
    config: {
      auth: { api_keys: [keyEntry('all', all), keyEntry('few', few, { allowed_tools: ['read_*'] })] },
      rate_limit: { enabled: false },
      upstream: { url: upstream.url, allow_private_networks: true, tool_cache_ttl_secs: 600 },
    },
  });
});

const asked = (): number => upstream.of('tools/list').length;
/** Each cursor is a page of its own. */
const list = (cursor: string, key = all.key, id: string | number = 1): Promise<HttpAnswer> =>
  rpc(gateway.mcp, modernRequest('tools/list', { cursor }, id), { key, headers: modernHeaders('tools/list') });

describe('lists that are kept, in revision 2026-07-28', () => {
  it('row 154: one request serves all callers, as long as the server says, and each hears how long that still is', async () => {
    hints = { ttlMs: 60_000, cacheScope: 'public' };
    const before = asked();
    const first = await list('a', all.key, 'first');
    expect(first.json).toMatchObject({ id: 'first', result: { ttlMs: 60_000, cacheScope: 'public', resultType: 'complete' } });
    const again = await waitUntil(
      async () => {
        const { json } = await list('a', all.key, 'again');
        return Number(json['result']?.['ttlMs']) < 60_000 && json;
      },
      { what: 'time passes' },
    );
    expect(again).toMatchObject({ id: 'again', result: { cacheScope: 'public' } });
    expect(Number((again as HttpAnswer['json'])['result']?.['ttlMs'])).toBeGreaterThan(30_000);
    const narrow = await list('a', few.key);
    expect([namesIn(narrow), narrow.json?.['result']?.['cacheScope']]).toEqual([['read_file'], 'private']);
    expect(asked()).toBe(before + 1);
    // The request was nobody's in particular.
    expect(upstream.of('tools/list').at(-1)?.message['params']).toEqual({
      cursor: 'a',
      _meta: {
        'io.modelcontextprotocol/protocolVersion': MODERN,
        'io.modelcontextprotocol/clientInfo': { name: 'mcp-guard', version: expect.any(String) as string },
        'io.modelcontextprotocol/clientCapabilities': {},
      },
    });
  });

  it('row 154: clients with other capabilities have lists of their own, other names and traces change nothing', async () => {
    hints = { ttlMs: 60_000, cacheScope: 'public' };
    const before = asked();
    const send = (meta: Readonly<Record<string, unknown>>): Promise<HttpAnswer> =>
      rpc(
        gateway.mcp,
        { jsonrpc: '2.0', id: 1, method: 'tools/list', params: { cursor: 'b', _meta: modernMeta(meta) } },
        { key: all.key, headers: modernHeaders('tools/list') },
      );
    for (const elicitation of [{ form: {} }, { form: {} }, { url: {} }]) {
      expect((await send({ 'io.modelcontextprotocol/clientCapabilities': { elicitation } })).status).toBe(200);
    }
    expect(asked()).toBe(before + 2);
    for (const traceparent of ['00-1', '00-2'])
      await send({ traceparent, 'io.modelcontextprotocol/clientInfo': { name: traceparent, version: '1' } });
    expect(asked()).toBe(before + 3);
    expect(JSON.stringify(upstream.of('tools/list').at(-1)?.message)).not.toContain('00-');
  });

  it.each([
    ['says nothing', {}],
    ['says that it does not hold', { ttlMs: 0, cacheScope: 'public' }],
    ['says nonsense', { ttlMs: -5, cacheScope: 'private' }],
  ])('row 154: nothing is kept when the server %s', async (what, said) => {
    hints = said;
    const before = asked();
    for (let i = 0; i < 2; i++) expect(Number((await list(what)).json?.['result']?.['ttlMs'] ?? 0)).toBe(0);
    expect(asked()).toBe(before + 2);
  });
});
