import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  http,
  keyEntry,
  makeKey,
  REPOSITORY,
  readRecord,
  rpc,
  startGateway,
  startHttpUpstream,
  stdioUpstream,
  tempDir,
  toolCall,
  waitUntil,
  type Gateway,
  type HttpAnswer,
} from './harness.ts';
import { expectPlainError, expectRpcError, UUID } from './refusals.ts';

const key = makeKey();
const admin = makeKey();
const token = makeKey();
const auth = { api_keys: [keyEntry('alice', key), keyEntry('root', admin, { roles: ['admin'] })] };

async function version(): Promise<unknown> {
  return (JSON.parse(await readFile(join(REPOSITORY, 'package.json'), 'utf8')) as { version: string }).version;
}

/** Waits until `/ready` has this status, and says how long that took. */
async function readyWhen(
  gateway: Gateway,
  status: number,
  timeoutMs: number,
): Promise<{ readonly answer: HttpAnswer; readonly tookMs: number }> {
  const startMs = performance.now();
  const answer = await waitUntil(
    async () => {
      const got = await http('GET', `${gateway.url}/ready`);
      return got.status === status ? got : undefined;
    },
    { what: `/ready ${status}`, timeoutMs, describe: gateway.stderr },
  );
  return { answer, tookMs: performance.now() - startMs };
}

describe.each(['uws', 'node'])('the health endpoints of the %s engine', (engine) => {
  let gateway: Gateway;
  beforeAll(async () => {
    gateway = await startGateway({ config: { server: { engine }, auth, upstream: stdioUpstream() } });
  });

  it.each(['/health', '/healthz'])('row 54: GET %s is 200 with status, version and uptime for everybody', async (path) => {
    const answer = await http('GET', gateway.url + path);
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toBe('application/json');
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(answer.json).toEqual({ status: 'healthy', version: await version(), uptime_secs: expect.any(Number) as number });
    expect(Number.isInteger(answer.json['uptime_secs'])).toBe(true);
  });

  it('row 54: the uptime is that of the gateway and grows', async () => {
    const uptime = async (): Promise<number> => Number((await http('GET', `${gateway.url}/health`)).json['uptime_secs']);
    const first = await uptime();
    expect(first).toBeLessThan(60);
    expect(await waitUntil(async () => ((await uptime()) > first ? true : undefined), { what: 'a second more' })).toBe(true);
  });

  it('row 55: GET /live is 200 and alive for everybody', async () => {
    const answer = await http('GET', `${gateway.url}/live`);
    expect([answer.status, answer.json]).toEqual([200, { status: 'alive' }]);
  });

  it('answers health checks alike: a query, a credential or a HEAD changes nothing, a trailing slash does', async () => {
    for (const path of ['/health', '/healthz', '/live', '/ready']) {
      expect((await http('GET', `${gateway.url + path}?x=1`, { key: 'mcp_nonsense' })).status).toBe(200);
      const head = await http('HEAD', gateway.url + path);
      expect([head.status, head.body, Number(head.headers['content-length']) > 0]).toEqual([200, '', true]);
      expectPlainError(await http('GET', `${gateway.url + path}/`), 404);
      const posted = await http('POST', gateway.url + path, { body: '{}' });
      expectPlainError(posted, 405);
      expect(posted.headers['allow']).toBe('GET, HEAD');
    }
  });

  it('row 56: /ready is 200 with the version while the upstream is connected', async () => {
    const { answer } = await readyWhen(gateway, 200, 100);
    expect(answer.json).toEqual({ ready: true, version: await version() });
  });
});

describe('/ready', () => {
  it('row 56: a required child that exits on every start makes it 503 with a reason, and it recovers with the child', async () => {
    const dir = await tempDir();
    const [marker, recordFile] = [join(dir, 'broken'), join(dir, 'record')];
    const gateway = await startGateway({
      config: {
        server: { workers: 2 },
        auth,
        upstream: { servers: [{ name: 'files', ...stdioUpstream({ exitIfFile: marker, recordFile }) }] },
      },
    });
    await writeFile(marker, '');
    const { pids } = await readRecord(recordFile);
    expect(pids).toHaveLength(2);
    // One worker's child is enough: requests may reach that worker.
    process.kill(Number(pids[0]), 'SIGKILL');
    const { answer, tookMs } = await readyWhen(gateway, 503, 5000);
    expect(tookMs).toBeLessThan(5000);
    expect(answer.json).toEqual({
      ready: false,
      version: await version(),
      reason: 'upstream not ready: files',
      error_id: expect.stringMatching(UUID) as string,
    });
    expect(gateway.stderr()).toContain(String(answer.json['error_id']));
    expect((await http('GET', `${gateway.url}/health`)).status).toBe(200);
    expect((await http('GET', `${gateway.url}/live`)).status).toBe(200);
    await rm(marker);
    await readyWhen(gateway, 200, 10_000);
    expect((await rpc(`${gateway.mcp}/files`, toolCall('echo'), { key: key.key })).status).toBe(200);
  });

  it('row 56: a child that never came up is 503 from the start; the reason names the server, not its command', async () => {
    const gateway = await startGateway({
      config: { auth, upstream: { servers: [{ name: 'broken', ...stdioUpstream({ exitCode: 3 }) }] } },
      isReadyAwaited: false,
    });
    const { answer } = await readyWhen(gateway, 503, 1000);
    const later = await waitUntil(
      async () => {
        const { json } = await http('GET', `${gateway.url}/ready`);
        return String(json['reason']).includes('broken') ? json : undefined;
      },
      { what: 'the reason' },
    );
    expect(later['reason']).toBe('upstream not ready: broken');
    expect(answer.body + JSON.stringify(later)).not.toMatch(/node|\/|exit/);
    // Five seconds of restarts later it is still no constant and still not ready.
    expect((await http('GET', `${gateway.url}/ready`)).status).toBe(503);
    expectRpcError(await rpc(gateway.mcp, toolCall('echo', {}, 1), { key: key.key }), 503, -31503, 1);
  });

  it('row 56: an HTTP upstream that goes away makes it 503 within five seconds without any traffic, and it recovers', async () => {
    const upstream = await startHttpUpstream();
    const gateway = await startGateway({
      config: { auth, upstream: { transport: 'http', url: upstream.url, allow_private_networks: true } },
    });
    await upstream.close();
    const { tookMs } = await readyWhen(gateway, 503, 5000);
    expect(tookMs).toBeLessThan(5000);
    await startHttpUpstream({ port: upstream.port });
    await readyWhen(gateway, 200, 10_000);
    expect((await rpc(gateway.mcp, toolCall('echo'), { key: key.key })).status).toBe(200);
  });

  it('row 56: an upstream that is not required does not count', async () => {
    const gateway = await startGateway({
      config: {
        auth,
        upstream: {
          servers: [
            { name: 'good', ...stdioUpstream() },
            { name: 'optional', required: false, ...stdioUpstream({ exitCode: 1 }) },
          ],
        },
      },
    });
    await readyWhen(gateway, 200, 1000);
    const routes = await waitUntil(
      async () => {
        const { json } = await http('GET', `${gateway.url}/routes`, { key: admin.key });
        return json['routes']?.['1']?.['health'] === ('down' as unknown) ? json : undefined;
      },
      { what: 'the optional server to be down' },
    );
    expect(routes['routes']?.['0']?.['health']).toBe('ready');
    expect((await http('GET', `${gateway.url}/ready`)).status).toBe(200);
  });
});

describe('/routes', () => {
  let single: Gateway;
  let several: Gateway;
  beforeAll(async () => {
    const upstream = await startHttpUpstream();
    [single, several] = await Promise.all([
      startGateway({ config: { auth, upstream: stdioUpstream() } }),
      startGateway({
        config: {
          server: { admin: { port: 0, tokens: [token.hash] } },
          auth,
          upstream: {
            servers: [
              { name: 'files', path_prefix: '/fs', ...stdioUpstream() },
              { name: 'web', transport: 'http', url: upstream.url, allow_private_networks: true },
              { name: 'gone', path_prefix: '/', required: false, transport: 'stdio', command: 'no-such-command-anywhere' },
            ],
          },
        },
      }),
    ]);
  });

  it('row 57: a single upstream is one entry', async () => {
    const answer = await http('GET', `${single.url}/routes`, { key: admin.key });
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toBe('application/json');
    expect(answer.json['routes']).toMatchObject([
      { name: 'default', prefix: null, transport: 'stdio', required: true, health: 'ready', detail: null },
    ]);
    expect(answer.json['routes']).toHaveLength(1);
  });

  it('row 57: several are listed in the order of the configuration with name, prefix, transport and health', async () => {
    const { json } = await http('GET', `${String(several.adminUrl)}/routes`, { key: token.key });
    expect(json['routes']).toMatchObject([
      { name: 'files', prefix: '/fs', transport: 'stdio', health: 'ready' },
      { name: 'web', prefix: null, transport: 'http', health: 'ready' },
      { name: 'gone', prefix: '/', transport: 'stdio', health: 'down' },
    ]);
    expect(json['routes']?.['2']?.['detail']).toContain('no-such-command-anywhere');
  });

  it('row 57: it needs an admin: nobody 401, a wrong key 401, an ordinary one 403', async () => {
    const url = `${single.url}/routes`;
    const nobody = await http('GET', url);
    expectPlainError(nobody, 401);
    expect(nobody.headers['www-authenticate']).toMatch(/^Bearer /);
    expectPlainError(await http('GET', url, { key: makeKey().key }), 401);
    expectPlainError(await http('GET', url, { key: key.key }), 403);
    expectPlainError(await http('GET', url, { key: admin.key, headers: { authorization: `Basic ${btoa(`root:${admin.key}`)}` } }), 401);
    for (const method of ['POST', 'DELETE']) {
      const answer = await http(method, url, { key: admin.key, ...(method === 'POST' && { body: '' }) });
      expectPlainError(answer, 405);
      expect(answer.headers['allow']).toBe('GET, HEAD');
    }
  });

  it('row 57: with an admin listener the main one knows nothing of it, and the admin one nothing of /mcp', async () => {
    expectPlainError(await http('GET', `${several.url}/routes`, { key: admin.key }), 404);
    expectPlainError(await http('GET', `${String(several.adminUrl)}/routes`), 401);
    expectPlainError(await http('GET', `${String(several.adminUrl)}/routes`, { key: key.key }), 403);
    const call = await rpc(`${String(several.adminUrl)}/mcp/files`, toolCall('echo'), { key: key.key });
    expect(call.status).toBe(404);
    expect((await http('GET', `${String(several.adminUrl)}/health`)).status).toBe(200);
  });
});
