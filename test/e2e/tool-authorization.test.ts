import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  type HttpAnswer,
  keyEntry,
  makeKey,
  rawExchange,
  readRecord,
  recordsOf,
  rpc,
  rpcRequest,
  runCli,
  startGateway,
  tempDir,
  toolCall,
} from './harness.ts';
import { expectDenied, namesIn, startToolGateway, TOOLS, type ToolGateway, WAYS } from './tool-gateway.ts';

let tools: ToolGateway;

const GRANTS: Readonly<Record<string, Record<string, unknown>>> = {
  all: { allowed_tools: ['*'] },
  omitted: {},
  none: { allowed_tools: [] },
  exact: { allowed_tools: ['echo', 'read_file'] },
  prefix: { allowed_tools: ['read_*'] },
  slash: { allowed_tools: ['fs/*'] },
  question: { allowed_tools: ['?'] },
  class: { allowed_tools: ['[ab]'] },
  negated: { allowed_tools: ['[!ab]'] },
  escaped: { allowed_tools: ['e\\*o'] },
  expression: { allowed_tools: ['re:(read|write)_file'] },
  unicode: { allowed_tools: ['donn*', '日?語'] },
  colon: { allowed_tools: ['*:tool:colon'] },
  deniedExact: { allowed_tools: ['*'], denied_tools: ['delete_file'] },
  deniedSame: { allowed_tools: ['echo', 'read_file'], denied_tools: ['echo'] },
  deniedGlob: { allowed_tools: ['read_file', 'write_file'], denied_tools: ['*_file'] },
  deniedAll: { allowed_tools: ['*'], denied_tools: ['*'] },
  deniedOnly: { denied_tools: ['re:.*file'] },
  deniedOnStdio: { allowed_tools: ['*'], denied_tools: ['stdio:echo'] },
  scoped: { allowed_tools: ['json:echo', 'stdio:read_*'] },
  oneServer: { allowed_tools: ['*'], servers: ['json'] },
  serverGlob: { allowed_tools: ['*'], servers: ['s*'] },
  noServer: { allowed_tools: ['*'], servers: [] },
  scopedElsewhere: { allowed_tools: ['stdio:*'], servers: ['json'] },
};

beforeAll(async () => {
  tools = await startToolGateway(GRANTS);
});

describe('which tools an identity may call', () => {
  it.each(WAYS)('row 112: listed tools are served, others denied without the upstream hearing of it (%s)', async (way) => {
    expect((await tools.call('exact', way, 'echo', 'id-1')).status).toBe(200);
    expect((await tools.call('exact', way, 'read_file', 2)).status).toBe(200);
    const seen = await tools.callsSeen();
    for (const tool of ['delete_file', 'write_file', 'read_dir', 'unheard_of'])
      expectDenied(await tools.call('exact', way, tool, `for-${tool}`), `for-${tool}`);
    expect(await tools.callsSeen()).toBe(seen);
  });

  it('row 112: no spelling of a name gets past the list', async () => {
    const seen = await tools.callsSeen();
    const spellings = [
      'Echo',
      'ECHO',
      'echo ',
      ' echo',
      'echo\n',
      'echo\t',
      'echo\0',
      '\0echo',
      'echo\u200b',
      '\ufeffecho',
      'еcho',
      'ｅｃｈｏ',
      'e\u0301cho',
      'echo/',
      './echo',
      'json:echo',
      'stdio:echo',
      'echo,delete_file',
      'echo delete_file',
      'echo\r\ndelete_file',
      '*',
      'e*',
      '["echo"]',
      '',
      'x'.repeat(2_000),
      'echo'.repeat(40),
      '%65cho',
      '&#101;cho',
      '__proto__',
      'constructor',
      'toString',
      'hasOwnProperty',
    ];
    for (const tool of spellings) expect([tool, (await tools.call('exact', 'http-json', tool)).status]).toEqual([tool, 403]);
    for (const tool of spellings) expect([tool, (await tools.call('exact', 'stdio-json', tool)).status]).toEqual([tool, 403]);
    expect(await tools.callsSeen()).toBe(seen);
  });

  it('row 112: the name decided on is the name forwarded, however it was escaped or placed', async () => {
    const post = (body: string, headers: Record<string, string> = {}): Promise<HttpAnswer> =>
      rpc(tools.urlOf('http-json'), body, { key: tools.keyOf('exact'), headers });
    const escaped = await post('{"jsonrpc":"2.0","id":1,"method":"tools\\/call","params":{"name":"\\u0065cho","arguments":{}}}');
    expect(escaped.status).toBe(200);
    expect(tools.json.of('tools/call').at(-1)?.message['params']).toEqual({ name: 'echo', arguments: {} });
    const seen = await tools.callsSeen();
    const denied = '"name":"delete_file"';
    const attempts: readonly (readonly [string, number])[] = [
      [`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{${denied},"arguments":{"name":"echo"}}}`, 403],
      [`{"jsonrpc":"2.0","id":1,"method":"tools/call","name":"echo","params":{${denied}}}`, 403],
      [`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\\u0064elete_file","_meta":{"name":"echo"}}}`, 403],
      [`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo",${denied}}}`, 400],
      [`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","n\\u0061me":"delete_file"}}`, 400],
      [`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","Name":"delete_file"}}`, 400],
      [`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"},"Params":{${denied}}}`, 400],
      [`{"jsonrpc":"2.0","id":1,"method":"tools/list","Method":"tools/call","params":{${denied}}}`, 400],
      [`{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call","params":{${denied}}}`, 400],
      [
        `[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}},{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{${denied}}}]`,
        400,
      ],
      [`[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}]`, 400],
      [`{"jsonrpc":"2.0","method":"tools/call","params":{${denied}}}`, 400],
      [`{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{${denied}}}`, 400],
      [`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["delete_file"]}`, 400],
      [`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{${denied}},"result":{}}`, 400],
    ];
    for (const [body, status] of attempts) expect([body, (await post(body)).status]).toEqual([body, status]);
    // Not MCP methods: answered in band as unknown, whatever their params.
    for (const method of ['Tools/Call', 'tools/Call', 'tools/call ', 'tools//call', 'tools.call', '/tools/call']) {
      const answer = await post(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { name: 'delete_file' } }));
      expect([method, answer.json?.['error']?.['code']]).toEqual([method, -32601]);
    }
    // Headers that name another tool or method than the body decide nothing.
    const named = await post(JSON.stringify(toolCall('delete_file')), { 'mcp-name': 'echo', 'mcp-method': 'tools/list' });
    expect(named.status).toBe(403);
    expect(await tools.callsSeen()).toBe(seen);
  });

  it('row 112: a denial is one audit record that names the rule, which the client does not learn', async () => {
    const answer = await rpc(tools.urlOf('http-json'), toolCall('delete_file'), {
      key: tools.keyOf('exact'),
      headers: { 'x-request-id': 'denied-once' },
    });
    expectDenied(answer, 1);
    expect(answer.body).not.toContain('allowed_tools');
    const records = await recordsOf(tools.gateway, 'denied-once', tools.keyOf('all'), tools.urlOf('http-json'));
    expect(records).toHaveLength(1);
    expect(records[0]).toMatchObject({
      event_type: 'authz_denied',
      decision: 'deny',
      reason: 'tool_denied',
      identity: 'exact',
      server: 'json',
    });
    expect(records[0]).toMatchObject({ tool: 'delete_file', detail: 'no allowed_tools pattern matches', status: 403 });
    expect(records[0]?.['error_id']).toBe(answer.json?.['error']?.['data']?.['error_id']);
  });

  it.each([
    ['prefix', ['read_file', 'read_dir']],
    ['slash', ['fs/read', 'fs/a/b']],
    ['question', ['a', 'b', 'c']],
    ['class', ['a', 'b']],
    ['negated', ['c']],
    ['escaped', ['e*o']],
    ['expression', ['read_file', 'write_file']],
    ['unicode', ['données', '日本語']],
    ['colon', ['tool:colon']],
  ])('row 113: globs: "%s" permits what its patterns match, whole names in their own case', async (id, expected) => {
    expect(await tools.callable(id, 'http-json')).toEqual(expected);
    expect(namesIn(await tools.list(id, 'http-json'))).toEqual(expected);
  });

  it('row 113: globs that cannot be used are validate errors that name their place, wherever they stand', async () => {
    const dir = await tempDir();
    const bad = [
      '[ab',
      'a]b[',
      '[]',
      '[z-a]',
      'trailing\\',
      're:(',
      're:*',
      're:',
      're:(?=look)',
      're:(a)\\1',
      '',
      ':echo',
      'nowhere:',
      '***'.repeat(600),
    ];
    const api_keys = [
      { id: 'a', key_hash: makeKey().hash, allowed_tools: bad },
      { id: 'd', key_hash: makeKey().hash, allowed_tools: ['*'], denied_tools: bad },
      { id: 's', key_hash: makeKey().hash, allowed_tools: ['*'], servers: ['[ab', 're:('] },
    ];
    const config = { upstream: { command: process.execPath }, auth: { api_keys }, policy: { tools: { allow: ['[ab'], deny: ['re:('] } } };
    await writeFile(join(dir, 'bad.json'), JSON.stringify(config));
    const { code, stderr } = await runCli(['-c', 'bad.json', 'validate'], { cwd: dir });
    expect(code).toBe(1);
    for (const index of bad.keys()) {
      const shown =
        stderr.includes(`auth.api_keys[0].allowed_tools[${index}]`) && stderr.includes(`auth.api_keys[1].denied_tools[${index}]`);
      expect([bad[index]?.slice(0, 20), shown]).toEqual([bad[index]?.slice(0, 20), true]);
    }
    for (const path of ['auth.api_keys[2].servers[0]', 'auth.api_keys[2].servers[1]', 'policy.tools.allow[0]', 'policy.tools.deny[0]'])
      expect(stderr).toContain(path);
    const run = await runCli(['-c', 'bad.json', 'run'], { cwd: dir });
    expect(run.code).toBe(1);
  });

  it('row 114: omitted means all, [] none, ["*"] all', async () => {
    for (const way of WAYS) {
      expect(await tools.callable('omitted', way)).toEqual(TOOLS);
      expect(await tools.callable('all', way)).toEqual(TOOLS);
      const seen = await tools.callsSeen();
      expect(await tools.callable('none', way)).toEqual([]);
      expect(await tools.callsSeen()).toBe(seen);
      expect(namesIn(await tools.list('none', way))).toEqual([]);
      expect(namesIn(await tools.list('omitted', way))).toEqual(TOOLS);
    }
  });

  it('row 114: validate warns of the omitted list only, and says what default_tools makes of it', async () => {
    const dir = await tempDir();
    const write = async (name: string, auth: Record<string, unknown>): Promise<string> => {
      const api_keys = [
        { id: 'omitted', key_hash: makeKey().hash },
        { id: 'none', key_hash: makeKey().hash, allowed_tools: [] },
        { id: 'all', key_hash: makeKey().hash, allowed_tools: ['*'] },
      ];
      await writeFile(join(dir, name), JSON.stringify({ upstream: { command: process.execPath }, auth: { ...auth, api_keys } }));
      const { code, stdout, stderr } = await runCli(['-c', name, 'validate'], { cwd: dir });
      expect(code).toBe(0);
      return stdout + stderr;
    };
    const open = await write('open.json', {});
    expect(open).toMatch(/warning.*auth\.api_keys\[0\].*every tool is allowed/);
    expect(open).not.toMatch(/api_keys\[[12]\]/);
    const closed = await write('closed.json', { default_tools: 'none' });
    expect(closed).toMatch(/warning.*auth\.api_keys\[0\].*no tool is allowed/);
  });

  it('row 114: default_tools = "none" closes an omitted list, and nothing else', async () => {
    const [omitted, all] = [makeKey(), makeKey()];
    const strict = await startGateway({
      config: {
        auth: { default_tools: 'none', allow_anonymous: true, api_keys: [{ id: 'omitted', key_hash: omitted.hash }, keyEntry('all', all)] },
        upstream: { transport: 'http', url: tools.json.url, allow_private_networks: true },
      },
    });
    const call = (key?: string): Promise<HttpAnswer> => rpc(strict.mcp, toolCall('echo'), key === undefined ? {} : { key });
    expectDenied(await call(omitted.key), 1);
    expectDenied(await call(), 1);
    expect((await call(all.key)).status).toBe(200);
    expect(namesIn(await rpc(strict.mcp, rpcRequest('tools/list'), { key: omitted.key }))).toEqual([]);
    await strict.stop();
  });

  it.each([
    ['deniedExact', TOOLS.filter((tool) => tool !== 'delete_file')],
    ['deniedSame', ['read_file']],
    ['deniedGlob', []],
    ['deniedAll', []],
    ['deniedOnly', TOOLS.filter((tool) => !tool.endsWith('file'))],
    ['deniedOnStdio', TOOLS],
  ])('row 115: deny beats allow: "%s"', async (id, expected) => {
    expect(await tools.callable(id, 'http-json')).toEqual(expected);
    expect(namesIn(await tools.list(id, 'http-json'))).toEqual(expected);
    const onStdio = id === 'deniedOnStdio' ? TOOLS.filter((tool) => tool !== 'echo') : expected;
    expect(await tools.callable(id, 'stdio-json')).toEqual(onStdio);
  });

  it('row 115: the policy for all beats what a key allows, and a key cannot widen it', async () => {
    const [all, echo] = [makeKey(), makeKey()];
    const strict = await startGateway({
      config: {
        auth: { api_keys: [keyEntry('all', all), keyEntry('echo', echo, { allowed_tools: ['echo', 'delete_file', 'fs/read'] })] },
        policy: { tools: { allow: ['echo', '*_file'], deny: ['delete_*'] } },
        upstream: { transport: 'http', url: tools.json.url, allow_private_networks: true },
        rate_limit: { enabled: false },
      },
    });
    const allowed = async (key: string): Promise<string[]> => {
      const found: string[] = [];
      for (const tool of TOOLS) if ((await rpc(strict.mcp, toolCall(tool), { key })).status === 200) found.push(tool);
      expect(namesIn(await rpc(strict.mcp, rpcRequest('tools/list'), { key }))).toEqual(found);
      return found;
    };
    expect(await allowed(all.key)).toEqual(['echo', 'read_file', 'write_file']);
    expect(await allowed(echo.key)).toEqual(['echo']);
    await strict.stop();
  });
});

describe('which servers an identity may reach', () => {
  it('row 116: server:tool patterns hold for that server only', async () => {
    expect(await tools.callable('scoped', 'http-json')).toEqual(['echo']);
    expect(await tools.callable('scoped', 'http-sse')).toEqual([]);
    expect(await tools.callable('scoped', 'stdio-json')).toEqual(['read_file', 'read_dir']);
    expect(namesIn(await tools.list('scoped', 'http-json'))).toEqual(['echo']);
    expect(namesIn(await tools.list('scoped', 'stdio-sse'))).toEqual(['read_file', 'read_dir']);
  });

  it('row 116: an identity limited to one server gets 403 elsewhere, whatever it asks, and nothing is sent there', async () => {
    expect((await tools.call('oneServer', 'http-json', 'echo')).status).toBe(200);
    const before = [tools.sse.caused.length, (await readRecord(tools.recordFile)).messages.length];
    const messages = [
      toolCall('echo', {}, 'm'),
      rpcRequest('tools/list', {}, 'm'),
      rpcRequest('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } }, 'm'),
      rpcRequest('ping', {}, 'm'),
      rpcRequest('resources/read', { uri: 'file:///x' }, 'm'),
      rpcRequest('no/such', {}, 'm'),
    ];
    for (const server of ['sse', 'stdio', 'sse/deeper', 'stdio/']) {
      for (const message of messages)
        expectDenied(await rpc(`${tools.gateway.mcp}/${server}`, message, { key: tools.keyOf('oneServer') }), 'm');
      const note = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } };
      expectDenied(await rpc(`${tools.gateway.mcp}/${server}`, note, { key: tools.keyOf('oneServer') }), null);
    }
    expect([tools.sse.caused.length, (await readRecord(tools.recordFile)).messages.length]).toEqual(before);
  });

  it('row 116: server globs, an empty list, and a grant that lies elsewhere', async () => {
    const reach = async (id: string): Promise<number[]> => {
      const statuses: number[] = [];
      for (const way of ['http-json', 'http-sse', 'stdio-json'] as const) statuses.push((await tools.call(id, way, 'echo')).status);
      return statuses;
    };
    expect(await reach('serverGlob')).toEqual([403, 200, 200]);
    expect(await reach('noServer')).toEqual([403, 403, 403]);
    expect(await reach('scopedElsewhere')).toEqual([403, 403, 403]);
    expect(await reach('all')).toEqual([200, 200, 200]);
  });

  it('row 116: a path written in another way reaches no other server', async () => {
    const before = [tools.sse.caused.length, (await readRecord(tools.recordFile)).messages.length];
    const body = JSON.stringify(toolCall('echo'));
    const targets = [
      '/mcp/json/../stdio',
      '/mcp/json%2f..%2fstdio',
      '/mcp/%73tdio',
      '/mcp//stdio',
      '/mcp/STDIO',
      '/mcp/json/..;/stdio',
      '/mcp/./stdio',
    ];
    for (const target of [
      ...targets,
      '/mcp\\stdio',
      '/mcp/json#/../stdio',
      '//mcp/stdio',
      'http://localhost/mcp/stdio',
      '/mcp/stdio?/mcp/json',
    ]) {
      const head = `POST ${target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${tools.keyOf('oneServer')}\r\nConnection: close\r\n`;
      const { text } = await rawExchange(tools.gateway.port, [
        `${head}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      ]);
      expect([target, text.slice(0, 12)]).not.toEqual([target, 'HTTP/1.1 200']);
    }
    expect([tools.sse.caused.length, (await readRecord(tools.recordFile)).messages.length]).toEqual(before);
  });
});
