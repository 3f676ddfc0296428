import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  http,
  keyEntry,
  makeKey,
  rawExchange,
  rpc,
  runCli,
  startGateway,
  startHttpUpstream,
  stdioUpstream,
  tempDir,
  toolCall,
  toolText,
  waitUntil,
  type CliResult,
  type Gateway,
  type HttpAnswer,
  type HttpUpstream,
  type JsonValue,
} from './harness.ts';

const KEY = makeKey();
const ADMIN = makeKey();
const auth = { api_keys: [keyEntry('alice', KEY), keyEntry('root', ADMIN, { roles: ['admin'] })] };
const rate_limit = { enabled: false };

function remote(name: string, { url }: HttpUpstream, extra: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return { name, transport: 'http', url, allow_private_networks: true, ...extra };
}

async function startWith(servers: readonly unknown[]): Promise<Gateway> {
  return await startGateway({ config: { auth, rate_limit, upstream: { servers } } });
}

async function call(gateway: Gateway, path: string): Promise<HttpAnswer> {
  return await rpc(`${gateway.url}${path}`, toolCall('echo', { path }), { key: KEY.key });
}

async function statusOf(gateway: Gateway, path: string): Promise<number> {
  const body = JSON.stringify(toolCall('echo', {}));
  const head = [
    `POST ${path} HTTP/1.1`,
    `Host: 127.0.0.1:${gateway.port}`,
    `Authorization: Bearer ${KEY.key}`,
    'Content-Type: application/json',
    `Content-Length: ${body.length}`,
    'Connection: close',
  ];
  const { text } = await rawExchange(gateway.port, [`${head.join('\r\n')}\r\n\r\n${body}`]);
  return Number(text.split(' ')[1]);
}

async function routesOf(gateway: Gateway): Promise<readonly JsonValue[]> {
  const { json } = await http('GET', `${gateway.url}/routes`, { key: ADMIN.key });
  return json?.['routes'] as unknown as readonly JsonValue[];
}

describe('several servers', () => {
  let gateway: Gateway;
  const upstreams: Record<string, HttpUpstream> = {};

  beforeAll(async () => {
    for (const name of ['files', 'fs', 'v1', 'v2', 'raw', 'rest']) upstreams[name] = await startHttpUpstream();
    gateway = await startWith([
      remote('files', upstreams['files'] as HttpUpstream, { path_prefix: '/elsewhere' }),
      remote('disk', upstreams['fs'] as HttpUpstream, { path_prefix: '/fs' }),
      remote('one', upstreams['v1'] as HttpUpstream, { path_prefix: '/api' }),
      remote('two', upstreams['v2'] as HttpUpstream, { path_prefix: '/api/v2' }),
      remote('whole', upstreams['raw'] as HttpUpstream, {
        path_prefix: '/whole',
        strip_prefix: true,
        url: `${upstreams['raw']?.url}/?tenant=7`,
      }),
      remote('rest', upstreams['rest'] as HttpUpstream, { path_prefix: '/deep/rest', strip_prefix: true }),
    ]);
  });

  /** Status, and which upstream a path reaches at which of its paths. The path goes out as it is: no client tidies it up. */
  async function reached(path: string): Promise<string> {
    const before = Object.entries(upstreams).map(([name, { requests }]) => [name, requests.length] as const);
    const status = await statusOf(gateway, path);
    const hit = before.flatMap(([name, count]) => {
      const calls = upstreams[name]?.requests.slice(count).filter(({ message }) => message['method'] === 'tools/call') ?? [];
      return calls.map(({ url }) => `${name} ${url}`);
    });
    return [status, ...hit].join(' ');
  }

  it('row 170: /mcp/<name> reaches the server by its name, even though its prefix is another', async () => {
    expect(await reached('/mcp/files')).toBe('200 files /mcp');
    expect(await reached('/mcp/elsewhere')).toBe('200 files /mcp');
    expect(await reached('/mcp/disk')).toBe('200 fs /mcp');
    expect(await reached('/mcp/two')).toBe('200 v2 /mcp');
    expect(await reached('/mcp/Files')).toBe('404');
    expect(await reached('/mcp/filesystem')).toBe('404');
    expect(await reached('/mcp/unknown')).toBe('404');
  });

  it.each([
    ['/mcp/fs', '200 fs /mcp'],
    ['/mcp/fs/', '200 fs /mcp'],
    ['/mcp/fs/some/where', '200 fs /mcp'],
    ['/mcp/fsx', '404'],
    ['/mcp/fs.txt', '404'],
    ['/mcp/FS', '404'],
    ['/mcp/api', '200 v1 /mcp'],
    ['/mcp/api/v1', '200 v1 /mcp'],
    ['/mcp/api/v2', '200 v2 /mcp'],
    ['/mcp/api/v2/x', '200 v2 /mcp'],
    ['/mcp/api/v22', '200 v1 /mcp'],
    ['/mcp/deep', '404'],
    ['/fs', '404'],
    ['/mcpfs', '404'],
  ])('row 171: %s goes to the longest prefix that ends on a segment: %s', async (path, expected) => {
    expect(await reached(path)).toBe(expected);
  });

  it.each(['/mcp/%66s', '/mcp//fs', '/mcp/./fs', '/mcp/x/../fs', '/mcp/fs%2fx', '/mcp/fs;x', '/mcp/fs%00', '/mcp\\fs'])(
    'row 171: %s, another spelling of a path, reaches nobody',
    async (path) => {
      expect(await reached(path)).toMatch(/^40[04]$/);
    },
  );

  it.each([
    ['/mcp/fs/a/b', '200 fs /mcp'],
    ['/mcp/rest', '200 rest /mcp'],
    ['/mcp/rest/', '200 rest /mcp'],
    ['/mcp/rest/a/b', '200 rest /mcp/a/b'],
    ['/mcp/deep/rest/a%20b', '200 rest /mcp/a%20b'],
    ['/mcp/whole/a', '200 raw /mcp/a?tenant=7'],
    ['/mcp/whole', '200 raw /mcp/?tenant=7'],
  ])('row 172: for %s the upstream sees the rest of the path with strip_prefix, its own URL without: %s', async (path, expected) => {
    expect(await reached(path)).toBe(expected);
  });

  it.each(['/mcp/rest/../admin', '/mcp/rest/%2e%2e/admin', '/mcp/rest/a//b', '/mcp/rest/a%2fb', '/mcp/rest/a%5cb', '/mcp/rest/%2E%2e'])(
    'row 172: %s cannot leave the configured URL',
    async (path) => {
      expect(await reached(path)).toMatch(/^40[04]$/);
    },
  );

  it("row 172: a client's query never becomes part of the upstream's URL", async () => {
    expect(await reached('/mcp/whole/a?tenant=8')).toBe('200 raw /mcp/a?tenant=7');
  });

  it('row 173: without a server at / and with several servers, /mcp is 404 with an error of the usual form', async () => {
    const answer = await call(gateway, '/mcp');
    expect(answer.status).toBe(404);
    expect(answer.json?.['error']?.['data']?.['error_id']).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe('a catch-all', () => {
  it('row 173: the prefix / is used last, takes what no other prefix does, and makes /mcp work', async () => {
    const [all, files] = [await startHttpUpstream(), await startHttpUpstream()];
    const gateway = await startWith([remote('all', all, { path_prefix: '/' }), remote('files', files, { path_prefix: '/fs' })]);
    for (const path of ['/mcp', '/mcp/', '/mcp/all', '/mcp/anything', '/mcp/fsx', '/mcp/any/thing']) {
      expect([path, (await call(gateway, path)).status]).toEqual([path, 200]);
    }
    expect([all.of('tools/call').length, files.of('tools/call').length]).toEqual([6, 0]);
    for (const path of ['/mcp/fs', '/mcp/fs/x', '/mcp/files']) expect((await call(gateway, path)).status).toBe(200);
    expect([all.of('tools/call').length, files.of('tools/call').length]).toEqual([6, 3]);
    await gateway.stop();
  });

  it('row 173: with exactly one server /mcp is that server, whatever its prefix', async () => {
    const only = await startHttpUpstream();
    const gateway = await startWith([remote('only', only, { path_prefix: '/fs' })]);
    expect((await call(gateway, '/mcp')).status).toBe(200);
    expect((await call(gateway, '/mcp/only')).status).toBe(200);
    expect((await call(gateway, '/mcp/fs')).status).toBe(200);
    expect((await call(gateway, '/mcp/other')).status).toBe(404);
    await gateway.stop();
  });
});

describe('mcp-guard validate', () => {
  async function validate(servers: readonly unknown[]): Promise<CliResult> {
    const cwd = await tempDir();
    await writeFile(join(cwd, 'c.json'), JSON.stringify({ auth, upstream: { servers } }));
    return await runCli(['validate', '-c', 'c.json'], { cwd });
  }
  const command = { command: process.execPath };

  it.each([
    ['the same name', { name: 'a', path_prefix: '/b' }, 'upstream.servers[1].name'],
    ['the same prefix', { name: 'b', path_prefix: '/a' }, 'upstream.servers[1].path_prefix'],
    ['the same prefix in another spelling', { name: 'b', path_prefix: '/a/' }, 'upstream.servers[1].path_prefix'],
    ["a prefix that begins with another server's name", { name: 'b', path_prefix: '/first/x' }, 'upstream.servers[1].path_prefix'],
  ])('row 174: %s is an error that names the key', async (_what, second, path) => {
    const name = second.name === 'a' ? 'a' : 'first';
    const { code, stderr } = await validate([
      { name, path_prefix: '/a', ...command },
      { ...second, ...command },
    ]);
    expect(code).toBe(1);
    expect(stderr).toContain(path);
  });

  it('row 174: two servers at / are an error, and run refuses too', async () => {
    const servers = [
      { name: 'a', path_prefix: '/', ...command },
      { name: 'b', path_prefix: '/', ...command },
    ];
    expect((await validate(servers)).code).toBe(1);
    await expect(startWith(servers)).rejects.toThrow(/"code":1[\s\S]*upstream\.servers\[1\]\.path_prefix/);
  });
});

describe('one bad server among several', () => {
  it('row 176: the others start and serve; /routes and the log show it down, and its own callers get 503 without details', async () => {
    const good = await startHttpUpstream();
    const gateway = await startWith([
      remote('good', good),
      { name: 'gone', required: false, command: '/nonexistent/secret-program', args: ['--x'] },
      { name: 'dies', required: false, ...stdioUpstream({ exitCode: 3 }) },
      { name: 'refused', required: false, transport: 'http', url: 'http://127.0.0.1:1/mcp', allow_private_networks: true },
      { name: 'local', ...stdioUpstream({ name: 'local' }) },
    ]);
    for (const path of ['/mcp/good', '/mcp/local']) expect((await call(gateway, path)).status).toBe(200);
    const health = async (): Promise<Record<string, unknown>> =>
      Object.fromEntries((await routesOf(gateway)).map((route) => [String(route['name']), String(route['health'])]));
    const expected = { good: 'ready', gone: 'down', dies: 'down', refused: 'down', local: 'ready' };
    await waitUntil(async () => JSON.stringify(await health()) === JSON.stringify(expected), { what: 'the health of all servers' });
    const details = Object.fromEntries((await routesOf(gateway)).map((route) => [String(route['name']), String(route['detail'])]));
    expect(details['gone']).toContain('command not found');
    expect(details['dies']).toContain('code 3');
    expect(details['refused']).toContain('ECONNREFUSED');
    for (const server of ['gone', 'dies', 'refused']) {
      expect(gateway.stderr()).toMatch(new RegExp(`"server":"${server}"[^\\n]*upstream is down`));
    }
    const denied = await call(gateway, '/mcp/gone');
    expect(denied.status).toBe(503);
    expect(denied.headers['retry-after']).toMatch(/^[1-9]\d*$/);
    expect(denied.body).not.toMatch(/secret-program|nonexistent|not found/);
    expect(toolText(await call(gateway, '/mcp/local'))).toContain('/mcp/local');
    await gateway.stop();
  });

  it('row 176: a required one makes /ready 503 and names it, while the others serve', async () => {
    const good = await startHttpUpstream();
    const gateway = await startGateway({
      config: { auth, rate_limit, upstream: { servers: [remote('good', good), { name: 'gone', command: '/nonexistent/program' }] } },
      isReadyAwaited: false,
    });
    await waitUntil(async () => (await call(gateway, '/mcp/good')).status === 200, { what: 'the good one serves' });
    const ready = await http('GET', `${gateway.url}/ready`);
    expect(ready.status).toBe(503);
    expect(ready.json?.['reason']).toContain('gone');
    expect(ready.body).not.toContain('nonexistent');
    await gateway.stop();
  });
});

describe('upstream.servers alone', () => {
  it('row 177: needs no other upstream key and not even a transport: TOML with two servers runs', async () => {
    const http = await startHttpUpstream();
    const { command, args } = stdioUpstream({ name: 'child' });
    const config = [
      '[server]',
      'workers = 1',
      '[[auth.api_keys]]',
      'id = "alice"',
      `key_hash = "${KEY.hash}"`,
      'allowed_tools = ["*"]',
      '[[upstream.servers]]',
      'name = "child"',
      `command = ${JSON.stringify(command)}`,
      `args = ${JSON.stringify(args)}`,
      '[[upstream.servers]]',
      'name = "remote"',
      `url = "${http.url}"`,
      'allow_private_networks = true',
      '',
    ].join('\n');
    const gateway = await startGateway({ config });
    for (const path of ['/mcp/child', '/mcp/remote']) expect((await call(gateway, path)).status).toBe(200);
    expect(http.of('tools/call')).toHaveLength(1);
    await gateway.stop();
  });
});
