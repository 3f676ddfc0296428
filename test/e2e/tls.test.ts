import { copyFile, readFile, rename, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type ConnectionOptions, type PeerCertificate, type TLSSocket } from 'node:tls';
import { beforeAll, describe, expect, it } from 'vitest';
import { recordsOf } from './records.ts';
import {
  http,
  keyEntry,
  makeKey,
  rawExchange,
  rpc,
  rpcRequest,
  runCli,
  runProgram,
  startGateway,
  startHttpUpstream,
  tempDir,
  toolCall,
  toolText,
  waitUntil,
  within,
  type Gateway,
} from './harness.ts';

const KEY = makeKey();
const ADMIN = makeKey();
const auth = { api_keys: [keyEntry('alice', KEY), keyEntry('root', ADMIN, { roles: ['admin'] })] };

let pool: string;
let upstream: Record<string, unknown>;

/** A key and a self-signed certificate for localhost, made by openssl: `<name>.key`, `<name>.crt` in the pool. */
async function makeCertificate(name: string): Promise<void> {
  const words =
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -addext subjectAltName=DNS:localhost,IP:127.0.0.1';
  const files = ['-keyout', `${name}.key`, '-out', `${name}.crt`, '-subj', `/CN=${name}`];
  const { code, stderr } = await runProgram('openssl', [...words.split(' '), ...files], { cwd: pool });
  expect([code, code === 0 ? '' : stderr]).toEqual([0, '']);
}

beforeAll(async () => {
  pool = await tempDir();
  for (const name of ['first', 'second', 'third']) await makeCertificate(name);
  upstream = { transport: 'http', url: (await startHttpUpstream()).url, allow_private_networks: true };
});

/** Puts a certificate and its key where the gateway looks for them, as a renewal does: both complete, by rename. */
async function install(dir: string, name: string, parts: readonly ('crt' | 'key')[] = ['key', 'crt']): Promise<void> {
  for (const part of parts) {
    await copyFile(join(pool, `${name}.${part}`), join(dir, `next.${part}`));
    await rename(join(dir, `next.${part}`), join(dir, `server.${part}`));
  }
}

const TLS = { cert_path: 'server.crt', key_path: 'server.key' };

async function startTls(server: Readonly<Record<string, unknown>> = {}, tls: Readonly<Record<string, unknown>> = {}): Promise<Gateway> {
  const dir = await tempDir();
  await install(dir, 'first');
  return await startGateway({
    dir,
    config: { auth, server: { tls: { ...TLS, ...tls }, ...server }, upstream, logging: { format: 'json' } },
  });
}

/** One handshake; rejects when it fails. */
function handshake(port: number, options: ConnectionOptions = {}): Promise<{ protocol: string; certificate: PeerCertificate }> {
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options }, () => {
      resolve({ protocol: socket.getProtocol() ?? '', certificate: socket.getPeerCertificate() });
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

/** The version that a client gets from a server which allows everything. */
async function speaksWithOldServer(version: 'TLSv1.1' | 'TLSv1', options: ConnectionOptions): Promise<string> {
  const [cert, key] = await Promise.all(['first.crt', 'first.key'].map((name) => readFile(join(pool, name))));
  const server = createServer({ cert, key, minVersion: 'TLSv1', ciphers: 'ALL@SECLEVEL=0' });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    return (await handshake(port, { minVersion: version, maxVersion: version, ...options })).protocol;
  } finally {
    server.close();
  }
}

async function nameServed(port: number): Promise<string> {
  return String((await handshake(port)).certificate.subject.CN);
}

describe('TLS', () => {
  let gateway: Gateway;
  beforeAll(async () => {
    gateway = await startTls();
  });

  it('row 226: certificate and key serve https, with everything that http serves', async () => {
    expect(gateway.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
    expect(toolText(await rpc(gateway.mcp, toolCall('echo', { a: 1 }), { key: KEY.key }))).toContain('"a":1');
    expect((await rpc(gateway.mcp, toolCall('echo'))).status).toBe(401);
    expect((await http('GET', `${gateway.url}/health`)).json).toMatchObject({ status: 'healthy' });
    const routes = await http('GET', `${gateway.url}/routes`, { key: ADMIN.key });
    expect(routes.status).toBe(200);
    const answer = await rpc(gateway.mcp, rpcRequest('ping'), { key: KEY.key, headers: { 'x-request-id': 'over-tls' } });
    expect(answer.headers['x-request-id']).toBe('over-tls');
    expect(await recordsOf(gateway, 'over-tls', KEY.key)).toHaveLength(1);
  });

  it('row 226: a client that checks the certificate is satisfied', async () => {
    const ca = await readFile(join(pool, 'first.crt'));
    const status = await new Promise((resolve, reject) => {
      const sent = request({ host: 'localhost', port: gateway.port, path: '/health', ca, family: 4 }, (response) =>
        resolve(response.statusCode),
      );
      sent.on('error', reject);
      sent.end();
    });
    expect(status).toBe(200);
  });

  it('row 226: every answer carries HSTS, refusals and event streams too; without TLS none does', async () => {
    const hsts = 'max-age=31536000';
    const answers = [
      await http('GET', `${gateway.url}/health`),
      await http('GET', `${gateway.url}/no/such`),
      await rpc(gateway.mcp, toolCall('echo')),
      await rpc(gateway.mcp, toolCall('echo'), { key: KEY.key }),
      await rpc(gateway.mcp, toolCall('echo'), { key: KEY.key, headers: { accept: 'text/event-stream' } }),
      await http('GET', `${gateway.url}/health`, { headers: { host: 'evil.example' } }),
    ];
    expect(answers.map(({ headers }) => headers['strict-transport-security'])).toEqual(answers.map(() => hsts));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 401, 403, 404]));
    const plain = await startGateway({ config: { auth, server: { engine: 'node' }, upstream } });
    expect((await http('GET', `${plain.url}/health`)).headers['strict-transport-security']).toBeUndefined();
    await plain.stop();
  });

  it('row 226: TLS 1.2 and 1.3 are spoken, 1.1 and 1.0 are refused', async () => {
    const weak = { ciphers: 'ALL@SECLEVEL=0' };
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      expect((await handshake(gateway.port, { minVersion: version, maxVersion: version })).protocol).toBe(version);
    }
    for (const version of ['TLSv1.1', 'TLSv1'] as const) {
      // The same client does speak it with a server that allows it.
      expect(await speaksWithOldServer(version, weak)).toBe(version);
      const attempt = handshake(gateway.port, { minVersion: version, maxVersion: version, ...weak });
      await expect(attempt).rejects.toThrow(/alert|version|protocol|disconnected|ECONNRESET/i);
    }
    const forced = await runProgram('openssl', [
      's_client',
      '-connect',
      `127.0.0.1:${gateway.port}`,
      '-tls1_1',
      '-cipher',
      'ALL@SECLEVEL=0',
    ]);
    expect(forced.code).not.toBe(0);
    expect(forced.stdout).not.toMatch(/Verify return code[\s\S]*DONE|Cipher is (?!\(NONE\))/);
    expect(await nameServed(gateway.port)).toBe('first');
  });

  it('row 226: ciphers without authentication, encryption or strength are not offered', async () => {
    for (const ciphers of ['aNULL', 'eNULL', 'RC4', '3DES', 'EXPORT', 'NULL-SHA256', 'DES-CBC3-SHA']) {
      const attempt = (async () => handshake(gateway.port, { maxVersion: 'TLSv1.2', ciphers: `${ciphers}:@SECLEVEL=0` }))();
      await expect(attempt, ciphers).rejects.toThrow(/alert|cipher|handshake|protocol|no match|ECONNRESET/i);
    }
  });

  it('row 226: plain HTTP on the TLS port is not served, and harms nobody', async () => {
    const body = JSON.stringify(toolCall('echo'));
    const head = `POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${KEY.key}\r\nContent-Type: application/json\r\n`;
    for (const bytes of [`${head}Content-Length: ${body.length}\r\n\r\n${body}`, Buffer.alloc(3000, 0xff), '\x16\x03\x01\xff\xff', '']) {
      const { text } = await rawExchange(gateway.port, [bytes], { quietMs: 300 });
      expect(text).not.toContain('200 OK');
      expect(text).not.toContain('result');
    }
    expect((await rpc(gateway.mcp, rpcRequest('ping'), { key: KEY.key })).status).toBe(200);
  });

  it('row 226: min_version TLSv1.3 refuses 1.2', async () => {
    const strict = await startTls({}, { min_version: 'TLSv1.3' });
    await expect(handshake(strict.port, { maxVersion: 'TLSv1.2' })).rejects.toThrow(/alert|version|protocol/i);
    expect((await handshake(strict.port)).protocol).toBe('TLSv1.3');
    await strict.stop();
  });
});

describe('a certificate that changes on disk', () => {
  it('row 226: is served by every worker within seconds, without a restart and without a lost request', async () => {
    const gateway = await startTls({ workers: 2 });
    const pid = gateway.pid;
    let isOver = false;
    const statuses: number[] = [];
    const load = (async () => {
      while (!isOver) statuses.push((await rpc(gateway.mcp, rpcRequest('ping'), { key: ADMIN.key })).status);
    })();
    await install(gateway.dir, 'second');
    await waitUntil(
      async () => (await Promise.all(Array.from({ length: 12 }, () => nameServed(gateway.port)))).every((name) => name === 'second'),
      {
        what: 'the second certificate from all workers',
        timeoutMs: 15_000,
        describe: () => gateway.stderr(),
      },
    );
    isOver = true;
    await load;
    expect(statuses.length).toBeGreaterThan(5);
    expect(new Set(statuses.filter((status) => status !== 429))).toEqual(new Set([200]));
    expect(gateway.pid).toBe(pid);
    await waitUntil(() => gateway.stderr().split('certificate reloaded').length === 3, { what: 'both workers say so' });
    const metrics = (await http('GET', `${gateway.url}/metrics`, { key: ADMIN.key })).body;
    expect(metrics).toContain('mcp_guard_reloads_total{what="certificate",result="success"} 2');
    await gateway.stop();
  });

  it('row 226: is kept out while it does not work, the old one stays in use, and the log says so', async () => {
    const gateway = await startTls();
    const failures = (): number => gateway.stderr().split('certificate could not be reloaded').length - 1;
    // A renewal that writes one file before the other: the pair does not match for a while.
    await install(gateway.dir, 'second', ['crt']);
    await waitUntil(() => failures() === 1, { what: 'the mismatch is reported', timeoutMs: 10_000, describe: () => gateway.stderr() });
    expect(await nameServed(gateway.port)).toBe('first');
    await writeFile(join(gateway.dir, 'server.crt'), 'garbage\n');
    await waitUntil(() => failures() === 2, { what: 'the garbage is reported', timeoutMs: 10_000 });
    expect(await nameServed(gateway.port)).toBe('first');
    await install(gateway.dir, 'third');
    await waitUntil(async () => (await nameServed(gateway.port)) === 'third', { what: 'the third certificate', timeoutMs: 10_000 });
    expect((await rpc(gateway.mcp, rpcRequest('ping'), { key: KEY.key })).status).toBe(200);
    expect(gateway.stderr()).not.toContain('PRIVATE KEY');
    await gateway.stop();
  });
});

describe('certificates that cannot be served', () => {
  it.each([
    ['no such certificate', { cert_path: 'missing.crt', key_path: 'first.key' }, /cert_path.*missing|missing\.crt|does not exist/],
    ['no such key', { cert_path: 'first.crt', key_path: 'missing.key' }, /key_path/],
    ['a folder', { cert_path: '.', key_path: 'first.key' }, /cert_path/],
    ['the key of another certificate', { cert_path: 'first.crt', key_path: 'second.key' }, /key_path.*does not belong/],
    ['both swapped', { cert_path: 'first.key', key_path: 'first.crt' }, /cert_path.*PEM certificate/],
    ['an encrypted key', { cert_path: 'first.crt', key_path: 'locked.key' }, /key_path.*unencrypted/],
    ['an empty file', { cert_path: 'empty.crt', key_path: 'first.key' }, /cert_path/],
    ['no key at all', { cert_path: 'first.crt' }, /key_path.*missing/],
    ['a version that is too old', { cert_path: 'first.crt', key_path: 'first.key', min_version: 'TLSv1.1' }, /min_version/],
  ])('row 226: %s is a start failure that names the setting, and no secret', async (_, tls, message) => {
    const locked = ['pkey', '-in', 'first.key', '-aes128', '-passout', 'pass:secret-phrase', '-out', 'locked.key'];
    expect((await runProgram('openssl', locked, { cwd: pool })).code).toBe(0);
    await writeFile(join(pool, 'empty.crt'), '');
    await writeFile(join(pool, 'mcp-guard.json'), JSON.stringify({ auth, server: { port: 0, workers: 1, tls }, upstream }));
    const { code, stdout, stderr } = await within(runCli(['run', '-c', 'mcp-guard.json'], { cwd: pool }), 10_000, () => 'run');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/PRIVATE KEY|BEGIN/);
  });
});
