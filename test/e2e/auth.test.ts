import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Gateway,
  type HttpAnswer,
  type HttpUpstream,
  http,
  keyEntry,
  makeKey,
  rawExchange,
  recordsOf,
  rpc,
  rpcRequest,
  runCli,
  scrape,
  startGateway,
  startHttpUpstream,
  tempDir,
  toolCall,
  waitUntil,
} from './harness.ts';

const LIST = rpcRequest('tools/list');
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

const key = makeKey();
const other = makeKey();
const expired = makeKey();
const lasting = makeKey();
const adminToken = makeKey();
let upstream: HttpUpstream;

function upstreamOf(server: HttpUpstream): Record<string, unknown> {
  return { transport: 'http', url: server.url, allow_private_networks: true };
}

function authConfig(auth: Record<string, unknown>, server: Record<string, unknown> = {}): Record<string, unknown> {
  return { server, upstream: upstreamOf(upstream), rate_limit: { enabled: false }, auth };
}

const STANDARD_KEYS = [
  keyEntry('alice', key),
  keyEntry('bob', other),
  keyEntry('eve', expired, { expires_at: '2020-01-01T00:00:00Z' }),
  keyEntry('carol', lasting, { expires_at: '2999-12-31' }),
];

function expectUnauthorized(answer: HttpAnswer): void {
  expect(answer.status).toBe(401);
  expect(answer.headers['www-authenticate']).toMatch(
    /^Bearer resource_metadata="http:\/\/[^"]+\/\.well-known\/oauth-protected-resource\/mcp/,
  );
  expect(answer.json).toMatchObject({ jsonrpc: '2.0', id: null, error: { code: -31401 } });
  expect(answer.json?.['error']?.['data']?.['error_id']).toMatch(UUID);
  expect(answer.headers['x-ratelimit-limit']).toBeUndefined();
}

beforeAll(async () => {
  upstream = await startHttpUpstream();
});

describe('a gateway without any provider', () => {
  it('row 68: answers every MCP request 401, until allow_anonymous is set explicitly', async () => {
    const closed = await startGateway({ config: { upstream: upstreamOf(upstream), server: { admin: { tokens: [adminToken.hash] } } } });
    const seen = upstream.caused.length;
    const presented = [undefined, key.key, adminToken.key, 'anonymous', 'null', 'undefined'];
    for (const path of ['/mcp', '/mcp/', '/mcp/default', '/mcp/default/x', '/mcp/nowhere']) {
      for (const method of ['POST', 'GET', 'DELETE', 'OPTIONS'] as const) {
        for (const credential of presented) {
          const options = credential === undefined ? {} : { key: credential };
          const body = method === 'POST' ? { body: JSON.stringify(LIST) } : {};
          expectUnauthorized(
            await http(method, closed.url + path, { ...options, ...body, headers: { 'content-type': 'application/json' } }),
          );
        }
      }
    }
    for (const message of [
      rpcRequest('initialize'),
      rpcRequest('ping'),
      { jsonrpc: '2.0', method: 'notifications/initialized' },
      '[]',
      '{',
    ])
      expectUnauthorized(await rpc(closed.mcp, message));
    expect(upstream.caused).toHaveLength(seen);
    expect(closed.stdout()).toContain('no provider: every MCP request is refused');
    await closed.stop();
  });

  it('row 68: serves callers without a credential once it is, and still refuses a credential that fails', async () => {
    const config = { upstream: upstreamOf(upstream), auth: { allow_anonymous: true }, rate_limit: { burst_size: 100 } };
    const open = await startGateway({ config });
    expect((await rpc(open.mcp, LIST)).status).toBe(200);
    expect((await rpc(open.mcp, LIST, { key: key.key })).status).toBe(401);
    for (const authorization of ['', ' ', 'Bearer', 'Bearer ', 'Basic YTpi', key.key, 'Bearer a b', 'bearer\tx']) {
      const answer = await rpc(open.mcp, LIST, { headers: { authorization } });
      // An empty field value says nothing; everything else is a credential that fails.
      expect([authorization, answer.status]).toEqual([authorization, authorization.trim() === '' ? 200 : 401]);
    }
    await open.stop();
  });

  it('row 68: takes the explicit setting from the environment too, and nothing that merely resembles it', async () => {
    const config = { upstream: upstreamOf(upstream) };
    const open = await startGateway({ config, env: { MCP_GUARD_AUTH_ALLOW_ANONYMOUS: 'true' } });
    expect((await rpc(open.mcp, LIST)).status).toBe(200);
    await open.stop();
    const dir = await tempDir();
    for (const [text, code] of [
      ['"true"', 1],
      ['1', 1],
      ['true', 0],
    ] as const) {
      await writeFile(join(dir, 'a.toml'), `[auth]\nallow_anonymous = ${text}\n[upstream]\ncommand = "node"\n`);
      const { code: exit, stderr } = await runCli(['-c', 'a.toml', 'validate'], { cwd: dir });
      expect([text, exit]).toEqual([text, code]);
      if (code === 1) expect(stderr).toContain('allow_anonymous');
    }
    await writeFile(join(dir, 'b.toml'), '[server]\nhost = "0.0.0.0"\n[auth]\nallow_anonymous = true\n[upstream]\ncommand = "node"\n');
    const { code, stderr } = await runCli(['-c', 'b.toml', 'validate'], { cwd: dir });
    expect(code).toBe(1);
    expect(stderr).toContain('server.host');
  });
});

describe('authentication by API key', () => {
  let gateway: Gateway;

  beforeAll(async () => {
    gateway = await startGateway({ config: authConfig({ api_keys: STANDARD_KEYS }, { admin: { tokens: [adminToken.hash] } }) });
  });

  const post = (authorization: string | undefined): Promise<HttpAnswer> => rpc(gateway.mcp, LIST, { headers: { authorization } });

  it('row 69: a missing header is 401 with a Bearer challenge naming the resource metadata, counted and audited once', async () => {
    const failures = 'mcp_guard_auth_total{provider="none",result="failure"}';
    const before = await scrape(gateway, failures, adminToken.key);
    const withId = (id: string): { headers: Record<string, string> } => ({ headers: { 'x-request-id': id } });
    const answers = {
      'missing-post': await rpc(gateway.mcp, LIST, withId('missing-post')),
      'missing-get': await http('GET', gateway.mcp, withId('missing-get')),
      'missing-delete': await http('DELETE', `${gateway.mcp}/default`, withId('missing-delete')),
    };
    for (const answer of Object.values(answers)) {
      expectUnauthorized(answer);
      // RFC 6750 section 3.1: no error code when no credential was presented.
      expect(answer.headers['www-authenticate']).not.toContain('error=');
    }
    expect((await scrape(gateway, failures, adminToken.key)) - before).toBe(3);
    for (const [requestId, answer] of Object.entries(answers)) {
      const errorId = answer.json?.['error']?.['data']?.['error_id'];
      const lines = await recordsOf(gateway, requestId, key.key);
      expect(lines).toHaveLength(1);
      expect(lines[0]).toMatchObject({ event_type: 'auth_failure', decision: 'deny', reason: 'missing_credential', status: 401 });
      expect(lines[0]).toMatchObject({ error_id: errorId, client_ip: '127.0.0.1' });
      expect(lines[0]).not.toHaveProperty('identity');
      expect(gateway.stderr()).toContain(String(errorId));
    }
  });

  it('row 69: so is one on a path of endless length', async () => {
    const answer = await http('POST', `${gateway.mcp}/${'a'.repeat(8100)}`, {
      headers: { 'content-type': 'application/json' },
      body: '{}',
    });
    expect([answer.status, answer.headers['www-authenticate']]).toEqual([401, expect.stringMatching(/^Bearer resource_metadata="/)]);
    expect(gateway.stderr()).not.toContain('internal error');
  });

  it('row 69: the resource metadata it names is there, for everybody, and names the endpoint that was asked', async () => {
    for (const path of ['/mcp', '/mcp/default']) {
      const challenge = (await rpc(gateway.url + path, LIST)).headers['www-authenticate'] ?? '';
      const url = /resource_metadata="([^"]+)"/.exec(challenge)?.[1] ?? '';
      expect(url).toBe(`${gateway.url}/.well-known/oauth-protected-resource${path}`);
      const document = await http('GET', url);
      expect(document.status).toBe(200);
      expect(document.json).toMatchObject({ resource: gateway.url + path, bearer_methods_supported: ['header'] });
    }
  });

  it('row 70: a configured key is served, any other is 401 and never reaches the upstream', async () => {
    expect((await post(`Bearer ${key.key}`)).status).toBe(200);
    expect((await post(`Bearer ${other.key}`)).status).toBe(200);
    expect((await post(`Bearer ${lasting.key}`)).status).toBe(200);
    const seen = upstream.caused.length;
    const bad = {
      unknown: makeKey().key,
      expired: expired.key,
      'an admin token': adminToken.key,
      'the hash': key.hash,
      'the hash in hex': createHash('sha256').update(key.key).digest('hex'),
      'cut short': key.key.slice(0, -1),
      longer: `${key.key}A`,
      padded: `${key.key}=`,
      'without prefix': key.key.slice(4),
      'prefix in capitals': `MCP_${key.key.slice(4)}`,
      'another case': key.key.slice(0, 4) + swapCase(key.key.slice(4)),
      'only the prefix': 'mcp_',
      'an id': 'alice',
      'very long': 'a'.repeat(9_000),
      'a JWT that signs nothing': 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.',
    };
    for (const [name, token] of Object.entries(bad)) {
      const answer = await post(`Bearer ${token}`);
      expect([name, answer.status]).toEqual([name, 401]);
      expect(answer.headers['www-authenticate']).toContain('error="invalid_token"');
      expectUnauthorized(answer);
    }
    expect(upstream.caused).toHaveLength(seen);
  });

  it('row 70: an unknown, an expired and an admin credential are refused in the same words', async () => {
    const texts = new Set<string>();
    for (const token of [makeKey().key, expired.key, adminToken.key]) {
      const answer = await post(`Bearer ${token}`);
      texts.add(`${answer.status} ${answer.headers['www-authenticate']} ${answer.body.replace(/[0-9a-f-]{36}/, 'ID')}`);
    }
    expect([...texts]).toHaveLength(1);
  });

  it('row 70: the reason stands in the audit only, and successes and failures are counted per provider', async () => {
    const ok = 'mcp_guard_auth_total{provider="api_key",result="success"}';
    const bad = 'mcp_guard_auth_total{provider="api_key",result="failure"}';
    const before = [await scrape(gateway, ok, adminToken.key), await scrape(gateway, bad, adminToken.key)];
    await post(`Bearer ${key.key}`);
    const unknown = await post(`Bearer ${makeKey().key}`);
    const old = await post(`Bearer ${expired.key}`);
    expect([
      (await scrape(gateway, ok, adminToken.key)) - (before[0] ?? 0),
      (await scrape(gateway, bad, adminToken.key)) - (before[1] ?? 0),
    ]).toEqual([1, 2]);
    const reasonOf = async (answer: HttpAnswer): Promise<unknown> => {
      const id = answer.json?.['error']?.['data']?.['error_id'];
      const line = await waitUntil(async () => (await gateway.auditLines()).find((one) => one['error_id'] === id), { what: 'audit' });
      return line['reason'];
    };
    expect([await reasonOf(unknown), await reasonOf(old)]).toEqual(['invalid_credential', 'expired_credential']);
  });

  it('row 70: one success on a connection does not carry over to the next request on it', async () => {
    const body = JSON.stringify(LIST);
    const head = (authorization: string): string =>
      `POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n${authorization}\r\n${body}`;
    const { text } = await rawExchange(
      gateway.port,
      [head(`Authorization: Bearer ${key.key}\r\n`), head(''), head(`Authorization: Bearer ${key.key}\r\n`)],
      {
        gapMs: 150,
        quietMs: 600,
      },
    );
    const statuses = [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => status);
    expect(statuses).toEqual(['200', '401', '200']);
  });

  it('row 70: two Authorization lines are refused, whichever holds the good key', async () => {
    const body = JSON.stringify(LIST);
    for (const pair of [
      [key.key, makeKey().key],
      [makeKey().key, key.key],
      [key.key, key.key],
    ]) {
      const lines = pair.map((token) => `Authorization: Bearer ${token}\r\n`).join('');
      const { text } = await rawExchange(
        gateway.port,
        [
          `POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n${lines}\r\n${body}`,
        ],
        { quietMs: 500 },
      );
      expect(text).toMatch(/^HTTP\/1\.1 400 /);
    }
  });

  it('row 71: the scheme is read in any case and extra spaces are fine', async () => {
    for (const scheme of ['Bearer', 'bearer', 'BEARER', 'bEaReR']) expect((await post(`${scheme} ${key.key}`)).status).toBe(200);
    for (const value of [`Bearer    ${key.key}`, `  Bearer ${key.key}`, `Bearer ${key.key}   `, `bearer  ${key.key} `])
      expect([value.length, (await post(value)).status]).toEqual([value.length, 200]);
    expect((await rpc(gateway.mcp, LIST, { headers: { AUTHORIZATION: `bearer ${key.key}` } })).status).toBe(200);
  });

  it('row 71: other schemes and forms of the same key are no Bearer credential', async () => {
    const basic = Buffer.from(`alice:${key.key}`).toString('base64');
    const forms = [
      key.key,
      `Bearer${key.key}`,
      `Bearer:${key.key}`,
      `Bearer "${key.key}"`,
      `Bearer ${key.key},Bearer ${key.key}`,
      `Bearer ${key.key} extra`,
      `Bearer Bearer ${key.key}`,
      `Token ${key.key}`,
      `Basic ${basic}`,
      `Basic Bearer ${key.key}`,
      `XBearer ${key.key}`,
      `Bearer\t${key.key}`,
    ];
    for (const value of forms)
      expect([value.replace(key.key, 'KEY'), (await post(value)).status]).toEqual([value.replace(key.key, 'KEY'), 401]);
  });

  it('row 72: X-API-Key counts for nothing unless it is enabled', async () => {
    const alone = await rpc(gateway.mcp, LIST, { headers: { 'x-api-key': key.key } });
    expectUnauthorized(alone);
    expect(alone.headers['www-authenticate']).not.toContain('error=');
    expect((await rpc(gateway.mcp, LIST, { key: key.key, headers: { 'x-api-key': makeKey().key } })).status).toBe(200);
  });

  it('row 73: a key in the query is no credential, under whatever name, and stays out of every record', async () => {
    const seen = upstream.caused.length;
    const names = [
      'api_key',
      'apikey',
      'api-key',
      'key',
      'token',
      'access_token',
      'authorization',
      'Authorization',
      'bearer',
      'x-api-key',
      'auth',
    ];
    for (const name of names) {
      for (const value of [key.key, `Bearer%20${key.key}`]) {
        for (const path of ['/mcp', '/mcp/default']) expectUnauthorized(await rpc(`${gateway.url}${path}?${name}=${value}`, LIST));
      }
    }
    expectUnauthorized(await http('GET', `${gateway.mcp}?api_key=${key.key}`));
    expect((await http('GET', `${gateway.url}/metrics?api_key=${adminToken.key}`)).status).toBe(401);
    expect(upstream.caused).toHaveLength(seen);
    // With a credential where it belongs, a query is neither read nor passed on.
    expect((await rpc(`${gateway.mcp}?api_key=${other.key}`, LIST, { key: key.key })).status).toBe(200);
    expect(upstream.requests.at(-1)?.url).toBe('/mcp');
    await rpc(gateway.mcp, LIST, { key: key.key, headers: { 'x-request-id': 'after-the-queries' } });
    await waitUntil(async () => (await gateway.auditLines()).some((line) => line['request_id'] === 'after-the-queries'), { what: 'audit' });
    const told = JSON.stringify(await gateway.auditLines()) + gateway.stderr() + gateway.stdout();
    for (const secret of [key.key, other.key, adminToken.key]) expect(told).not.toContain(secret);
  });
});

describe('authentication by X-API-Key', () => {
  it('row 72: is accepted when enabled, alone or agreeing with the Bearer key', async () => {
    const gateway = await startGateway({ config: authConfig({ x_api_key_header: true, api_keys: STANDARD_KEYS }) });
    const post = (headers: Record<string, string>, bearer?: string): Promise<HttpAnswer> =>
      rpc(gateway.mcp, LIST, { headers, ...(bearer === undefined ? {} : { key: bearer }) });
    expect((await post({ 'x-api-key': key.key })).status).toBe(200);
    expect((await post({ 'X-API-KEY': key.key })).status).toBe(200);
    expect((await post({ 'x-api-key': key.key }, key.key)).status).toBe(200);
    expect((await post({}, key.key)).status).toBe(200);
    expect((await post({ 'x-api-key': '' }, key.key)).status).toBe(200);
    for (const value of [makeKey().key, expired.key, `Bearer ${key.key}`, `${key.key},${key.key}`, 'x', key.hash])
      expectUnauthorized(await post({ 'x-api-key': value }));
    // A contradiction is refused, whichever of the two would have done.
    expectUnauthorized(await post({ 'x-api-key': makeKey().key }, key.key));
    expectUnauthorized(await post({ 'x-api-key': key.key }, makeKey().key));
    expectUnauthorized(await post({ 'x-api-key': other.key }, key.key));
    expectUnauthorized(await post({ 'x-api-key': key.key, authorization: 'Basic YTpi' }));
    expectUnauthorized(await post({ 'x-api-key': '' }));
    expect(upstream.requests.every(({ headers }) => headers['x-api-key'] === undefined && headers.authorization === undefined)).toBe(true);
    await gateway.stop();
  });
});

describe('stored key hashes', () => {
  const digest = createHash('sha256').update(key.key).digest();
  const base64 = digest.toString('base64');
  const hex = digest.toString('hex');

  it('row 74: 44 characters of base64, and sha256: with hex or base64, all authenticate the same key', async () => {
    const keys = [makeKey(), makeKey(), makeKey(), makeKey()];
    const forms = keys.map(({ key: text }, index) => {
      const bytes = createHash('sha256').update(text).digest();
      const form = [
        bytes.toString('base64'),
        `sha256:${bytes.toString('hex')}`,
        `sha256:${bytes.toString('hex').toUpperCase()}`,
        `sha256:${bytes.toString('base64')}`,
      ][index];
      return { id: `k${index}`, key_hash: form, allowed_tools: ['*'] };
    });
    expect(forms[0]?.key_hash).toHaveLength(44);
    const gateway = await startGateway({ config: authConfig({ api_keys: forms }) });
    for (const [index, { key: text }] of keys.entries()) {
      expect((await rpc(gateway.mcp, LIST, { key: text })).status).toBe(200);
      const name = `k${index}`;
      await waitUntil(async () => (await gateway.auditLines()).some((line) => line['identity'] === name), { what: `a record of ${name}` });
    }
    for (const { key_hash: form } of forms) expect((await rpc(gateway.mcp, LIST, { key: String(form) })).status).toBe(401);
    await gateway.stop();
  });

  it('row 74: a malformed hash, and one given twice in two forms, is a validate error that names the entry', async () => {
    const dir = await tempDir();
    const validate = async (hashes: readonly string[]): Promise<{ code: number | null; stderr: string }> => {
      const api_keys = hashes.map((key_hash, index) => ({ id: `k${index}`, key_hash, allowed_tools: ['*'] }));
      await writeFile(join(dir, 'c.json'), JSON.stringify({ upstream: { command: process.execPath }, auth: { api_keys } }));
      return await runCli(['-c', 'c.json', 'validate'], { cwd: dir });
    };
    expect(await validate([base64])).toMatchObject({ code: 0 });
    const lowBits = base64.slice(0, 42) + String.fromCharCode(base64.charCodeAt(42) + 1) + '=';
    const malformed = [
      '',
      base64.slice(0, 43),
      `${base64}=`,
      base64.slice(1),
      digest.toString('base64url'),
      hex,
      `sha256:${hex.slice(1)}`,
      `sha256:${hex}0`,
      `sha256:${hex.replace(/^./, 'g')}`,
      `SHA256:${hex}`,
      `sha512:${hex}`,
      `md5:${hex}`,
      'sha256:',
      `sha256: ${hex}`,
      ` ${base64}`,
      lowBits,
      key.key,
    ];
    // All at once: every one of them is named.
    const refused = await validate(malformed);
    expect(refused.code).toBe(1);
    for (const index of malformed.keys()) expect(refused.stderr).toContain(`auth.api_keys[${index}].key_hash`);
    expect(refused.stderr).not.toContain(key.key);
    const { code, stderr } = await validate([base64, `sha256:${hex}`]);
    expect(code).toBe(1);
    expect(stderr).toContain('auth.api_keys[1].key_hash');
  });
});

describe('the number of keys', () => {
  it('row 75: 10,000 keys behave as one does: the first, the last and any other are known, all others refused', async () => {
    const keys = Array.from({ length: 10_000 }, makeKey);
    const gateway = await startGateway({ config: authConfig({ api_keys: keys.map((one, index) => keyEntry(`user-${index}`, one)) }) });
    const alone = await startGateway({ config: authConfig({ api_keys: [keyEntry('user-0', keys[0] ?? key)] }) });
    const statusOf = async (of: Gateway, token: string): Promise<number> => (await rpc(of.mcp, LIST, { key: token })).status;
    for (const index of [0, 1, 4_999, 9_998, 9_999]) expect(await statusOf(gateway, keys[index]?.key ?? '')).toBe(200);
    expect(await statusOf(alone, keys[0]?.key ?? '')).toBe(200);
    const near = [makeKey().key, `${keys[0]?.key}x`, keys[9_999]?.key.slice(0, -1) ?? '', keys[0]?.hash ?? ''];
    for (const token of near) expect([await statusOf(gateway, token), await statusOf(alone, token)]).toEqual([401, 401]);
    await waitUntil(async () => (await gateway.auditLines()).some((line) => line['identity'] === 'user-9999'), {
      what: 'the last key known by its id',
    });
    expect((await rpc(gateway.mcp, toolCall('echo', { n: 1 }), { key: keys[5_000]?.key ?? '' })).status).toBe(200);
    await Promise.all([gateway.stop(), alone.stop()]);
  });
});

function swapCase(text: string): string {
  return text.replace(/[a-zA-Z]/g, (letter) => (letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase()));
}
