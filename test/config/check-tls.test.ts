import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BASE, errorsOf, load, snapshotOf, warningsOf } from './support.ts';

let directory = '';

function certificate(name: string): void {
  const files = ['-keyout', join(directory, `${name}.key`), '-out', join(directory, `${name}.crt`)];
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '30',
      '-subj',
      `/CN=${name}`,
      ...files,
    ],
    { stdio: 'ignore' },
  );
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'mcp-guard-tls-'));
  certificate('a');
  certificate('b');
  execFileSync('openssl', ['ec', '-in', join(directory, 'a.key'), '-aes128', '-passout', 'pass:x', '-out', join(directory, 'locked.key')], {
    stdio: 'ignore',
  });
  writeFileSync(join(directory, 'junk'), 'not a certificate');
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

function tls(cert: string, key: string, more = ''): string {
  return `${more}\n[server.tls]\ncert_path = "${cert}"\nkey_path = "${key}"\n${BASE}`;
}

describe('checkTls (row 9)', () => {
  it('accepts a matching pair, and chooses the engine that serves TLS', () => {
    const { server } = snapshotOf(tls('a.crt', 'a.key'), { baseDir: directory });
    expect(server).toMatchObject({
      engine: 'node',
      tls: { certPath: join(directory, 'a.crt'), keyPath: join(directory, 'a.key'), minVersion: 'TLSv1.2' },
    });
    expect(load(tls('a.crt', 'a.key', '[server]\nhost = "0.0.0.0"\nidle_timeout_secs = 5'), { baseDir: directory }).problems).toEqual([]);
  });

  it.each([
    ['none.crt', 'a.key', 'server.tls.cert_path names a file that does not exist'],
    ['a.crt', 'none.key', 'server.tls.key_path names a file that does not exist'],
    ['junk', 'a.key', 'server.tls.cert_path names a file that does not hold a PEM certificate'],
    ['a.crt', 'junk', 'server.tls.key_path names a file that does not hold an unencrypted PEM private key'],
    ['a.crt', 'locked.key', 'server.tls.key_path names a file that does not hold an unencrypted PEM private key'],
    ['a.crt', 'b.key', 'server.tls.key_path does not belong to the certificate in cert_path'],
    ['a.key', 'a.key', 'server.tls.cert_path names a file that does not hold a PEM certificate'],
  ])('refuses %s with %s', (cert, key, message) => {
    expect(errorsOf(load(tls(cert, key), { baseDir: directory }))).toEqual([message]);
  });

  it('reports both files at once', () => {
    expect(errorsOf(load(tls('none.crt', 'none.key'), { baseDir: directory }))).toHaveLength(2);
  });

  it('wants both paths', () => {
    expect(errorsOf(load(`[server.tls]\ncert_path = "a.crt"\n${BASE}`, { baseDir: directory }))).toEqual([
      'server.tls.key_path is missing: TLS needs cert_path and key_path',
    ]);
    expect(errorsOf(load(`[server.tls]\nkey_path = "a.key"\n${BASE}`, { baseDir: directory }))).toEqual([
      'server.tls.cert_path is missing: TLS needs cert_path and key_path',
    ]);
  });

  it('refuses uws together with TLS', () => {
    const text = tls('a.crt', 'a.key', '[server]\nengine = "uws"');
    expect(errorsOf(load(text, { baseDir: directory }))).toEqual([expect.stringContaining('server.engine "uws" serves no TLS')]);
    const byEnvironment = load(tls('a.crt', 'a.key'), { baseDir: directory, env: { MCP_GUARD_SERVER_ENGINE: 'uws' } });
    expect(errorsOf(byEnvironment)).toEqual([expect.stringMatching(/server\.engine .*set by MCP_GUARD_SERVER_ENGINE/)]);
  });

  it('warns about a certificate that is over', () => {
    const clock = {
      nowMs: () => 0,
      wallMs: () => Date.now() + 60 * 86_400_000,
      after: () => ({ cancel: () => undefined }),
      every: () => ({ cancel: () => undefined }),
    };
    expect(warningsOf(load(tls('a.crt', 'a.key'), { baseDir: directory, clock }))).toEqual([
      expect.stringContaining('server.tls.cert_path names a certificate that expired on'),
    ]);
  });
});
