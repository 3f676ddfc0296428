import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  http,
  keyEntry,
  makeKey,
  rpc,
  rpcRequest,
  startGateway,
  startHttpUpstream,
  stdioUpstream,
  tempDir,
  toolCall,
  waitUntil,
  type Gateway,
  type HttpAnswer,
  type UpstreamAnswer,
  type UpstreamRequest,
} from './harness.ts';
import { askRaw, expectPlainError, expectRpcError, UUID } from './refusals.ts';

const key = makeKey();
const admin = makeKey();
const spent = makeKey();
const SECRET = 's3cr3t-canary';
const TRACE = `Error: boom\n    at handler (/srv/${SECRET}/app.js:12:7)\n    at http://10.0.0.7:8443/${SECRET}`;

/** What the upstream does for a tool of this name; others get the standard answer. */
const FAILURES: Readonly<Record<string, (id: unknown) => UpstreamAnswer>> = {
  status_500: () => ({
    status: 500,
    headers: { 'content-type': 'text/plain', 'x-powered-by': SECRET, 'set-cookie': `sid=${SECRET}` },
    body: TRACE,
  }),
  status_401: () => ({ status: 401, headers: { 'www-authenticate': `Bearer realm="${SECRET}"` }, body: TRACE }),
  rpc_error_500: (id) => ({ status: 500, body: { jsonrpc: '2.0', id, error: { code: -32603, message: TRACE } } }),
  redirect: () => ({ status: 302, headers: { location: `http://169.254.169.254/${SECRET}` }, body: '' }),
  html: () => ({ headers: { 'content-type': 'text/html' }, body: `<pre>${TRACE}</pre>` }),
  no_json: () => ({ headers: { 'content-type': 'application/json' }, body: TRACE }),
  wrong_id: () => ({ body: { jsonrpc: '2.0', id: 'another', result: { secret: SECRET } } }),
  dropped: () => ({ isDropped: true }),
  cut_stream: () => ({ events: [], isDropped: true }),
  silent: () => ({ isSilent: true }),
  too_large: (id) => ({ body: { jsonrpc: '2.0', id, result: { text: SECRET.repeat(1000) } } }),
};

function scripted({ message }: UpstreamRequest): UpstreamAnswer | undefined {
  const name = (message['params'] as { name?: string } | undefined)?.name ?? '';
  if (name === 'rpc_error') return { body: { jsonrpc: '2.0', id: message['id'], error: { code: -32050, message: 'the tool says no' } } };
  return FAILURES[name]?.(message['id']);
}

async function certificate(): Promise<{ cert_path: string; key_path: string }> {
  const dir = await tempDir();
  const paths = { cert_path: join(dir, 'cert.pem'), key_path: join(dir, 'key.pem') };
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  execFileSync('openssl', ['req', '-x509', ...curve, '-keyout', paths.key_path, '-out', paths.cert_path, ...subject], { stdio: 'ignore' });
  return paths;
}

function expectSecurityHeaders(answer: HttpAnswer, isSecure: boolean, what: string): void {
  expect(answer.headers, what).toMatchObject({
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'referrer-policy': 'no-referrer',
  });
  if (isSecure) expect(answer.headers['strict-transport-security'], what).toMatch(/^max-age=[1-9]\d{6,}/);
  else expect(answer.headers['strict-transport-security'], what).toBeUndefined();
  const chatty = Object.keys(answer.headers).filter((name) => /^(?:server|x-powered-by|uwebsockets|via)$/.test(name));
  expect(chatty, what).toEqual([]);
}

describe.each(['uws', 'node', 'tls'])('every answer of the gateway (%s)', (engine) => {
  const isSecure = engine === 'tls';
  let gateway: Gateway;
  let url: string;
  let mcp: string;

  beforeAll(async () => {
    const upstream = await startHttpUpstream({ answer: scripted });
    gateway = await startGateway({
      isReadyAwaited: false,
      config: {
        server: {
          ...(isSecure ? { tls: await certificate() } : { engine }),
          max_request_size: 50_000,
          cors: { enabled: true, allowed_origins: ['https://app.example'] },
        },
        auth: {
          api_keys: [
            keyEntry('alice', key, { denied_tools: ['denied'] }),
            keyEntry('root', admin, { roles: ['admin'] }),
            keyEntry('spent', spent, { rate_limit: 0.001, burst: 1 }),
          ],
        },
        rate_limit: { requests_per_second: 100_000, burst_size: 100_000 },
        upstream: {
          servers: [
            { name: 'echo', path_prefix: '/', transport: 'http', url: upstream.url, allow_private_networks: true, timeout_secs: 0.5 },
            { name: 'gone', required: false, ...stdioUpstream({ exitCode: 1, stderr: [TRACE] }) },
          ],
        },
      },
    });
    ({ url, mcp } = gateway);
    await waitUntil(async () => (await http('GET', `${url}/ready`)).status === 200, { what: 'readiness', describe: gateway.stderr });
    await rpc(mcp, rpcRequest('ping'), { key: spent.key });
  });

  /** One answer of each kind, named. */
  async function answers(): Promise<readonly (readonly [string, number, HttpAnswer])[]> {
    const call = toolCall('echo');
    const json = { 'content-type': 'application/json' };
    const cases: readonly (readonly [number, string, Promise<HttpAnswer>])[] = [
      [200, 'a call', rpc(mcp, call, { key: key.key })],
      [200, 'an event stream', rpc(mcp, call, { key: key.key, headers: { accept: 'text/event-stream' } })],
      [200, 'an error in band', rpc(mcp, rpcRequest('no/such'), { key: key.key })],
      [202, 'a notification', rpc(mcp, { jsonrpc: '2.0', method: 'notifications/x' }, { key: key.key })],
      [204, 'a preflight', preflight('https://app.example')],
      [200, '/health', http('GET', `${url}/health`)],
      [200, '/live', http('GET', `${url}/live`)],
      [200, '/ready', http('GET', `${url}/ready`)],
      [200, '/metrics', http('GET', `${url}/metrics`, { key: admin.key })],
      [200, '/routes', http('GET', `${url}/routes`, { key: admin.key })],
      [200, 'metadata', http('GET', `${url}/.well-known/oauth-protected-resource`)],
      [200, 'HEAD', http('HEAD', `${url}/health`)],
      [400, 'no JSON', rpc(mcp, '{', { key: key.key })],
      [400, 'a hidden slash', http('GET', `${url}/a%2fb`)],
      [401, 'nobody', rpc(mcp, call)],
      [403, 'a denied tool', rpc(mcp, toolCall('denied'), { key: key.key })],
      [403, 'no admin', http('GET', `${url}/metrics`, { key: key.key })],
      [403, 'a foreign page', rpc(mcp, call, { key: key.key, headers: { origin: 'https://evil.example' } })],
      [403, 'a foreign host', rpc(mcp, call, { key: key.key, headers: { host: 'evil.example' } })],
      [404, 'no endpoint', http('GET', `${url}/nothing`)],
      [405, 'a method', http('GET', mcp, { key: key.key })],
      [405, 'an unserved method', http('PUT', mcp, { key: key.key })],
      [406, 'an Accept', rpc(mcp, call, { key: key.key, headers: { accept: 'text/html' } })],
      [413, 'a body', rpc(mcp, toolCall('echo', { pad: 'x'.repeat(50_000) }), { key: key.key })],
      [414, 'a target', http('GET', `${url}/${'x'.repeat(9000)}`)],
      [415, 'a type', rpc(mcp, call, { key: key.key, headers: { 'content-type': 'text/plain' } })],
      [415, 'a coding', rpc(mcp, call, { key: key.key, headers: { 'content-encoding': 'gzip' } })],
      [417, 'an expectation', http('POST', mcp, { key: key.key, headers: { ...json, expect: 'tea' }, body: '{}' })],
      [429, 'a spent budget', rpc(mcp, call, { key: spent.key })],
      [501, 'an unknown method', http('PROPFIND', mcp, { key: key.key })],
      [502, 'a broken upstream', rpc(mcp, toolCall('html'), { key: key.key })],
      [503, 'an absent upstream', rpc(`${mcp}/gone`, call, { key: key.key })],
      [504, 'a late upstream', rpc(mcp, toolCall('silent'), { key: key.key })],
    ];
    return await Promise.all(cases.map(async ([status, name, answer]) => [name, status, await answer] as const));
  }

  function preflight(origin: string): Promise<HttpAnswer> {
    return http('OPTIONS', mcp, { headers: { origin, 'access-control-request-method': 'POST' } });
  }

  it('row 59: carries the security headers, whatever its status, and names no software', async () => {
    for (const [name, status, answer] of await answers()) {
      expect(answer.status, `${name}: ${answer.body}`).toBe(status);
      expectSecurityHeaders(answer, isSecure, `${status} ${name}`);
    }
  });

  it('row 59: so do answers to bytes that are hardly a request', async () => {
    if (isSecure) return expect(gateway.url).toMatch(/^https:/);
    for (const bytes of ['GET /health HTTP/1.1\r\nHost: a b\r\n\r\n', 'POST /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n']) {
      const answer = await askRaw(gateway.port, bytes);
      expect([400, 411]).toContain(answer.status);
      expectSecurityHeaders(answer, false, bytes);
    }
  });

  it('row 60: with a status of 400 or more it has a UUID that the log line has too', async () => {
    const all = await answers();
    const failed = all.filter(([, status]) => status >= 400);
    const ids = failed.map(([name, status, answer]) => {
      const id = String(answer.json?.['error_id'] ?? answer.json?.['error']?.['data']?.['error_id']);
      expect(id, `${status} ${name}: ${answer.body}`).toMatch(UUID);
      return id;
    });
    expect(new Set(ids).size).toBe(ids.length);
    const lines = await waitUntil(
      () => {
        const found = gateway
          .stderr()
          .split('\n')
          .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Record<string, unknown>] : []));
        return ids.every((id) => found.some((line) => line['error_id'] === id)) ? found : undefined;
      },
      { what: 'a log line for each error_id', describe: gateway.stderr },
    );
    for (const [index, [name, status]] of failed.entries()) {
      expect(
        lines.filter((line) => line['error_id'] === ids[index]),
        name,
      ).toMatchObject([{ status, request_id: expect.any(String) as string }]);
    }
    const audited = await waitUntil(
      async () => {
        const found = await gateway.auditLines();
        return ids.every((id) => found.some((line) => line['error_id'] === id)) ? found : undefined;
      },
      { what: 'an audit record for each error_id' },
    );
    expect(audited.filter((line) => ids.includes(String(line['error_id'])))).toHaveLength(ids.length);
  });

  it('row 58: what is not there is 404 with a JSON body and an error_id', async () => {
    for (const path of ['/', '/nothing', '/health/', '/healthy', '/MCP', '/mcpx', '/metrics/x', '/favicon.ico', '/.env', '/dashboard/']) {
      expectPlainError(await http('GET', url + path), 404);
      expectPlainError(await http('POST', url + path, { body: '{}' }), 404);
    }
  });

  it('row 58: 405 names the methods that are served', async () => {
    const allowed: readonly (readonly [string, string, string])[] = [
      ['GET', '/mcp', 'POST, OPTIONS'],
      ['DELETE', '/mcp/echo', 'POST, OPTIONS'],
      ['PATCH', '/mcp', 'POST, OPTIONS'],
      ['DELETE', '/health', 'GET, HEAD, OPTIONS'],
      ['PUT', '/routes', 'GET, HEAD, OPTIONS'],
    ];
    for (const [method, path, allow] of allowed) {
      const answer = await http(method, url + path, { key: admin.key });
      if (path.startsWith('/mcp')) expectRpcError(answer, 405, -31405);
      else expectPlainError(answer, 405);
      expect(answer.headers['allow']).toBe(allow);
    }
  });

  it('row 62: a sane X-Request-ID is echoed on every kind of answer, and stands in the audit', async () => {
    for (const id of ['a', 'Trace_1.2-3', '0'.repeat(128), 'c0ffee00-1111-4222-8333-444455556666']) {
      const headers = { 'x-request-id': id };
      const asked = [
        rpc(mcp, toolCall('echo'), { key: key.key, headers }),
        rpc(mcp, toolCall('echo'), { headers }),
        rpc(mcp, { jsonrpc: '2.0', method: 'notifications/x' }, { key: key.key, headers }),
        http('GET', `${url}/health`, { headers }),
        http('GET', `${url}/nothing`, { headers }),
        http('PUT', mcp, { headers }),
      ];
      for (const answer of await Promise.all(asked)) expect(answer.headers['x-request-id']).toBe(id);
      await waitUntil(
        async () => {
          const mine = (await gateway.auditLines()).filter((line) => line['request_id'] === id);
          return new Set(mine.map((line) => line['event_type'])).has('tool_response') && mine.some((line) => line['status'] === 401);
        },
        { what: `audit records of ${id}` },
      );
    }
  });

  it('row 62: anything else is replaced by a UUID of our own, a different one each time', async () => {
    const ids = new Set<unknown>();
    for (const id of [undefined, '', 'with space', 'a/b', 'x'.repeat(129), '<script>', '"', 'a,b', '../../etc/passwd', '{{7*7}}', 'aüb']) {
      const sent = id === undefined ? {} : { 'x-request-id': Buffer.from(id).toString('latin1') };
      const answer = await rpc(mcp, rpcRequest('ping'), { key: key.key, headers: sent });
      // Bytes beyond ASCII are no header value that the guard lets through.
      expect(answer.status).toBe(id === 'aüb' ? 400 : 200);
      expect(answer.headers['x-request-id']).toMatch(UUID);
      ids.add(answer.headers['x-request-id']);
    }
    expect(ids.size).toBe(11);
  });

  it('row 62: two of them are refused', async () => {
    if (isSecure) return expect(gateway.url).toMatch(/^https:/);
    expect(
      (await askRaw(gateway.port, 'GET /health HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: one\r\nX-Request-ID: two\r\n\r\n')).status,
    ).toBe(400);
  });
});

describe('when an upstream fails', () => {
  let gateway: Gateway;
  let port: number;

  beforeAll(async () => {
    const upstream = await startHttpUpstream({ answer: scripted });
    ({ port } = upstream);
    const closed = await startHttpUpstream();
    await closed.close();
    gateway = await startGateway({
      config: {
        auth: { api_keys: [keyEntry('alice', key)] },
        rate_limit: { requests_per_second: 100_000, burst_size: 100_000 },
        upstream: {
          servers: [
            {
              name: 'web',
              transport: 'http',
              url: `${upstream.url}?token=${SECRET}`,
              headers: { authorization: `Bearer ${SECRET}` },
              allow_private_networks: true,
              timeout_secs: 0.5,
              max_response_size: 4096,
            },
            { name: 'closed', required: false, transport: 'http', url: `${closed.url}/${SECRET}`, allow_private_networks: true },
            { name: 'child', ...stdioUpstream(), env: { TOKEN: SECRET } },
            { name: 'exits', required: false, ...stdioUpstream({ exitCode: 3, stderr: [TRACE] }) },
            { name: 'missing', required: false, transport: 'stdio', command: `/opt/${SECRET}/server`, args: [SECRET] },
          ],
        },
      },
    });
  });

  async function expectNoLeak(server: string, tool: string, status: number): Promise<void> {
    const answer = await rpc(`${gateway.mcp}/${server}`, toolCall(tool, {}, 'mine'), { key: key.key });
    // The whole body is accounted for: class, code, error_id, and seconds to wait where that helps.
    const errorId = expectRpcError(answer, status, -31000 - status, 'mine');
    expect(answer.json['error']?.['message']).toMatch(/^Upstream (?:error|timeout|unavailable|busy)$/);
    const all = JSON.stringify([answer.headers, answer.body]);
    for (const leak of [SECRET, String(port), '/srv', 'app.js', 'node', 'ECONN', 'stack', 'cookie', 'Bearer'])
      expect(all).not.toContain(leak);
    const line = await waitUntil(
      () =>
        gateway
          .stderr()
          .split('\n')
          .find((text) => text.includes(errorId)),
      { what: 'the log line' },
    );
    expect((JSON.parse(line) as { detail?: string }).detail, 'operators learn what happened').toMatch(/\w{4}/);
    expect(line).not.toContain(SECRET.repeat(2));
  }

  it.each(Object.keys(FAILURES))('row 61: an HTTP upstream that does this shows nothing of itself: %s', async (tool) => {
    await expectNoLeak('web', tool, tool === 'silent' ? 504 : 502);
  });

  it('row 61: an upstream that cannot be reached, or whose command is missing or exits, shows nothing of itself', async () => {
    await expectNoLeak('closed', 'echo', 503);
    await expectNoLeak('missing', 'echo', 503);
    const answer = await rpc(`${gateway.mcp}/exits`, toolCall('echo', {}, 1), { key: key.key });
    expect([502, 503]).toContain(answer.status);
    expectRpcError(answer, answer.status, -31000 - answer.status, 1);
  });

  it('row 61: a child that dies in the middle of a call shows nothing of itself', async () => {
    await expectNoLeak('child', 'crash', 502);
  });

  it('row 61: a stream that breaks in the middle ends with the same error in band', async () => {
    const answer = await rpc(`${gateway.mcp}/web`, toolCall('cut_stream', {}, 'mine'), {
      key: key.key,
      headers: { accept: 'text/event-stream' },
    });
    expect([200, 502]).toContain(answer.status);
    expect(answer.json).toEqual({
      jsonrpc: '2.0',
      id: 'mine',
      error: { code: -31502, message: 'Upstream error', data: { error_id: expect.stringMatching(UUID) as string } },
    });
  });

  it('row 61: what a tool itself answers as an error is its answer, and is relayed', async () => {
    const answer = await rpc(`${gateway.mcp}/web`, toolCall('rpc_error', {}, 5), { key: key.key });
    expect([answer.status, answer.json]).toEqual([200, { jsonrpc: '2.0', id: 5, error: { code: -32050, message: 'the tool says no' } }]);
  });
});
