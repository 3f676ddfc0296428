import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Gateway,
  type HttpAnswer,
  type HttpUpstream,
  keyEntry,
  makeKey,
  readRecord,
  rpc,
  rpcRequest,
  scrape,
  startGateway,
  startHttpUpstream,
  stdioUpstream,
  tempDir,
  toolCall,
  type UpstreamAnswer,
  waitUntil,
} from './harness.ts';
import { namesIn } from './tool-gateway.ts';

const all = makeKey();
const few = makeKey();
const none = makeKey();
const admin = makeKey();

/** What the HTTP server lists, and what it does when it is asked. */
let tools: readonly string[] = [];
let isBroken = false;
const { promise: held, resolve: release } = Promise.withResolvers<void>();
let http: HttpUpstream;
let recordFile: string;
let gateway: Gateway;

beforeAll(async () => {
  http = await startHttpUpstream({
    answer: async ({ message }): Promise<UpstreamAnswer | undefined> => {
      const { id, method } = message;
      if (method === 'tools/call') {
        await held;
        return { body: { jsonrpc: '2.0', id, result: { content: [] } } };
      }
      if (method === 'tools/list' && isBroken) return { status: 500, body: '' };
      if (method === 'tools/list')
        return { body: { jsonrpc: '2.0', id, result: { tools: tools.map((name) => ({ name, inputSchema: { type: 'object' } })) } } };
      return undefined;
    },
  });
  recordFile = join(await tempDir(), 'record');
  gateway = await startGateway({
    config: {
      auth: {
        api_keys: [
          keyEntry('all', all),
          keyEntry('few', few, { allowed_tools: ['read_*'] }),
          keyEntry('none', none, { allowed_tools: [] }),
          keyEntry('admin', admin, { roles: ['admin'] }),
        ],
      },
      rate_limit: { enabled: false },
      upstream: {
        servers: [
          { name: 'http', url: http.url, allow_private_networks: true, tool_cache_ttl_secs: 600 },
          { name: 'short', url: http.url, allow_private_networks: true, tool_cache_ttl_secs: 0.2 },
          { name: 'live', url: http.url, allow_private_networks: true },
          { name: 'busy', url: http.url, allow_private_networks: true, tool_cache_ttl_secs: 600, max_concurrency: 1 },
          { name: 'stdio', ...stdioUpstream({ recordFile }), tool_cache_ttl_secs: 600 },
        ],
      },
    },
  });
});

const list = (server: string, key = all.key, id: string | number = 1): Promise<HttpAnswer> =>
  rpc(`${gateway.mcp}/${server}`, rpcRequest('tools/list', {}, id), { key });
const asked = (): number => http.of('tools/list').length;
const askedOnStdio = async (): Promise<number> =>
  (await readRecord(recordFile)).messages.filter(({ method }) => method === 'tools/list').length;

describe('lists that are kept', () => {
  it('row 154: one request upstream serves all callers, each with its own id and what it may see', async () => {
    tools = ['read_file', 'read_dir', 'delete_file'];
    const before = asked();
    for (let round = 0; round < 3; round++) {
      const answers = [await list('http', all.key, `a${round}`), await list('http', few.key, round), await list('http', none.key, 'n')];
      expect(answers.map(namesIn)).toEqual([tools, ['read_file', 'read_dir'], []]);
      expect(answers.map(({ json }) => json['id'])).toEqual([`a${round}`, round, 'n']);
    }
    expect(asked()).toBe(before + 1);
    // Hidden stays uncallable.
    expect((await rpc(`${gateway.mcp}/http`, toolCall('delete_file'), { key: few.key })).status).toBe(403);
    expect(await scrape(gateway, 'mcp_guard_list_requests_total{server="http",result="hit"}', admin.key)).toBe(8);
    expect(await scrape(gateway, 'mcp_guard_list_cache_pages{server="http"}', admin.key)).toBe(1);
  });

  it('row 154: without a time to live every request goes to the server, with one the list is asked for again after it', async () => {
    tools = ['one'];
    const before = asked();
    for (let i = 0; i < 3; i++) await list('live');
    expect(asked()).toBe(before + 3);
    expect(namesIn(await list('short'))).toEqual(['one']);
    tools = ['one', 'two'];
    await waitUntil(async () => namesIn(await list('short')).length === 2, { what: 'the new list' });
  });

  it('row 154: an old list is served when the server fails, and nobody sees more of it than before', async () => {
    tools = ['read_file', 'delete_file'];
    await waitUntil(async () => namesIn(await list('short')).includes('delete_file'), { what: 'the list' });
    isBroken = true;
    const before = asked();
    await waitUntil(
      async () => {
        expect(namesIn(await list('short'))).toEqual(tools);
        expect(namesIn(await list('short', few.key))).toEqual(['read_file']);
        return asked() > before;
      },
      { what: 'the server is asked again' },
    );
    isBroken = false;
    expect(await scrape(gateway, 'mcp_guard_list_requests_total{server="short",result="stale"}', admin.key)).toBeGreaterThan(0);
  });

  it('row 154: a change that the server announces makes the list old, in whatever call it comes', async () => {
    expect(namesIn(await list('stdio'))).toContain('raw');
    await list('stdio');
    expect(await askedOnStdio()).toBe(1);
    const changed = '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n';
    await rpc(`${gateway.mcp}/stdio`, toolCall('raw', { text: changed.replace('tools', 'prompts') }), { key: all.key });
    await list('stdio');
    expect(await askedOnStdio()).toBe(1);
    await rpc(`${gateway.mcp}/stdio`, toolCall('raw', { text: changed }), { key: all.key });
    await list('stdio');
    expect(await askedOnStdio()).toBe(2);
  });

  it('row 154: a list that is kept needs no place at a server that is busy', async () => {
    tools = ['read_file'];
    expect(namesIn(await list('busy'))).toEqual(['read_file']);
    const before = http.of('tools/call').length;
    const slow = rpc(`${gateway.mcp}/busy`, toolCall('slow'), { key: all.key });
    await waitUntil(() => http.of('tools/call').length > before, { what: 'the slow call' });
    expect((await rpc(`${gateway.mcp}/busy`, toolCall('one too many'), { key: all.key })).status).toBe(503);
    expect(namesIn(await list('busy'))).toEqual(['read_file']);
    release();
    expect((await slow).status).toBe(200);
  });

  it('row 154: many who ask at once share one request', async () => {
    tools = ['many'];
    const before = asked();
    await rpc(`${gateway.mcp}/http`, rpcRequest('tools/list', { cursor: 'fresh' }), { key: all.key });
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, id) =>
        rpc(`${gateway.mcp}/http`, rpcRequest('tools/list', { cursor: 'another' }, id), { key: all.key }),
      ),
    );
    expect(answers.map(({ json }) => json['id'])).toEqual(answers.map((_, index) => index));
    expect(asked()).toBe(before + 2);
  });
});
