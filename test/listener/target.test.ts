import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkTarget } from '../../src/listener/target.ts';

describe('the target check', () => {
  it.each([
    '/',
    '/mcp',
    '/mcp/fs',
    '/mcp/',
    '/.well-known/oauth-protected-resource',
    '/a-b_c~d',
    '/a%20b',
    "/-._~!$&'()*+,;=:@",
    '/...',
    '/.a',
    '/a.',
    '/..a',
  ])('passes the path %s', (path) => {
    expect(checkTarget(path, '')).toBeNull();
  });

  it.each([
    '',
    'mcp',
    '*',
    '//mcp',
    '/mcp//fs',
    '/mcp//',
    '/..',
    '/.',
    '/a/..',
    '/a/../b',
    '/a/./b',
    '/%2e',
    '/%2E%2e/b',
    '/a/.%2e/b',
    '/a/..;x/b',
    '/a/%2e;/b',
    '/a%00',
    '/a%0d%0aX',
    '/a%2fb',
    '/a%2Fb',
    '/a%5cb',
    '/a%5Cb',
    '/a%7f',
    '/a%',
    '/a%2',
    '/a%zz',
    '/a\\b',
    '/a b',
    '/a#b',
    '/a?b',
    '/a"b',
    '/<a>',
    '/{a}',
    '/a|b',
    '/a^b',
    '/a`b',
    '/a\x7f',
    '/a\xe9',
    '/a\0',
    'http://localhost/mcp',
    'localhost:80',
  ])('refuses the path %j', (path) => {
    expect(checkTarget(path, '')?.code).toBe('BAD_TARGET');
  });

  it.each(['a=b', 'a=%2f%5c..', 'a=/?b', "!$&'()*+,;=:@"])('passes the query %s', (query) => {
    expect(checkTarget('/mcp', query)).toBeNull();
  });

  it.each(['a=%00', 'a=%', 'a=%g1', 'a b', 'a#b', 'a"', 'a\xe9', 'a\r'])('refuses the query %j', (query) => {
    expect(checkTarget('/mcp', query)?.code).toBe('BAD_TARGET');
  });

  it('limits path and query together to 8,192 characters', () => {
    expect(checkTarget(`/${'a'.repeat(4095)}`, 'b'.repeat(4096))).toBeNull();
    expect(checkTarget(`/${'a'.repeat(4095)}`, 'b'.repeat(4097))?.code).toBe('URI_TOO_LONG');
  });

  it('passes no path that a URL parser would rewrite', () => {
    const part = fc.constantFrom('/', '.', '..', 'a', '%2e', '%41', ';', '%2f', '\\', '//', '~', '%');
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        const path = `/${parts.join('')}`;
        fc.pre(checkTarget(path, '') === null);
        expect(new URL(`http://localhost${path}`).pathname).toBe(path);
      }),
      { numRuns: 3000 },
    );
  });

  it('takes linear time on long near misses', () => {
    const startedMs = performance.now();
    for (const path of [`/${'a/'.repeat(4000)}!\\`, `/${'%2e'.repeat(2700)}x`, `/${'.'.repeat(8000)}`, `/${'a-'.repeat(4000)}"`])
      checkTarget(path, '');
    expect(performance.now() - startedMs).toBeLessThan(100);
  });
});
