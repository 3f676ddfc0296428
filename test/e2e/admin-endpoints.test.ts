import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Gateway,
  type HttpAnswer,
  http,
  keyEntry,
  makeKey,
  recordsOf,
  rpc,
  rpcRequest,
  runCli,
  startGateway,
  stdioUpstream,
  tempDir,
  toolCall,
} from './harness.ts';
import { expectPlainError, expectRpcError } from './refusals.ts';

const ENDPOINTS = ['/metrics', '/routes', '/admin/api/limits'] as const;

const user = makeKey();
const admin = makeKey();
const lapsed = makeKey();
const token = makeKey();
const hexToken = makeKey();

const AUTH = {
  x_api_key_header: true,
  api_keys: [
    keyEntry('user', user, { roles: ['auditor', 'Admin', 'administrator'] }),
    keyEntry('admin', admin, { roles: ['admin'], allowed_tools: [] }),
    keyEntry('lapsed', lapsed, { roles: ['admin'], expires_at: '2020-01-01' }),
  ],
};
const TOKENS = [token.hash, `sha256:${createHash('sha256').update(hexToken.key).digest('hex')}`];

function answersAsItShould(path: string, answer: HttpAnswer): void {
  expect([path, answer.status]).toEqual([path, 200]);
  if (path === '/metrics') expect(answer.body).toContain('# TYPE mcp_guard_requests_total counter');
  else if (path === '/admin/api/limits') expect(answer.json).toMatchObject({ buckets: expect.any(Array), authority: { kind: 'worker' } });
  else expect(answer.json).toMatchObject({ routes: [{ name: 'default', transport: 'stdio', health: 'ready' }] });
}

describe.each(['uws', 'node'] as const)('admin endpoints on the main listener (%s)', (engine) => {
  let gateway: Gateway;

  beforeAll(async () => {
    gateway = await startGateway({
      config: { server: { engine, admin: { tokens: TOKENS } }, auth: AUTH, rate_limit: { burst_size: 1_000 }, upstream: stdioUpstream() },
    });
  });

  const get = (path: string, key?: string): Promise<HttpAnswer> => http('GET', gateway.url + path, key === undefined ? {} : { key });

  it.each(ENDPOINTS)('%s is 401 for nobody and for whom nobody knows, with a challenge', async (path) => {
    for (const key of [undefined, makeKey().key, lapsed.key, token.hash, 'admin']) {
      const answer = await get(path, key);
      expectPlainError(answer, 401);
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer resource_metadata=/);
      expect(answer.body).not.toContain('mcp_guard');
    }
  });

  it.each(ENDPOINTS)('%s is 403 for an ordinary principal, whatever its other roles are called', async (path) => {
    const answer = await get(path, user.key);
    expectPlainError(answer, 403);
    expect((await http('GET', gateway.url + path, { headers: { 'x-api-key': user.key } })).status).toBe(403);
  });

  it.each(ENDPOINTS)('%s is served to a principal with the role and to each of the admin tokens', async (path) => {
    for (const key of [admin.key, token.key, hexToken.key]) answersAsItShould(path, await get(path, key));
    answersAsItShould(path, await http('GET', gateway.url + path, { headers: { 'x-api-key': token.key } }));
    answersAsItShould(path, await http('GET', `${gateway.url}${path}?x=1`, { key: admin.key }));
  });

  it.each(ENDPOINTS)('%s answers no other spelling, method or place of the credential', async (path) => {
    for (const other of [
      `${path}/`,
      `/${path}`,
      path.toUpperCase(),
      `${path}.json`,
      `/admin${path}`,
      `${path};a`,
      path.replace(/[ei]/, (char) => `%${char.charCodeAt(0).toString(16)}`),
    ]) {
      expect([other, (await get(other, admin.key)).status]).not.toEqual([other, 200]);
    }
    const posted = await http('POST', gateway.url + path, { key: admin.key, body: '' });
    expect([posted.status, posted.headers.allow]).toEqual([405, 'GET, HEAD']);
    for (const query of [`api_key=${token.key}`, `token=${token.key}`, `authorization=Bearer%20${token.key}`])
      expectPlainError(await get(`${path}?${query}`), 401);
    expect((await http('HEAD', gateway.url + path)).status).toBe(401);
    expect((await http('HEAD', gateway.url + path, { key: token.key })).body).toBe('');
  });

  it('an admin token is no credential at /mcp, for any method', async () => {
    for (const { key } of [token, hexToken]) {
      for (const message of [rpcRequest('initialize'), rpcRequest('tools/list'), rpcRequest('ping'), toolCall('echo')])
        expectRpcError(await rpc(gateway.mcp, message, { key }), 401, -31401);
      expectRpcError(await rpc(gateway.mcp, toolCall('echo'), { headers: { 'x-api-key': key } }), 401, -31401);
      for (const method of ['GET', 'DELETE']) expectRpcError(await http(method, gateway.mcp, { key }), 401, -31401);
    }
    // The role gives no tools either, and takes none of the rest away.
    expect((await rpc(gateway.mcp, toolCall('echo'), { key: admin.key })).status).toBe(403);
    expect((await rpc(gateway.mcp, rpcRequest('tools/list'), { key: admin.key })).json?.['result']?.['tools']).toEqual([]);
    expect((await rpc(gateway.mcp, toolCall('echo'), { key: user.key })).status).toBe(200);
  });

  it('what an admin does and what is refused is one audit record each', async () => {
    const records: unknown[] = [];
    for (const [requestId, key] of [
      ['by-nobody', undefined],
      ['by-user', user.key],
      ['by-admin', admin.key],
      ['by-token', token.key],
    ] as const) {
      await http('GET', `${gateway.url}/routes`, { headers: { 'x-request-id': requestId }, ...(key === undefined ? {} : { key }) });
      const lines = (await recordsOf(gateway, requestId, user.key)).filter((line) => line['event_type'] !== 'auth_success');
      records.push(...lines.map(({ event_type, identity, decision, status }) => [event_type, identity, decision, status]));
    }
    expect(records).toEqual([
      ['auth_failure', undefined, 'deny', 401],
      ['authz_denied', 'user', 'deny', 403],
      ['admin_action', 'admin', 'allow', 200],
      ['admin_action', 'admin-token-1', 'allow', 200],
    ]);
  });

  it('the open endpoints stay open', async () => {
    for (const path of ['/health', '/healthz', '/live', '/ready']) {
      for (const key of [undefined, user.key, makeKey().key]) expect([path, (await get(path, key)).status]).toEqual([path, 200]);
    }
  });
});

describe.each([0, 1])('a separate admin listener (%i workers)', (workers) => {
  it('serves them without a credential, and the main one knows nothing of them any more', async () => {
    const gateway = await startGateway({ config: { server: { workers, admin: { port: 0 } }, auth: AUTH, upstream: stdioUpstream() } });
    expect(gateway.adminUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    for (const path of ENDPOINTS) {
      answersAsItShould(path, await http('GET', `${gateway.adminUrl}${path}`));
      for (const key of [undefined, user.key, admin.key]) {
        const answer = await http('GET', gateway.url + path, key === undefined ? {} : { key });
        expectPlainError(answer, 404);
      }
    }
    // It serves no MCP, not even to those who may.
    for (const path of ['/mcp', '/mcp/default'])
      expect((await rpc(gateway.adminUrl + path, rpcRequest('ping'), { key: user.key })).status).toBe(404);
    expect((await http('GET', `${gateway.adminUrl}/health`)).status).toBe(200);
    // A page that rebinds its name to loopback gets nothing from it.
    for (const headers of [{ host: 'evil.example' }, { origin: 'https://evil.example' }])
      expect((await http('GET', `${gateway.adminUrl}/metrics`, { headers })).status).toBe(403);
    await gateway.stop();
    await expect(http('GET', `${gateway.adminUrl}/health`)).rejects.toThrow('ECONNREFUSED');
  });

  it('asks for a credential when tokens are configured', async () => {
    const gateway = await startGateway({
      config: { server: { workers, admin: { port: 0, tokens: TOKENS } }, auth: AUTH, upstream: stdioUpstream() },
    });
    for (const path of ENDPOINTS) {
      expectPlainError(await http('GET', `${gateway.adminUrl}${path}`), 401);
      expectPlainError(await http('GET', `${gateway.adminUrl}${path}`, { key: user.key }), 403);
      for (const key of [token.key, hexToken.key, admin.key])
        answersAsItShould(path, await http('GET', `${gateway.adminUrl}${path}`, { key }));
      expectPlainError(await http('GET', gateway.url + path, { key: token.key }), 404);
    }
    expectRpcError(await rpc(gateway.mcp, rpcRequest('ping'), { key: token.key }), 401, -31401);
    await gateway.stop();
  });
});

describe('the configuration of admin endpoints', () => {
  it.each([
    ['a plain token', { tokens: [token.key] }, 'server.admin.tokens[0]'],
    ['a malformed hash', { tokens: [token.hash, 'abc'] }, 'server.admin.tokens[1]'],
    ['a listener for others without a token', { host: '0.0.0.0', port: 9_000 }, 'server.admin.host'],
    ['the port of the main listener', { port: 3_000 }, 'server.admin.port'],
    ['a host without a port', { host: '127.0.0.1' }, 'server.admin.host'],
  ])('%s is a validate error that does not repeat it', async (_name, admin_, path) => {
    const dir = await tempDir();
    const config = { server: { admin: admin_ }, auth: { api_keys: [keyEntry('user', user)] }, upstream: { command: process.execPath } };
    await writeFile(join(dir, 'a.json'), JSON.stringify(config));
    const { code, stderr } = await runCli(['-c', 'a.json', 'validate'], { cwd: dir });
    expect(code).toBe(1);
    expect(stderr).toContain(path);
    expect(stderr).not.toContain(token.key);
  });
});
