import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BASE, errorsOf, load, snapshotOf, temporaryDirectory, temporaryFile, warningsOf } from './support.ts';

const LOCAL = '[redis]\nurl = "redis://127.0.0.1"\nmax_hosts = 2\n';

function withRedis(lines: string): string {
  return `[redis]\nmax_hosts = 2\n${lines}\n${BASE}`;
}

describe('the store of the configuration', () => {
  it('is none without a URL', () => {
    expect(snapshotOf(BASE).redis).toBeNull();
    expect(snapshotOf(`[redis]\n${BASE}`).redis).toBeNull();
  });

  it('is what its URL says, with the defaults of the rest', () => {
    expect(snapshotOf(`[redis]\nurl = "redis://127.0.0.1:7000/2"\n${BASE}`).redis).toEqual({
      mode: 'single',
      nodes: [{ host: '127.0.0.1', port: 7000 }],
      sentinelName: null,
      username: null,
      password: null,
      database: 2,
      prefix: 'mcp-guard:',
      tls: null,
      maxHosts: 4,
    });
    expect(warningsOf(load(LOCAL + BASE))).toEqual([]);
  });

  it('is encrypted by its URL or by its switch, with paths that start at the configuration file', () => {
    const encrypted = { caPath: null, isVerified: true };
    expect(snapshotOf(withRedis('url = "rediss://db"')).redis?.tls).toEqual(encrypted);
    expect(snapshotOf(withRedis('url = "redis://db"\ntls = true')).redis?.tls).toEqual(encrypted);
    const dir = temporaryDirectory();
    const made = spawnSync(
      'openssl',
      ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=ca'],
      {
        cwd: dir,
      },
    );
    expect(made.status).toBe(0);
    const { redis } = snapshotOf(withRedis('url = "rediss://db"\nca_path = "ca.pem"'), { baseDir: dir });
    expect(redis?.tls).toEqual({ caPath: join(dir, 'ca.pem'), isVerified: true });
  });

  it('may keep its URL in a file', () => {
    const file = temporaryFile('url', 'redis://:from-file@127.0.0.1\n');
    expect(snapshotOf(withRedis(`url_file = "${file}"`)).redis?.password).toBe('from-file');
  });

  it.each([
    ['prefix = "x:"', 'redis.url is missing: the other keys of redis mean nothing without it'],
    ['url = "redis://127.0.0.1"\nca_path = "ca.pem"', 'redis.ca_path means nothing without TLS: write rediss:// or tls = true'],
    ['url = "redis://127.0.0.1"\ntls_verify = false', 'redis.tls_verify means nothing without TLS: write rediss:// or tls = true'],
    ['url = "rediss://db"\nca_path = "nowhere.pem"', /redis\.ca_path names a file that /],
    ['url = "redis://ann@127.0.0.1"', 'redis.url names a user without a password'],
    ['url = "redis://127.0.0.1"\nprefix = "a{b}"', 'redis.prefix must be 1 to 64 of A-Z a-z 0-9 : . _ -'],
    ['url = "redis://127.0.0.1/x"', 'redis.url must have the number of a database behind the last "/"'],
  ])('with %s is refused', (lines, message) => {
    const errors = errorsOf(load(withRedis(lines)));
    expect(errors.length).toBe(1);
    expect(errors[0]).toMatch(message);
  });

  it('is refused with a file that holds no certificate of an authority', () => {
    const text = temporaryFile('text.pem', 'nothing');
    expect(errorsOf(load(withRedis(`url = "rediss://db"\nca_path = "${text}"`)))).toEqual([
      'redis.ca_path names a file that does not hold a PEM certificate',
    ]);
  });

  it('warns of what is legal and dangerous', () => {
    expect(warningsOf(load(withRedis('url = "redis://10.1.2.3"'))).join()).toContain('leaves this machine without TLS');
    expect(warningsOf(load(withRedis('url = "rediss://db"\ntls_verify = false'))).join()).toContain('anybody on the way');
    expect(warningsOf(load(`${LOCAL}[rate_limit]\nenabled = false\n${BASE}`)).join()).toContain('has no effect');
    const small = `${LOCAL}[rate_limit]\nrequests_per_second = 1\nburst_size = 1\n${BASE}`;
    expect(warningsOf(load(small)).join()).toContain('is more than the burst of a limit with fail_mode "local"');
  });

  it('never shows its password', () => {
    const url = 'rediss://ann:s3cret-word@db/x';
    const refused = load(withRedis(`url = "${url}"`));
    expect(errorsOf(refused).length).toBe(1);
    expect(JSON.stringify([refused.problems, refused.effective])).not.toContain('s3cret-word');
    const accepted = load(withRedis('url = "rediss://ann:s3cret-word@db"'));
    expect(JSON.stringify([accepted.problems, accepted.effective])).not.toContain('s3cret-word');
    expect(accepted.effective?.['redis']).toMatchObject({ url: '***', max_hosts: 2 });
  });
});
