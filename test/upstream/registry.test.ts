import { afterEach, describe, expect, it } from 'vitest';
import { buildRegistry } from '../../src/upstream/registry.ts';
import type { Registry } from '../../src/upstream/registry.ts';
import { call, httpSettings, ready, registryDeps, resultOf, stdioSettings, until } from './support.ts';

const opened: Registry[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((registry) => registry.close()));
});

describe('buildRegistry', () => {
  it('starts the good servers beside bad ones', async () => {
    const settings = [
      stdioSettings({ command: 'no-such-program-anywhere' }, { name: 'missing' }),
      httpSettings('http://169.254.169.254/', { name: 'metadata' }),
      stdioSettings({ command: 'bash' }, { name: 'shell' }),
      httpSettings('http://127.0.0.1:1/mcp', { name: 'dead' }),
      httpSettings('not a url', { name: 'nonsense' }),
      stdioSettings({}, { name: 'good', pathPrefix: '/good' }),
    ];
    const registry = buildRegistry(settings, registryDeps());
    opened.push(registry);
    const good = registry.get('good');
    if (good === undefined) throw new Error('no such server');
    await ready(good);
    expect(await resultOf(good, call('echo', { a: 1 }))).toEqual({ a: 1 });
    await until(() => registry.list.filter(({ state }) => state === 'down').length === 5, 'five are down');
    expect(registry.list.map(({ name }) => name)).toEqual(settings.map(({ name }) => name));
    expect(registry.list.slice(0, 5).every(({ detail }) => detail !== null && detail !== '')).toBe(true);
    expect(registry.router.match('/mcp/good')?.upstream).toBe(good);
    expect(registry.get('other')).toBeUndefined();
  });

  it('closes all of them', async () => {
    const registry = buildRegistry([stdioSettings({}, { name: 'a' }), stdioSettings({}, { name: 'b' })], registryDeps());
    await registry.close();
    expect(registry.list.map(({ state }) => state)).toEqual(['closed', 'closed']);
  });
});
