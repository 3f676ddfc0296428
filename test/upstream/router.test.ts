import { describe, expect, it } from 'vitest';
import type { UpstreamSettings } from '../../src/core/config.ts';
import { buildUpstream } from '../../src/upstream/build.ts';
import { Router } from '../../src/upstream/router.ts';
import { deps, httpSettings } from './support.ts';

function router(...servers: readonly Partial<UpstreamSettings>[]): (path: string) => string | null {
  const routes = servers.map((server) => {
    const settings = httpSettings('http://127.0.0.1:9/', server);
    return { settings, upstream: buildUpstream(settings, deps()) };
  });
  const built = new Router(routes);
  return (path) => {
    const match = built.match(path);
    return match === null ? null : match.upstream.name + (match.restPath === '' ? '' : ` ${match.restPath}`);
  };
}

describe('Router', () => {
  it('serves the only server at /mcp, and by its name, and nothing else', () => {
    const match = router({ name: 'fs', pathPrefix: null });
    expect(['/mcp', '/mcp/', '/mcp/fs', '/mcp/fs/deep'].map(match)).toEqual(['fs', 'fs', 'fs', 'fs']);
    expect(['/mcp/other', '/mcpx', '/', '', '/mcp//fs', '/MCP', '/mcp/FS', '/x/mcp'].map(match)).toEqual(
      Array.from({ length: 8 }, () => null),
    );
  });

  it('serves /mcp with several servers only through the catch-all, which comes last', () => {
    expect(router({ name: 'a' }, { name: 'b' })('/mcp')).toBeNull();
    const match = router({ name: 'all', pathPrefix: '/' }, { name: 'a', pathPrefix: '/a' });
    expect(['/mcp', '/mcp/', '/mcp/a', '/mcp/a/x', '/mcp/ax', '/mcp/all', '/mcp/what/ever'].map(match)).toEqual([
      'all',
      'all',
      'a',
      'a',
      'all',
      'all',
      'all',
    ]);
  });

  it('prefers the exact name to any prefix', () => {
    const match = router({ name: 'one', pathPrefix: '/two' }, { name: 'two', pathPrefix: '/one' });
    expect(['/mcp/one', '/mcp/two', '/mcp/one/x'].map(match)).toEqual(['one', 'two', 'one']);
  });

  it('takes the longest prefix, on a segment boundary', () => {
    const match = router({ name: 'n1', pathPrefix: '/api' }, { name: 'n2', pathPrefix: '/api/v2' }, { name: 'n3', pathPrefix: '/fs/' });
    expect(['/mcp/api', '/mcp/api/v1', '/mcp/api/v2', '/mcp/api/v2/x', '/mcp/api/v22', '/mcp/fs', '/mcp/fs/x'].map(match)).toEqual([
      'n1',
      'n1',
      'n2',
      'n2',
      'n1',
      'n3',
      'n3',
    ]);
    expect(['/mcp/fsx', '/mcp/apiv2', '/mcp/ap'].map(match)).toEqual([null, null, null]);
  });

  it('tells the rest of the path only with strip_prefix', () => {
    const servers = [
      { name: 'strips', pathPrefix: '/s', isPrefixStripped: true },
      { name: 'keeps', pathPrefix: '/k' },
    ];
    const match = router(...servers);
    expect(['/mcp/s', '/mcp/s/', '/mcp/s/a/b', '/mcp/strips/a', '/mcp/k/a/b'].map(match)).toEqual([
      'strips',
      'strips',
      'strips /a/b',
      'strips /a',
      'keeps',
    ]);
  });

  it('refuses a rest that would change its meaning in a URL', () => {
    const match = router({ name: 'n', pathPrefix: '/', isPrefixStripped: true });
    const paths = [
      '/..',
      '/a/../b',
      '/%2e%2e/x',
      '/.%2E',
      '/./x',
      '/a%2fb',
      '/a%5Cb',
      '/a%00',
      '/a%zz',
      '/a?b',
      '/a#b',
      '/a\\b',
      '/a b',
      '/a\r\nx',
      '/a//b',
      '/ü',
    ];
    expect(paths.map((path) => match(`/mcp${path}`))).toEqual(paths.map(() => null));
    expect(match('/mcp/a%20b/..c/d.')).toBe('n /a%20b/..c/d.');
  });
});
