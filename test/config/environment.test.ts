import { describe, expect, it } from 'vitest';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { settableKeys } from '../../src/config/schema.ts';
import { BASE, errorsOf, load, snapshotOf, temporaryDirectory, warningsOf } from './support.ts';

describe('environment (row 11)', () => {
  it('sets numbers, flags, choices and texts, over the file', () => {
    const env = {
      MCP_GUARD_SERVER_PORT: '8080',
      MCP_GUARD_SERVER_HOST: '::1',
      MCP_GUARD_SERVER_WORKERS: 'auto',
      MCP_GUARD_RATE_LIMIT_REQUESTS_PER_SECOND: '0.5',
      MCP_GUARD_RATE_LIMIT_ENABLED: 'false',
      MCP_GUARD_LOGGING_LEVEL: 'debug',
      MCP_GUARD_UPSTREAM_COMMAND: 'other',
      MCP_GUARD_CONFIG: 'x.toml',
      PATH: '/bin',
    };
    const snapshot = snapshotOf(`[server]\nport = 1\nworkers = 0\n${BASE}`, { env });
    expect(snapshot.server).toMatchObject({ port: 8080, host: '::1' });
    expect(snapshot.server.workers).toBeGreaterThan(0);
    expect(snapshot.rateLimit).toMatchObject({ isEnabled: false, default: { perSecond: 0.5 } });
    expect(snapshot.logging.level).toBe('debug');
    expect(snapshot.upstreams[0]?.stdio?.command).toBe('other');
    expect(warningsOf(load(BASE, { env }))).toEqual([]);
  });

  it('reaches every documented variable: an unusable value of each is noticed', () => {
    // The one key whose empty value means something.
    const variables = settableKeys().filter(({ variable }) => variable !== 'MCP_GUARD_AUDIT_FILE');
    for (const { variable } of variables) {
      expect({ variable, errors: errorsOf(load(BASE, { env: { [variable]: '' } })) }).toEqual({
        variable,
        errors: expect.arrayContaining([expect.stringContaining(`(set by ${variable})`)]),
      });
    }
  });

  it('says which variable holds a wrong value, not the value', () => {
    const result = load(BASE, { env: { MCP_GUARD_SERVER_PORT: 'canary', MCP_GUARD_AUTH_ALLOW_ANONYMOUS: 'yes' } });
    expect(errorsOf(result)).toEqual([
      'server.port must be a whole number from 0 to 65535 (set by MCP_GUARD_SERVER_PORT)',
      'auth.allow_anonymous must be true or false (set by MCP_GUARD_AUTH_ALLOW_ANONYMOUS)',
    ]);
    expect(result.problems.every((problem) => problem.line === undefined)).toBe(true);
  });

  it.each(['0x10', '1e', ' 1', '1 ', '', 'Infinity', 'NaN', '1_000', '--1'])('refuses the number %j', (value) => {
    expect(errorsOf(load(BASE, { env: { MCP_GUARD_SERVER_PORT: value } }))).toHaveLength(1);
  });

  it('names Kubernetes when it finds what Kubernetes injects', () => {
    const address = 'tcp://10.0.0.1:3000';
    expect(errorsOf(load(BASE, { env: { MCP_GUARD_SERVER_PORT: address } }))).toEqual([
      expect.stringMatching(/server\.port .*Kubernetes.*enableServiceLinks: false/),
    ]);
    const injected = [
      'MCP_GUARD_SERVICE_HOST',
      'MCP_GUARD_SERVICE_PORT',
      'MCP_GUARD_SERVICE_PORT_HTTP',
      'MCP_GUARD_PORT',
      'MCP_GUARD_PORT_3000_TCP',
      'MCP_GUARD_PORT_3000_TCP_ADDR',
    ];
    const warnings = warningsOf(load(BASE, { env: Object.fromEntries(injected.map((name) => [name, address])) }));
    expect(warnings).toHaveLength(injected.length);
    expect(warnings.every((warning) => warning.includes('Kubernetes'))).toBe(true);
  });

  it('warns about variables that set nothing, but not about those that the file uses', () => {
    const env = {
      MCP_GUARD_SERVER_POTR: '1',
      MCP_GUARD_AUTH_API_KEYS_0_ID: 'x',
      MCP_GUARD_SERVER_ALLOWED_HOSTS: 'x',
      MCP_GUARD_OWN: 'run',
    };
    const { problems } = load(BASE.replace('"server"', '"${MCP_GUARD_OWN}"'), { env });
    expect(problems.map((problem) => problem.message)).toEqual([
      expect.stringMatching(/MCP_GUARD_AUTH_API_KEYS_0_ID sets nothing/),
      expect.stringMatching(/MCP_GUARD_SERVER_ALLOWED_HOSTS sets nothing/),
      'the environment variable MCP_GUARD_SERVER_POTR sets nothing; did you mean MCP_GUARD_SERVER_PORT?',
    ]);
  });

  it('does not search its values for references', () => {
    expect(snapshotOf(BASE, { env: { MCP_GUARD_UPSTREAM_COMMAND: '${HOME}', HOME: 'x' } }).upstreams[0]?.stdio?.command).toBe('${HOME}');
  });

  it('cannot reach into lists', () => {
    const text = `[[auth.jwt]]\nissuer = "a"\n${BASE}`;
    expect(errorsOf(load(text, { env: { MCP_GUARD_AUTH_JWT_ISSUER: 'b' } }))).toContain(
      'auth.jwt.issuer cannot be set by MCP_GUARD_AUTH_JWT_ISSUER: the file has a list there',
    );
  });

  it('is weaker than flags and stronger than the file (row 27)', () => {
    const text = `[server]\nport = 1\n${BASE}`;
    const env = { MCP_GUARD_SERVER_PORT: '2' };
    expect(snapshotOf(text).server.port).toBe(1);
    expect(snapshotOf(text, { env }).server.port).toBe(2);
    expect(snapshotOf(text, { env, overrides: [{ path: 'server.port', value: 3 }] }).server.port).toBe(3);
    expect(snapshotOf(text, { env, overrides: [{ path: 'server.port', value: '3' }] }).server.port).toBe(3);
    expect(errorsOf(load(text, { overrides: [{ path: 'server.port', value: 99_999 }] }))).toEqual([
      'server.port must be a whole number from 0 to 65535, not 99999 (set by --port)',
    ]);
  });

  it('lets a stronger source replace the secret twin of a weaker one', () => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, 's'), 'from-file');
    const peer = (text: string, env: Record<string, string>): readonly string[] =>
      errorsOf(load(`[server]\n${text}\n${BASE}`, { env, baseDir: directory }));
    const tooShort = expect.stringMatching(/^server\.peer_secret.* must have at least 43 characters/);
    expect(peer('peer_secret = "x"', { MCP_GUARD_SERVER_PEER_SECRET_FILE: 's' })).toEqual(expect.arrayContaining([tooShort]));
    expect(peer('peer_secret_file = "none"', { MCP_GUARD_SERVER_PEER_SECRET: 'x' })).toEqual(expect.arrayContaining([tooShort]));
    expect(peer('', { MCP_GUARD_SERVER_PEER_SECRET: 'x', MCP_GUARD_SERVER_PEER_SECRET_FILE: 's' })).toEqual(
      expect.arrayContaining([expect.stringContaining('is given together with peer_secret_file')]),
    );
  });
});
