import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Gateway,
  type HttpAnswer,
  keyEntry,
  makeKey,
  readRecord,
  rpc,
  rpcRequest,
  startGateway,
  startHttpUpstream,
  toolCall,
  type UpstreamAnswer,
} from './harness.ts';
import { CURSOR, expectDenied, namesIn, startToolGateway, TOOLS, type ToolGateway, WAYS } from './tool-gateway.ts';

/** Grants and the tools that each leaves. */
const GRANTS: Readonly<Record<string, Record<string, unknown>>> = {
  all: { allowed_tools: ['*'] },
  few: { allowed_tools: ['read_*', '日本語', 'e\\*o'] },
  first: { allowed_tools: [TOOLS[0]] },
  last: { allowed_tools: [TOOLS.at(-1)?.replace(':', '\\:')] },
  ends: { allowed_tools: ['*'], denied_tools: [TOOLS[0], 'tool\\:colon'] },
  none: { allowed_tools: [] },
};
const EXPECTED: Readonly<Record<string, readonly string[]>> = {
  all: TOOLS,
  few: TOOLS.filter((tool) => tool.startsWith('read_') || tool === '日本語' || tool === 'e*o'),
  first: TOOLS.slice(0, 1),
  last: TOOLS.slice(-1),
  ends: TOOLS.slice(1, -1),
  none: [],
};

let tools: ToolGateway;

beforeAll(async () => {
  tools = await startToolGateway(GRANTS);
});

describe.each(WAYS)('tools/list (%s)', (way) => {
  it('row 117: shows the allowed tools only and keeps the cursor, the rest of the result and each definition', async () => {
    for (const [id, expected] of Object.entries(EXPECTED)) {
      const answer = await tools.list(id, way);
      expect(answer.status).toBe(200);
      expect(answer.headers['content-type']).toBe(way.endsWith('sse') ? 'text/event-stream' : 'application/json');
      expect(answer.json).toMatchObject({ jsonrpc: '2.0', id: `list-${id}`, result: { nextCursor: CURSOR, _meta: { kept: true } } });
      expect([id, namesIn(answer)]).toEqual([id, expected]);
      expect(answer.json?.['result']?.['tools']).toEqual(
        expected.map((name) => ({ name, description: `Tool ${name}`, inputSchema: { type: 'object' } })),
      );
      for (const hidden of TOOLS.filter((tool) => !expected.includes(tool))) expect(answer.body).not.toContain(`Tool ${hidden}"`);
      // What came before the list is still there.
      if (way === 'http-sse') expect(answer.events.map((event) => event['method'])).toEqual(['notifications/message', undefined]);
    }
  });

  it('row 118: a tool is callable exactly when it is listed, and calling a hidden one never reaches the upstream', async () => {
    for (const id of Object.keys(GRANTS)) {
      expect([id, await tools.callable(id, way)]).toEqual([id, namesIn(await tools.list(id, way))]);
    }
    const seen = await tools.callsSeen();
    for (const tool of ['echo', 'delete_file', 'fs/read'])
      expectDenied(await tools.call('none', way, tool, `hidden ${tool}`), `hidden ${tool}`);
    expect(await tools.callsSeen()).toBe(seen);
  });

  it('row 119: tools/call without a string name is -32602 with its id, and is not forwarded, whoever calls', async () => {
    const seen = await tools.callsSeen();
    const params = [
      '{}',
      '{"arguments":{"name":"echo"}}',
      '{"name":null}',
      '{"name":1}',
      '{"name":true}',
      '{"name":["echo"]}',
      '{"name":{"name":"echo"}}',
    ];
    const meta = way === 'stdio-sse' ? ',"_meta":{"progressToken":1}}' : '}';
    for (const text of [...params, null]) {
      for (const id of ['all', 'few', 'none']) {
        const member = text === null ? '' : `,"params":${text === '{}' ? text : text.slice(0, -1) + meta}`;
        const answer = await rpc(tools.urlOf(way), `{"jsonrpc":"2.0","id":"no-name","method":"tools/call"${member}}`, {
          key: tools.keyOf(id),
        });
        expect([text, answer.status]).toEqual([text, 400]);
        expect(answer.json).toMatchObject({ jsonrpc: '2.0', id: 'no-name', error: { code: -32602, message: 'Invalid params' } });
        expect(answer.json?.['error']?.['data']?.['error_id']).toMatch(/^[0-9a-f-]{36}$/);
      }
    }
    // An empty name is a string: no tool has it, so it is denied, even to who may call all.
    expectDenied(await tools.call('all', way, ''), 7);
    // A lone surrogate is no text that another parser would read in the same way.
    const lone = await rpc(tools.urlOf(way), '{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"\\ud800"}}', {
      key: tools.keyOf('all'),
    });
    expect([lone.status, lone.json?.['error']?.['code']]).toEqual([400, -32602]);
    expect(await tools.callsSeen()).toBe(seen);
  });
});

describe('pages of a list', () => {
  it('row 117: the cursor goes to the upstream as the client sent it', async () => {
    const message = rpcRequest('tools/list', { cursor: CURSOR });
    for (const way of ['http-json', 'http-sse', 'stdio-json'] as const) await rpc(tools.urlOf(way), message, { key: tools.keyOf('few') });
    for (const { of } of [tools.json, tools.sse]) expect(of('tools/list').at(-1)?.message['params']).toEqual({ cursor: CURSOR });
    const { messages } = await readRecord(tools.recordFile);
    expect(messages.findLast(({ method }) => method === 'tools/list')?.['params']).toEqual({ cursor: CURSOR });
  });
});

describe('lists of a server that means harm', () => {
  const few = makeKey();
  const all = makeKey();
  /** The result member of the next list, as text. */
  let result = '{}';
  let gateway: Gateway;

  beforeAll(async () => {
    const reply = (id: unknown): string => `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${result}}`;
    const answer = ({ message, url }: { message: Readonly<Record<string, unknown>>; url: string }): UpstreamAnswer | undefined => {
      if (message['method'] !== 'tools/list') return undefined;
      const body = reply(message['id']);
      return url.endsWith('sse') ? { events: [body] } : { headers: { 'content-type': 'application/json' }, body };
    };
    const upstream = await startHttpUpstream({ answer });
    gateway = await startGateway({
      config: {
        auth: { api_keys: [keyEntry('few', few, { allowed_tools: ['echo'] }), keyEntry('all', all)] },
        rate_limit: { enabled: false },
        upstream: {
          servers: ['json', 'sse'].map((name) => ({
            name,
            transport: 'http',
            url: `${upstream.url}?${name}`,
            allow_private_networks: true,
          })),
        },
      },
    });
  });

  const list = (server: string, key: string): Promise<HttpAnswer> => rpc(`${gateway.mcp}/${server}`, rpcRequest('tools/list'), { key });
  const ECHO = '{"name":"echo"}';

  it.each(['json', 'sse'])('row 117: a name is compared as it decodes, and what stays goes out as it came (%s)', async (server) => {
    result = `{"tools":[{"name":"\\u0065cho" , "x":1e400},{"n\\u0061me":"\\u0064elete_file"},{"name":"Echo"}]}`;
    const answer = await list(server, few.key);
    expect(answer.status).toBe(200);
    expect(answer.body).toContain('"tools":[{"name":"\\u0065cho" , "x":1e400}]');
  });

  it.each([
    ['a name twice', `{"tools":[{"name":"echo","name":"delete_file"}]}`],
    ['a name twice, one escaped', `{"tools":[{"name":"echo","n\\u0061me":"delete_file"}]}`],
    ['a name in another case', `{"tools":[{"name":"echo","Name":"delete_file"}]}`],
    ['two lists', `{"tools":[${ECHO}],"tools":[{"name":"delete_file"}]}`],
    ['a list in another case', `{"tools":[${ECHO}],"Tools":[{"name":"delete_file"}]}`],
    ['a list that is an object', `{"tools":{"0":{"name":"delete_file"}}}`],
    ['a tool without a name', `{"tools":[${ECHO},{"description":"delete_file"}]}`],
    ['a tool whose name is a list', `{"tools":[${ECHO},{"name":["delete_file"]}]}`],
    ['a tool whose name is no text', `{"tools":[${ECHO},{"name":"delete_file\\ud800"}]}`],
    ['a tool that is a string', `{"tools":[${ECHO},"delete_file"]}`],
    ['no list', `{"items":[{"name":"delete_file"}]}`],
    ['a result that is a list', `[{"name":"delete_file"}]`],
    ['a result of null', 'null'],
  ])('row 117: %s is never relayed to an identity whose tools are limited', async (_name, text) => {
    result = text;
    for (const server of ['json', 'sse']) {
      const answer = await list(server, few.key);
      expect(answer.body).not.toContain('delete_file');
      expect(answer.json).toMatchObject({ id: 1, error: { code: -31502 } });
      // The status line of an event stream is gone before its content is known.
      expect(answer.status).toBe(server === 'json' ? 502 : 200);
    }
  });

  it('row 117: ten thousand tools are filtered whole', async () => {
    result = JSON.stringify({
      tools: Array.from({ length: 10_000 }, (_, index) => ({ name: index % 5_000 === 7 ? 'echo' : `tool-${index}`, index })),
    });
    for (const server of ['json', 'sse']) {
      expect((await list(server, few.key)).json?.['result']).toEqual({
        tools: [
          { name: 'echo', index: 7 },
          { name: 'echo', index: 5_007 },
        ],
      });
      expect(namesIn(await list(server, all.key))).toHaveLength(10_000);
    }
  });

  it('row 118: a listed name stays callable and a hidden one stays denied after the server changed its list', async () => {
    result = `{"tools":[{"name":"delete_file"}]}`;
    expect(namesIn(await list('json', few.key))).toEqual([]);
    expectDenied(await rpc(`${gateway.mcp}/json`, toolCall('delete_file'), { key: few.key }), 1);
    expect((await rpc(`${gateway.mcp}/json`, toolCall('echo'), { key: few.key })).status).toBe(200);
  });
});
