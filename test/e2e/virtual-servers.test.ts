import { beforeAll, describe, expect, it } from 'vitest';
import { type Gateway, http, keyEntry, MAIN, makeKey, recordsOf, rpc, rpcRequest, scrape, startGateway, toolCall } from './harness.ts';
import { everythingOverHttp, sdkServerOverStdio } from './peer-servers.ts';
import { connectV1, connectV2Auto, connectV2Legacy, type Peer } from './peers.ts';

const all = makeKey();
const few = makeKey();
const admin = makeKey();
const outsider = makeKey();

/** Order as configured: `sdk` has three pages, the others one. */
const SERVERS = ['everything', 'sdk', 'demo'] as const;
let gateway: Gateway;

beforeAll(async () => {
  gateway = await startGateway({
    config: {
      auth: {
        api_keys: [
          keyEntry('all', all),
          keyEntry('few', few, {
            allowed_tools: ['demo:*', 'everything:echo', 'sdk:add'],
            denied_tools: ['demo:echo'],
            servers: ['demo', 'sdk'],
          }),
          keyEntry('admin', admin, { roles: ['admin'] }),
          keyEntry('outsider', outsider, { servers: ['everything'] }),
        ],
      },
      rate_limit: { enabled: false },
      upstream: {
        servers: [
          { name: 'everything', url: await everythingOverHttp(), allow_private_networks: true },
          { name: 'sdk', ...sdkServerOverStdio() },
          { name: 'demo', command: process.execPath, args: [MAIN, 'demo-server'] },
        ],
        aggregate: { enabled: true },
        virtual: [
          {
            name: 'chosen',
            separator: '.',
            servers: ['demo', 'everything'],
            tools: ['demo:read_file', 'demo:delete_file', 'everything:get-*', 'add'],
            prompts: [],
            resources: ['demo://**'],
          },
          { name: 'whole', path: '/teams/whole', servers: ['sdk', 'demo'] },
        ],
      },
    },
  });
});

async function allTools(peer: Peer): Promise<string[]> {
  const names: string[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await peer.client.listTools(cursor === undefined ? {} : { cursor });
    names.push(...page.tools.map(({ name }) => name));
    cursor = page.nextCursor;
    if (cursor === undefined) return names;
  }
}

async function directTools(server: string): Promise<string[]> {
  return await allTools(await connectV2Legacy({ url: `${gateway.mcp}/${server}`, key: all.key }));
}

describe('one endpoint for several servers', () => {
  it.each([
    ['the SDK client', connectV1],
    ['the client of SDK 2', connectV2Legacy],
    ['the client of SDK 2 that asks for the newest revision', connectV2Auto],
  ])('row 175: lists the tools of all in stable order, page by page, and calls each (%s)', async (_name, connect) => {
    const peer = await connect({ url: gateway.mcp, key: all.key });
    const expected: string[] = [];
    for (const server of SERVERS) expected.push(...(await directTools(server)).map((name) => `${server}__${name}`));
    expect(expected.length).toBeGreaterThan(20);
    expect(await allTools(peer)).toEqual(expected);
    expect(await allTools(peer)).toEqual(expected);
    expect(await peer.callTool({ name: 'everything__echo', arguments: { message: 'hello' } })).toMatchObject({
      content: [{ type: 'text', text: 'Echo: hello' }],
    });
    expect(await peer.callTool({ name: 'sdk__add', arguments: { a: 2, b: 40 } })).toMatchObject({ structuredContent: { sum: 42 } });
    expect(await peer.callTool({ name: 'demo__add', arguments: { a: 1, b: 2 } })).toMatchObject({ content: [{ text: '3' }] });
    const steps: number[] = [];
    await peer.callTool({ name: 'sdk__steps', arguments: { count: 3, mark: 'm' } }, { onprogress: ({ progress }) => steps.push(progress) });
    expect(steps).toEqual([1, 2, 3]);
    expect(peer.errors).toEqual([]);
  });

  it('row 175: says what its servers can, and what each of them asks of its users', async () => {
    const peer = await connectV2Legacy({ url: gateway.mcp, key: all.key });
    expect(Object.keys(peer.client.getServerCapabilities() ?? {}).toSorted()).toEqual([
      'completions',
      'logging',
      'prompts',
      'resources',
      'tools',
    ]);
    expect(peer.client.getServerVersion()).toMatchObject({ name: 'mcp-guard', title: 'aggregate' });
    expect(peer.client.getInstructions()).toContain('# sdk\n\nSay "please".');
    await peer.client.ping();
    const narrow = await connectV2Legacy({ url: gateway.mcp, key: few.key });
    expect(Object.keys(narrow.client.getServerCapabilities() ?? {})).not.toContain('completions');
  });

  it('row 175: has the prompts and resources of all, and completes their arguments', async () => {
    const peer = await connectV2Legacy({ url: gateway.mcp, key: all.key });
    const prompts = (await peer.client.listPrompts()).prompts.map(({ name }) => name);
    expect(prompts.filter((name) => name.startsWith('everything__')).length).toBeGreaterThan(2);
    expect(prompts.filter((name) => name.startsWith('demo__'))).toHaveLength(1);
    expect(await peer.client.getPrompt({ name: 'everything__simple-prompt' })).toMatchObject({ messages: [{ role: 'user' }] });
    const { resources } = await peer.client.listResources();
    const direct = await connectV2Legacy({ url: `${gateway.mcp}/demo`, key: all.key });
    const own = (await direct.client.listResources()).resources.map(({ uri }) => uri);
    expect(own.length).toBeGreaterThan(0);
    expect(resources.map(({ uri }) => uri)).toEqual(expect.arrayContaining(own));
    // The second in order has it, the first does not; one that no list names is found all the same.
    expect(await peer.client.readResource({ uri: own[0] ?? '' })).toEqual(await direct.client.readResource({ uri: own[0] ?? '' }));
    expect(await peer.client.readResource({ uri: 'demo://resource/dynamic/text/7' })).toMatchObject({
      contents: [{ uri: 'demo://resource/dynamic/text/7' }],
    });
    expect(JSON.stringify(await peer.client.listResourceTemplates())).toContain('demo://resource/dynamic/text/{resourceId}');
    const argument = { name: 'department', value: 'E' };
    expect(await peer.client.complete({ ref: { type: 'ref/prompt', name: 'everything__completable-prompt' }, argument })).toMatchObject({
      completion: { values: ['Engineering'] },
    });
    await expect(peer.client.readResource({ uri: 'nobody://has/this' })).rejects.toThrow(/not found/i);
  });

  it('row 235: a virtual server offers what was chosen of its servers, and nothing else can be called there', async () => {
    const peer = await connectV2Legacy({ url: `${gateway.mcp}/chosen`, key: all.key });
    const gets = (await directTools('everything')).filter((name) => name.startsWith('get-'));
    expect(await allTools(peer)).toEqual(['demo.add', 'demo.read_file', 'demo.delete_file', ...gets.map((name) => `everything.${name}`)]);
    expect((await peer.client.listPrompts()).prompts).toEqual([]);
    const { resources } = await peer.client.listResources();
    expect(resources.map(({ uri }) => uri).filter((uri) => !uri.startsWith('demo://'))).toEqual([]);
    expect(await peer.callTool({ name: 'demo.add', arguments: { a: 1, b: 2 } })).toMatchObject({ content: [{ text: '3' }] });
    for (const name of [
      'demo.echo',
      'everything.echo',
      'demo__add',
      'add',
      'sdk.add',
      'demo.',
      '.add',
      'everything.get',
      'demo.demo.add',
    ]) {
      const answer = await rpc(`${gateway.mcp}/chosen`, toolCall(name, { message: 'x' }), { key: all.key });
      expect([name, answer.status, answer.json?.['error']?.['code']]).toEqual([name, 200, -32602]);
    }
  });

  it('row 235: who may call what is decided by server and own name, as on the direct path', async () => {
    const url = `${gateway.mcp}/teams/whole`;
    const peer = await connectV2Legacy({ url, key: few.key });
    const demo = (await directTools('demo')).filter((name) => name !== 'echo').map((name) => `demo__${name}`);
    expect(await allTools(peer)).toEqual(['sdk__add', ...demo]);
    for (const [tool, status] of [
      ['demo__add', 200],
      ['demo__echo', 403],
      ['sdk__add', 200],
      ['sdk__mixed', 403],
    ] as const) {
      const answer = await rpc(url, toolCall(tool, { a: 1, b: 2 }), { key: few.key });
      expect([tool, answer.status]).toEqual([tool, status]);
    }
    // The first server is closed to this caller: neither its list nor its tools.
    const narrow = await connectV2Legacy({ url: gateway.mcp, key: few.key });
    expect(await allTools(narrow)).toEqual(['sdk__add', ...demo]);
    expect((await rpc(gateway.mcp, toolCall('everything__echo', { message: 'x' }), { key: few.key })).status).toBe(403);
  });

  it('tells who may reach none of its servers nothing of what it offers, and calls nothing that no list can show', async () => {
    const whole = `${gateway.mcp}/teams/whole`;
    const call = async (name: string, key: string): Promise<unknown> => {
      const { status, json } = await rpc(whole, toolCall(name), { key });
      return [status, (json?.['error'] as { code: number } | undefined)?.code];
    };
    for (const name of ['sdk__add', 'sdk__none', 'none']) expect(await call(name, outsider.key)).toEqual([403, -31_403]);
    expect(await call(`sdk__${'x'.repeat(200)}`, all.key)).toEqual([200, -32_602]);
  });

  it('row 235: the trail and the metrics name the server and its tool', async () => {
    const before = await scrape(gateway, 'mcp_guard_tool_calls_total{server="demo",tool="add"}', admin.key);
    await rpc(gateway.mcp, toolCall('demo__add', { a: 1, b: 2 }, 'x'), { key: all.key, headers: { 'x-request-id': 'through-virtual' } });
    const records = await recordsOf(gateway, 'through-virtual', all.key);
    expect(records.map(({ event_type, server, tool }) => [event_type, server, tool])).toEqual(
      expect.arrayContaining([
        ['tool_call', 'demo', 'add'],
        ['tool_response', 'demo', 'add'],
      ]),
    );
    expect(await scrape(gateway, 'mcp_guard_tool_calls_total{server="demo",tool="add"}', admin.key)).toBe(before + 1);
    await rpc(`${gateway.mcp}/chosen`, rpcRequest('tools/list'), { key: all.key, headers: { 'x-request-id': 'a-list' } });
    expect((await recordsOf(gateway, 'a-list', all.key)).map(({ server }) => server)).toEqual(['chosen']);
  });

  it('row 57: /routes shows virtual servers', async () => {
    const { json } = await http('GET', `${gateway.url}/routes`, { key: admin.key });
    expect(json['virtual']).toEqual([
      { name: 'aggregate', path: '/', separator: '__', servers: [...SERVERS], health: 'ready' },
      { name: 'chosen', path: '/chosen', separator: '.', servers: ['demo', 'everything'], health: 'ready' },
      { name: 'whole', path: '/teams/whole', separator: '__', servers: ['sdk', 'demo'], health: 'ready' },
    ]);
  });
});
