import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Gateway,
  type HttpAnswer,
  type HttpUpstream,
  keyEntry,
  makeKey,
  rpc,
  rpcRequest,
  scrape,
  startGateway,
  startHttpUpstream,
  toolCall,
  toolText,
  type UpstreamAnswer,
  waitUntil,
} from './harness.ts';
import { namesIn } from './tool-gateway.ts';

const all = makeKey();
const one = makeKey();
const limited = makeKey();
const admin = makeKey();

type Message = Readonly<Record<string, unknown>>;

/** Two servers whose names begin alike; the first has two pages, and a tool whose name looks like one of the second. */
const NAMES = ['fs', 'fs2', 'vault'] as const;
const TOOLS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  fs: [
    ['read', '2__read', 'delete'],
    ['a__b', 'x'.repeat(124), 'x'.repeat(125)],
  ],
  fs2: [['read', 'fs__read', 'delete']],
  vault: [['open']],
};
/** What the next list of `fs2` is, instead of its own; null = its own. */
let harm: string | null = null;
const servers = new Map<string, HttpUpstream>();
let gateway: Gateway;

function answerOf(name: string, message: Message): UpstreamAnswer | undefined {
  const { id, method } = message;
  const params = (message['params'] ?? {}) as { cursor?: string; uri?: string; name?: string };
  const result = (value: unknown): UpstreamAnswer => ({ body: { jsonrpc: '2.0', id, result: value } });
  switch (method) {
    case 'tools/list': {
      if (name === 'fs2' && harm !== null)
        return { headers: { 'content-type': 'application/json' }, body: `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${harm}}` };
      const at = params.cursor === undefined ? 0 : Number(params.cursor.slice('page '.length));
      const tools = TOOLS[name]?.[at]?.map((tool) => ({ name: tool, description: `of ${name}`, inputSchema: { type: 'object' } }));
      if (tools === undefined) return { body: { jsonrpc: '2.0', id, error: { code: -32602, message: 'Bad cursor' } } };
      return result({ tools, ...(TOOLS[name]?.[at + 1] !== undefined && { nextCursor: `page ${at + 1}` }) });
    }
    case 'resources/list':
      return result({
        resources: [
          { uri: 'shared://x', name },
          { uri: `${name}://own`, name },
        ],
      });
    case 'resources/read':
      if (params.uri === 'shared://x' || params.uri === `${name}://own`) return result({ contents: [{ uri: params.uri, text: name }] });
      if (params.uri === 'fs2://broken')
        return {
          body: { jsonrpc: '2.0', id, error: name === 'fs2' ? { code: -32000, message: 'disk' } : { code: -32002, message: 'none' } },
        };
      return { body: { jsonrpc: '2.0', id, error: { code: -32002, message: 'Resource not found' } } };
    case 'prompts/list':
      return name === 'fs2' ? result({ prompts: [{ name: 'ask' }] }) : { isSilent: true };
    case 'tools/call':
      return params.name === 'hang' ? { isSilent: true } : result({ content: [{ type: 'text', text: `${name}:${params.name}` }] });
    default:
      return undefined;
  }
}

beforeAll(async () => {
  for (const name of NAMES) {
    servers.set(
      name,
      await startHttpUpstream({
        capabilities: { tools: {}, resources: {}, prompts: {} },
        answer: ({ message }) => answerOf(name, message),
      }),
    );
  }
  gateway = await startGateway({
    config: {
      auth: {
        api_keys: [
          keyEntry('all', all),
          keyEntry('one', one, { servers: ['fs*'], denied_tools: ['fs:delete', 'fs2:read'] }),
          keyEntry('limited', limited),
          keyEntry('admin', admin, { roles: ['admin'] }),
        ],
      },
      rate_limit: {
        requests_per_second: 1000,
        burst_size: 1000,
        tool_limits: [{ tool_pattern: 'fs:read', requests_per_second: 0.01, burst_size: 2 }],
      },
      upstream: {
        servers: NAMES.map((name) => ({ name, url: servers.get(name)?.url, allow_private_networks: true })),
        aggregate: { enabled: true },
      },
    },
  });
});

const seen = (name: string, method: string): readonly Message[] =>
  servers
    .get(name)
    ?.of(method)
    .map(({ message }) => message) ?? [];
const call = (tool: string, key = all.key): Promise<HttpAnswer> => rpc(gateway.mcp, toolCall(tool), { key });
const list = (cursor?: unknown, key = all.key): Promise<HttpAnswer> =>
  rpc(gateway.mcp, rpcRequest('tools/list', cursor === undefined ? {} : { cursor }), { key });
const forged = (...parts: readonly unknown[]): string => `m1.${Buffer.from(JSON.stringify(parts)).toString('base64url')}`;

describe('names at a virtual server', () => {
  it('row 235: mean one tool of one server each, whatever separators stand in them', async () => {
    for (const [name, meant] of [
      ['fs__a__b', 'fs:a__b'],
      ['fs__2__read', 'fs:2__read'],
      ['fs2__read', 'fs2:read'],
      ['fs2__fs__read', 'fs2:fs__read'],
      ['fs__fs__read', 'fs:fs__read'],
      ['fs____read', 'fs:__read'],
    ] as const) {
      const answer = await call(name);
      expect([name, toolText(answer)]).toEqual([name, meant]);
    }
  });

  it('row 235: that are none of them reach no server', async () => {
    const before = NAMES.map((name) => seen(name, 'tools/call').length);
    for (const name of [
      'read',
      'delete',
      'FS__read',
      'fs_read',
      '__read',
      'f',
      'fs',
      'fs__'.slice(0, 3),
      'fs3__read',
      ' fs__read',
      'aggregate__read',
      'ｆs__read',
    ]) {
      const answer = await call(name);
      expect([name, answer.status, answer.json?.['error']?.['code']]).toEqual([name, 200, -32602]);
      expect(answer.json?.['id']).toBe(1);
    }
    expect(NAMES.map((name) => seen(name, 'tools/call').length)).toEqual(before);
  });

  it('row 235: of denied tools are denied, with prefix and without, escaped or not', async () => {
    const before = NAMES.map((name) => seen(name, 'tools/call').length);
    for (const [name, status] of [
      ['fs__delete', 403],
      ['delete', 200],
      ['fs2__read', 403],
      ['vault__open', 403],
      ['open', 200],
    ] as const) {
      const plain = await call(name, one.key);
      const escaped = [...name].map((char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
      const other = await rpc(gateway.mcp, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"${escaped}"}}`, {
        key: one.key,
      });
      expect([name, plain.status, other.status]).toEqual([name, status, status]);
      expect([plain, other].map(({ json }) => json?.['result'])).toEqual([undefined, undefined]);
    }
    expect(NAMES.map((name) => seen(name, 'tools/call').length)).toEqual(before);
    // The same names at the other server are another matter.
    expect(toolText(await call('fs2__delete', one.key))).toBe('fs2:delete');
  });

  it('row 235: a second name, or one in another case, is refused before anything is sent', async () => {
    const before = seen('fs', 'tools/call').length;
    for (const params of [
      '{"name":"fs__read","name":"fs__delete"}',
      '{"name":"fs__read","Name":"fs__delete"}',
      '{"Name":"fs__read"}',
      '{"name":["fs__read"]}',
    ]) {
      const answer = await rpc(gateway.mcp, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}`, { key: all.key });
      expect([params, answer.status]).toEqual([params, 400]);
    }
    expect(seen('fs', 'tools/call')).toHaveLength(before);
  });

  it('row 235: what is sent differs from what came in the name only', async () => {
    await rpc(
      gateway.mcp,
      '{"params":{"arguments":{"name":"fs__read","n":12345678901234567890,"x":"\\u0041"},"name":"fs__keep","_meta":{"k":1e400}},"method":"tools/call","id":1,"jsonrpc":"2.0"}',
      {
        key: all.key,
      },
    );
    const body = servers.get('fs')?.of('tools/call').at(-1)?.body ?? '';
    expect(body.replace(/"id":\d+/, '"id":1')).toBe(
      '{"params":{"arguments":{"name":"fs__read","n":12345678901234567890,"x":"\\u0041"},"name":"keep","_meta":{"k":1e400}},"method":"tools/call","id":1,"jsonrpc":"2.0"}',
    );
  });

  it('row 235: a limit of a tool holds on both paths together', async () => {
    const direct = await rpc(`${gateway.mcp}/fs`, toolCall('read'), { key: limited.key });
    const merged = [await call('fs__read', limited.key), await call('fs__read', limited.key)];
    expect([direct, ...merged].map(({ status }) => status)).toEqual([200, 200, 429]);
    expect((await call('fs2__read', limited.key)).status).toBe(200);
  });
});

describe('lists of a virtual server', () => {
  it('row 235: name no tool that would be too long, and count what they leave out', async () => {
    const first = await list();
    expect(namesIn(first)).toEqual(['fs__read', 'fs__2__read', 'fs__delete']);
    const second = await list(first.json?.['result']?.['nextCursor']);
    expect(namesIn(second)).toEqual(['fs__a__b', `fs__${'x'.repeat(124)}`, 'fs2__read', 'fs2__fs__read', 'fs2__delete', 'vault__open']);
    expect(second.json?.['result']?.['nextCursor']).toBeUndefined();
    expect(
      await scrape(gateway, 'mcp_guard_virtual_left_out_total{server="aggregate",member="fs",reason="name_too_long"}', admin.key),
    ).toBe(1);
  });

  it('row 235: a cursor that is made up, of another caller or damaged gives nothing that its bearer may not see', async () => {
    const before = seen('vault', 'tools/list').length;
    const bad = [
      forged('vault', null, 0),
      forged('vault', 'page 1', 0),
      forged('nobody', null, 0),
      forged('aggregate', null, 0),
      forged('fs', null),
      forged('fs', null, null),
      forged('fs', null, -1),
      forged('fs', null, 0, 0),
      forged('fs', 5, 0),
      forged(['fs'], null, 0),
      forged('__proto__', null, 0),
      `${forged('fs', 'page 1', 0)}=`,
      forged('fs', 'page 1', 0).slice(0, -1),
      `m2${forged('fs', null, 0).slice(2)}`,
      'page 1',
      '',
      'm1.',
      'x'.repeat(20_000),
    ];
    for (const cursor of bad) {
      const answer = await list(cursor, one.key);
      expect([cursor.slice(0, 40), answer.status, answer.json?.['error']?.['code']]).toEqual([cursor.slice(0, 40), 200, -32602]);
    }
    for (const cursor of [5, true, ['a'], {}]) expect((await list(cursor, one.key)).json?.['error']?.['code']).toBe(-32602);
    expect(seen('vault', 'tools/list')).toHaveLength(before);
    // One that names a page of a server that the caller may ask directly is worth what it is there.
    expect(namesIn(await list(forged('fs', 'page 1', 0), one.key))[0]).toBe('fs__a__b');
    expect((await list(forged('fs', 'no such page', 0), one.key)).json).toMatchObject({
      id: 1,
      error: { code: -32602, message: 'Invalid cursor' },
    });
  });

  it.each([
    ['a name twice', '{"tools":[{"name":"ok","name":"delete"}]}'],
    ['a name in another case', '{"tools":[{"name":"ok","Name":"delete"}]}'],
    ['two lists', '{"tools":[{"name":"ok"}],"tools":[{"name":"delete"}]}'],
    ['a tool without a name', '{"tools":[{"description":"delete"}]}'],
    ['no list', '{"items":[]}'],
    ['a cursor that is no text', '{"tools":[],"nextCursor":5}'],
  ])('row 235: a server whose list is no list is left out, the others are not (%s)', async (_name, text) => {
    harm = text;
    const { json } = await list(forged('fs2', null, 0));
    harm = null;
    expect(json?.['result']).toEqual({
      tools: [expect.objectContaining({ name: 'vault__open' })],
      _meta: { 'mcp-guard/unavailable': ['fs2'] },
    });
  });

  it('row 235: one of ten thousand tools comes whole, and a name stays as its server wrote it', async () => {
    const tools = Array.from({ length: 10_000 }, (_, index) => `{"name":"t\\u002d${index}","x":1e400}`);
    harm = `{"tools":[${tools.join(',')}]}`;
    const answer = await list(forged('fs2', null, 0));
    harm = null;
    expect(namesIn(answer)).toHaveLength(10_001);
    expect(answer.body).toContain('{"name":"fs2__t\\u002d7","x":1e400}');
  });

  it('row 175: a server that does not answer in time is left out of a list and named; when none answers, neither does the whole', async () => {
    const short = await startGateway({
      config: {
        auth: { api_keys: [keyEntry('all', all), keyEntry('admin', admin, { roles: ['admin'] })] },
        upstream: {
          servers: NAMES.map((name) => ({ name, url: servers.get(name)?.url, allow_private_networks: true })),
          virtual: [
            { name: 'some', list_timeout_secs: 2 },
            { name: 'silent', servers: ['vault', 'fs'], list_timeout_secs: 0.2 },
          ],
        },
      },
    });
    const [some, silent] = await Promise.all(
      ['some', 'silent'].map((path) => rpc(`${short.mcp}/${path}`, rpcRequest('prompts/list'), { key: all.key })),
    );
    expect(some?.json?.['result']).toEqual({ prompts: [{ name: 'fs2__ask' }], _meta: { 'mcp-guard/unavailable': ['fs', 'vault'] } });
    expect([silent?.status, silent?.json?.['error']?.['code']]).toEqual([504, -31504]);
    expect(await scrape(short, 'mcp_guard_virtual_left_out_total{server="some",member="vault",reason="late"}', admin.key)).toBe(1);
    expect(short.stderr()).toContain('left out of the lists of a virtual server');
    // Without an aggregate endpoint there is nothing at /mcp.
    expect((await rpc(short.mcp, rpcRequest('ping'), { key: all.key })).status).toBe(404);
    await short.stop();
  });

  it('row 235: a list and a call that are taken back end at once', async () => {
    for (const message of [rpcRequest('prompts/list', {}, 'back'), toolCall('fs__hang', {}, 'back')]) {
      const stream = rpc(gateway.mcp, message, { key: all.key });
      await waitUntil(() => seen('fs', String(message['method'])).length > 0, { what: 'it is under way' });
      await waitUntil(
        async () => {
          await rpc(gateway.mcp, { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'back' } }, { key: all.key });
          return await Promise.race([stream.then(() => true), new Promise<false>((resolve) => setTimeout(() => resolve(false), 50))]);
        },
        { what: 'it ends' },
      );
      expect((await stream).events).toEqual([]);
    }
  });
});

describe('resources of a virtual server', () => {
  const read = (uri: string, key = all.key): Promise<HttpAnswer> => rpc(gateway.mcp, rpcRequest('resources/read', { uri }), { key });

  it('row 235: come from the first server in order that has them, and stand in the list once', async () => {
    const answer = await rpc(gateway.mcp, rpcRequest('resources/list'), { key: all.key });
    expect(answer.json?.['result']?.['resources']).toEqual([
      { uri: 'shared://x', name: 'fs' },
      { uri: 'fs://own', name: 'fs' },
      { uri: 'fs2://own', name: 'fs2' },
      { uri: 'vault://own', name: 'vault' },
    ]);
    const texts = [];
    for (const uri of ['shared://x', 'fs2://own', 'vault://own'])
      texts.push((await read(uri)).json?.['result']?.['contents']?.['0']?.['text']);
    expect(texts).toEqual(['fs', 'fs2', 'vault']);
  });

  it('row 235: that nobody has are not found, and the error of a server that has them is told', async () => {
    expect((await read('nobody://x')).json?.['error']?.['code']).toBe(-32002);
    expect((await read('fs2://broken')).json?.['error']).toMatchObject({ code: -32000, message: 'disk' });
  });

  it('row 235: of a server that is closed to the caller are not even asked for', async () => {
    const before = seen('vault', 'resources/read').length;
    expect((await read('vault://own', one.key)).json?.['error']?.['code']).toBe(-32002);
    expect(seen('vault', 'resources/read')).toHaveLength(before);
  });
});
