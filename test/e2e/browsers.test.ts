import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  http,
  keyEntry,
  makeKey,
  rpc,
  rpcRequest,
  runCli,
  startGateway,
  startHttpUpstream,
  tempDir,
  toolCall,
  type Gateway,
  type HttpAnswer,
  type HttpUpstream,
} from './harness.ts';
import { askRaw, expectPlainError, expectRpcError } from './refusals.ts';

const key = makeKey();
const admin = makeKey();
const APP = 'https://app.example';

/** What no page of `APP`, of this machine or of an administrator would send. */
const FOREIGN = [
  'https://evil.example',
  'http://evil.example:3000',
  'null',
  'http://localhost.evil.example',
  'http://127.0.0.1.evil.example',
  'http://127.0.0.2',
  'http://0.0.0.0',
  'http://localhost@evil.example',
  'http://evil.example#http://localhost',
  'http://localhost/',
  'http://localhost:3000/path',
  'http://localhost:999999',
  'http://localhost evil.example',
  'http://localhost, https://evil.example',
  'ftp://localhost',
  'file://',
  'chrome-extension://abcdefghijklmnopabcdefghijklmnop',
  'localhost',
  'http://[::1].evil.example',
  'http://[::2]',
  '',
];

function corsHeaders(answer: HttpAnswer): readonly string[] {
  return Object.keys(answer.headers).filter((name) => name.startsWith('access-control-'));
}

function preflight(url: string, origin: string | undefined, method = 'POST', headers = 'authorization, content-type'): Promise<HttpAnswer> {
  return http('OPTIONS', url, {
    headers: { origin, 'access-control-request-method': method, 'access-control-request-headers': headers },
  });
}

describe.each(['uws', 'node'])('pages in browsers and the %s engine', (engine) => {
  let upstream: HttpUpstream;
  let plain: Gateway;
  let open: Gateway;
  let named: Gateway;
  const calls = (): number => upstream.of('tools/call').length;

  beforeAll(async () => {
    upstream = await startHttpUpstream();
    const start = (server: Readonly<Record<string, unknown>>): Promise<Gateway> =>
      startGateway({
        config: {
          server: { engine, workers: 0, ...server },
          auth: { api_keys: [keyEntry('alice', key), keyEntry('root', admin, { roles: ['admin'] })] },
          rate_limit: { requests_per_second: 100_000, burst_size: 100_000 },
          upstream: { transport: 'http', url: upstream.url, allow_private_networks: true },
        },
        isReadyAwaited: false,
      });
    [plain, open, named] = await Promise.all([
      start({}),
      start({ cors: { enabled: true, allowed_origins: [APP, 'http://localhost:5173'], allowed_headers: ['x-custom'], max_age: 123 } }),
      start({ allowed_hosts: ['mcp.example', 'other.example:8443'], allowed_origins: [APP] }),
    ]);
  });

  describe('without CORS', () => {
    it.each([undefined, 'http://localhost:5173', 'https://evil.example'])(
      'row 63: no answer allows an origin (Origin: %s)',
      async (origin) => {
        const headers = { origin };
        const answers = await Promise.all([
          rpc(plain.mcp, rpcRequest('ping'), { key: key.key, headers }),
          rpc(plain.mcp, rpcRequest('ping'), { headers }),
          preflight(plain.mcp, origin),
          preflight(`${plain.url}/health`, origin),
          http('GET', `${plain.url}/health`, { headers }),
          http('GET', `${plain.url}/nothing`, { headers }),
        ]);
        for (const answer of answers) expect(corsHeaders(answer)).toEqual([]);
        expect(answers.slice(2, 4).map(({ status }) => status)).toEqual(origin?.includes('evil') === true ? [403, 403] : [401, 405]);
      },
    );
  });

  describe('with CORS', () => {
    it.each([APP, 'http://localhost:5173'])('row 64: the listed origin %s is echoed, alone, and without credentials', async (origin) => {
      const answer = await rpc(open.mcp, toolCall('echo'), { key: key.key, headers: { origin } });
      expect(answer.status).toBe(200);
      expect(answer.headers['access-control-allow-origin']).toBe(origin);
      expect(answer.headers['access-control-allow-credentials']).toBeUndefined();
      expect(answer.headers['vary']?.toLowerCase().split(/, */)).toContain('origin');
    });

    it('row 64: the MCP headers and those of errors and limits may be read by the page', async () => {
      const answer = await rpc(open.mcp, toolCall('echo'), { key: key.key, headers: { origin: APP } });
      const exposed = answer.headers['access-control-expose-headers']?.split(/, */) ?? [];
      for (const name of ['mcp-session-id', 'mcp-protocol-version', 'www-authenticate', 'retry-after', 'x-request-id'])
        expect(exposed).toContain(name);
      const figures = ['x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset', 'ratelimit', 'ratelimit-policy'];
      for (const name of figures) expect(exposed).toContain(name);
    });

    it('row 64: a preflight of a listed origin is answered without a credential, and allows what MCP sends', async () => {
      for (const path of ['/mcp', '/mcp/default', '/health', '/metrics', '/nothing']) {
        const answer = await preflight(open.url + path, APP);
        expect([answer.status, answer.body]).toEqual([204, '']);
        expect(answer.headers['access-control-allow-origin']).toBe(APP);
        expect(answer.headers['access-control-max-age']).toBe('123');
        expect(answer.headers['vary']?.toLowerCase()).toContain('origin');
        const methods = answer.headers['access-control-allow-methods']?.split(/, */) ?? [];
        expect(methods).toEqual(expect.arrayContaining(['POST', 'GET', 'DELETE']));
        const allowed = answer.headers['access-control-allow-headers']?.toLowerCase().split(/, */) ?? [];
        const mcp = ['mcp-session-id', 'mcp-protocol-version', 'mcp-method', 'mcp-name', 'last-event-id'];
        expect(allowed).toEqual(expect.arrayContaining(['authorization', 'content-type', 'accept', 'x-custom', ...mcp]));
        expect(allowed).not.toContain('*');
      }
    });

    it('row 64: a refusal can be read by the listed page, too', async () => {
      const unknown = await rpc(open.mcp, toolCall('echo', {}, 1), { headers: { origin: APP } });
      expectRpcError(unknown, 401, -31401);
      expect(unknown.headers['access-control-allow-origin']).toBe(APP);
      const broken = await rpc(open.mcp, '{', { key: key.key, headers: { origin: APP } });
      expectRpcError(broken, 400, -32700);
      expect(broken.headers['access-control-allow-origin']).toBe(APP);
      const large = await rpc(open.mcp, toolCall('echo', { pad: 'x'.repeat(1_100_000) }), { key: key.key, headers: { origin: APP } });
      expect([large.status, large.headers['access-control-allow-origin']]).toEqual([413, APP]);
    });

    it('row 64: other origins are not echoed and nothing of theirs is run', async () => {
      const before = calls();
      for (const origin of [
        ...FOREIGN,
        'https://app.example.evil.example',
        'https://app.example:444',
        'http://app.example',
        'https://APP.example.',
      ]) {
        for (const answer of [
          await rpc(open.mcp, toolCall('echo'), { key: key.key, headers: { origin } }),
          await preflight(open.mcp, origin),
        ]) {
          expect([origin, answer.status, corsHeaders(answer)]).toEqual([origin, 403, []]);
        }
      }
      expect(calls()).toBe(before);
    });

    it('row 64: a page of this machine that is not listed may call, but not read', async () => {
      const answer = await rpc(open.mcp, rpcRequest('ping'), { key: key.key, headers: { origin: 'http://localhost:9999' } });
      expect([answer.status, corsHeaders(answer)]).toEqual([200, []]);
      const asked = await preflight(open.mcp, 'http://localhost:9999');
      expect(asked.status).not.toBe(204);
      expect(corsHeaders(asked)).toEqual([]);
    });

    it('row 64: OPTIONS that is no preflight gets no more than any other method', async () => {
      const answer = await http('OPTIONS', open.mcp, { headers: { origin: APP } });
      expectRpcError(answer, 401, -31401);
      expectRpcError(await http('OPTIONS', open.mcp, { key: key.key, headers: { origin: APP } }), 405, -31405);
    });
  });

  describe('of other origins', () => {
    it.each(FOREIGN)('row 65: a request with Origin: %s is 403, with a valid key and bound to loopback', async (origin) => {
      const before = calls();
      expectRpcError(await rpc(plain.mcp, toolCall('echo'), { key: key.key, headers: { origin } }), 403, -31403);
      for (const method of ['GET', 'DELETE', 'OPTIONS'])
        expectRpcError(await http(method, plain.mcp, { key: key.key, headers: { origin } }), 403, -31403);
      for (const path of ['/health', '/ready', '/metrics', '/routes', '/nothing']) {
        expectPlainError(await http('GET', plain.url + path, { key: admin.key, headers: { origin } }), 403);
      }
      expect(calls()).toBe(before);
    });

    it('row 65: two Origins are refused, whichever comes first', async () => {
      for (const [first, second] of [
        ['http://localhost', 'https://evil.example'],
        ['https://evil.example', 'http://localhost'],
      ]) {
        const lines = `Host: localhost\r\nAuthorization: Bearer ${key.key}\r\nOrigin: ${first}\r\nOrigin: ${second}`;
        expect((await askRaw(plain.port, `GET /health HTTP/1.1\r\n${lines}\r\n\r\n`)).status).toBe(400);
      }
    });

    it('row 65: no Origin, or one of this machine, passes', async () => {
      for (const origin of [
        undefined,
        'http://localhost',
        'http://localhost:5173',
        'https://127.0.0.1:8443',
        'http://[::1]:3000',
        'HTTP://LOCALHOST',
      ]) {
        expect((await rpc(plain.mcp, toolCall('echo'), { key: key.key, headers: { origin } })).status).toBe(200);
      }
    });

    it('row 65: with a list of its own, only that counts', async () => {
      const headers = { host: 'mcp.example' };
      expect((await rpc(named.mcp, rpcRequest('ping'), { key: key.key, headers: { ...headers, origin: APP } })).status).toBe(200);
      for (const origin of ['http://localhost', 'https://mcp.example', 'http://mcp.example', 'https://app.example:443']) {
        expectRpcError(await rpc(named.mcp, rpcRequest('ping'), { key: key.key, headers: { ...headers, origin } }), 403, -31403);
      }
    });
  });

  describe('with a name that was rebound', () => {
    const NAMES = [
      'evil.example',
      'evil.example:3000',
      '127.0.0.1.evil.example',
      'localhost.evil.example',
      'localhost.',
      'xlocalhost',
      '127.0.0.2',
      '127.1',
      '2130706433',
      '0.0.0.0',
      '192.168.0.1',
      '[::]',
      '[::2]',
      '[::ffff:127.0.0.1]',
    ];

    it.each(NAMES)('row 66: trap 5: Host: %s on a loopback bind is 403', async (host) => {
      const before = calls();
      expectRpcError(await rpc(plain.mcp, toolCall('echo'), { key: key.key, headers: { host } }), 403, -31403);
      for (const path of ['/health', '/live', '/ready', '/metrics', '/nothing', '/.well-known/oauth-protected-resource']) {
        expectPlainError(await http('GET', plain.url + path, { key: admin.key, headers: { host } }), 403);
      }
      expect(calls()).toBe(before);
    });

    it('row 66: trap 5: the upstream sees its own name, whatever the client calls the gateway: it could refuse nobody', async () => {
      const before = upstream.requests.length;
      for (const [host, status] of [
        ['mcp.example', 200],
        ['other.example:8443', 200],
        ['evil.example', 403],
        [`127.0.0.1:${upstream.port}`, 403],
      ] as const)
        expect([host, (await rpc(named.mcp, toolCall('echo', { host }), { key: key.key, headers: { host } })).status]).toEqual([
          host,
          status,
        ]);
      const seen = upstream.requests.slice(before).filter(({ message }) => message['method'] === 'tools/call');
      expect(seen.map(({ headers }) => headers.host)).toEqual(Array.from({ length: 2 }, () => `127.0.0.1:${upstream.port}`));
    });

    it('row 66: the loopback names pass, with any port and in any case', async () => {
      for (const host of ['localhost', 'localhost:1', 'LOCALHOST', `127.0.0.1:${plain.port}`, '127.0.0.1', '[::1]', '[::1]:3000']) {
        expect((await rpc(plain.mcp, toolCall('echo'), { key: key.key, headers: { host } })).status).toBe(200);
      }
    });

    it('row 66: a Host that is missing, empty, repeated or malformed is 400', async () => {
      const lines = [
        '',
        'Host:\r\n',
        'Host: \r\n',
        'Host: localhost\r\nHost: localhost\r\n',
        'Host: localhost\r\nHost: evil.example\r\n',
        'Host: localhost, evil.example\r\n',
        'Host: user@localhost\r\n',
        'Host: localhost/\r\n',
        'Host: localhost:99999\r\n',
        'Host: localhost:x\r\n',
        'Host: http://localhost\r\n',
        'Host: [::1\r\n',
      ];
      for (const line of lines) {
        const answer = await askRaw(plain.port, `GET /health HTTP/1.1\r\n${line}Accept: */*\r\n\r\n`);
        expect([line, answer.status, answer.isClosed]).toEqual([line, 400, true]);
      }
    });

    it('row 66: X-Forwarded-Host and its like change nothing', async () => {
      for (const name of ['x-forwarded-host', 'forwarded', 'x-host', 'x-original-host']) {
        const value = name === 'forwarded' ? 'host=localhost' : 'localhost';
        expectRpcError(
          await rpc(plain.mcp, toolCall('echo'), { key: key.key, headers: { host: 'evil.example', [name]: value } }),
          403,
          -31403,
        );
      }
    });

    it('row 66: with a list of its own, only that counts, ports where it names them', async () => {
      const ask = async (host: string): Promise<number> =>
        (await rpc(named.mcp, rpcRequest('ping'), { key: key.key, headers: { host } })).status;
      for (const host of ['mcp.example', 'MCP.example:1234', 'other.example:8443']) expect([host, await ask(host)]).toEqual([host, 200]);
      for (const host of ['localhost', '127.0.0.1', 'other.example', 'other.example:8444', 'sub.mcp.example'])
        expect([host, await ask(host)]).toEqual([host, 403]);
    });
  });
});

describe('the configuration of CORS', () => {
  async function validate(server: string): Promise<{ readonly code: number | null; readonly text: string }> {
    const dir = await tempDir();
    const base = `[[auth.api_keys]]\nid = "a"\nkey_hash = "${key.hash}"\nallowed_tools = ["*"]\n\n[upstream]\ncommand = "node"\n`;
    await writeFile(join(dir, 'mcp-guard.toml'), `${server}\n${base}`);
    const { code, stdout, stderr } = await runCli(['validate'], { cwd: dir });
    return { code, text: stdout + stderr };
  }

  it.each([
    ['allowed_origins = ["*"]', 'allowed_origins'],
    [`allowed_origins = ["${APP}", "*"]`, 'allowed_origins'],
    ['allowed_origins = ["https://*.example"]', 'allowed_origins'],
    ['allowed_origins = ["https://app.example/path"]', 'allowed_origins'],
    ['allowed_origins = ["null"]', 'allowed_origins'],
    [`allowed_origins = ["${APP}"]\nallowed_headers = ["*"]`, 'allowed_headers'],
    [`allowed_origins = ["${APP}"]\nallowed_methods = ["*"]`, 'allowed_methods'],
  ])('row 64: validate refuses %s', async (lines, field) => {
    const { code, text } = await validate(`[server.cors]\nenabled = true\n${lines}`);
    expect(code).toBe(1);
    expect(text).toContain(`server.cors.${field}`);
  });

  it('row 64: validate takes a list of origins', async () => {
    expect(await validate(`[server.cors]\nenabled = true\nallowed_origins = ["${APP}", "http://localhost:5173"]`)).toMatchObject({
      code: 0,
    });
  });

  it('row 65: the star is no allow-list of Origins either', async () => {
    const { code, text } = await validate('[server]\nallowed_origins = ["*"]');
    expect(code).toBe(1);
    expect(text).toContain('server.allowed_origins');
  });
});
