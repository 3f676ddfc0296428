import { describe, expect, it } from 'vitest';
import { configuredSecrets } from '../../src/audit/secrets.ts';
import { loadConfigText } from '../../src/config/load.ts';

function secretsOf(config: object): string[] {
  const text = JSON.stringify({ auth: { allow_anonymous: true }, upstream: { command: 'server' }, ...config });
  const { snapshot, problems } = loadConfigText({ text, format: 'json', source: 'test', baseDir: '/', env: {} });
  if (snapshot === null) throw new Error(JSON.stringify(problems));
  return configuredSecrets(snapshot);
}

describe('configuredSecrets', () => {
  it('knows what the gateway shows its upstreams and its store to be let in', () => {
    const upstream = { command: 'server', env: { API_TOKEN: 'for-the-child', MODE: 'plain' } };
    const redis = { url: 'redis://user:for-the-store@127.0.0.1:6379/0', max_hosts: 1 };
    expect(secretsOf({ upstream, redis })).toEqual(['for-the-child', 'for-the-store']);
    expect(secretsOf({ redis: { url: 'redis://127.0.0.1:6379/0', max_hosts: 1 } })).toEqual([]);
  });
});
