import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkCidr,
  checkHeaderValue,
  checkHost,
  checkHostPattern,
  checkKeyId,
  checkOrigin,
  checkPathPrefix,
  checkSecureUrl,
  checkServerName,
  checkToken,
  checkUpstreamHeader,
  checkUrl,
  isLoopback,
  normalizePrefix,
} from '../../src/config/syntax.ts';

function expectAll(check: (text: string) => string | null, good: readonly string[], bad: readonly string[]): void {
  expect(good.filter((text) => check(text) !== null)).toEqual([]);
  expect(bad.filter((text) => check(text) === null)).toEqual([]);
}

describe('checks of single texts', () => {
  it('knows addresses and host names', () => {
    expectAll(
      checkHost,
      ['127.0.0.1', '::1', '[::1]', '0.0.0.0', '::', 'localhost', 'gate-1.example.com', 'my_host', '::ffff:127.0.0.1'],
      ['', '1.2.3', '256.0.0.1', '127.1', 'a b', 'http://x', 'x:80', '[x]', '-a', 'fe80::1%eth0', '[::1', '0', 'a..b', 'a/b'],
    );
  });

  it('knows CIDR blocks (row 9)', () => {
    expectAll(
      checkCidr,
      ['10.0.0.0/8', '127.0.0.1', 'fd00::/8', '::/0', '0.0.0.0/0', '1.2.3.4/32'],
      [
        '',
        '10.0.0.0/33',
        'fd00::/129',
        '10.0.0/8',
        '10.0.0.0/',
        '10.0.0.0/8/8',
        '10.0.0.0/-1',
        '10.0.0.0/08',
        'localhost',
        'fe80::1%eth0/64',
        '10.0.0.0 /8',
      ],
    );
  });

  it('knows Host values', () => {
    expectAll(
      checkHostPattern,
      ['example.com', 'example.com:8080', '127.0.0.1:3000', '[::1]', '[::1]:3000'],
      ['*', '', 'http://x', 'x:', 'x:0', 'x:65536', '::1', '*.example.com', 'x/y', 'a,b'],
    );
  });

  it('knows origins, and never a wildcard (row 64)', () => {
    expectAll(
      checkOrigin,
      ['https://app.example', 'http://localhost:3000', 'https://App.Example', 'http://[::1]:80'.replace(':80', '')],
      [
        '*',
        'null',
        'app.example',
        'https://app.example/',
        'https://app.example/x',
        'https://u@app.example',
        'file:///x',
        'https://*.example',
        '',
        'https://app.example:443',
      ],
    );
  });

  it('knows header names and values, and which headers are its own', () => {
    expectAll(checkToken, ['X-Api-Key', 'authorization'], ['*', '', 'a b', 'a:b', 'ä', 'a\nb']);
    expectAll(checkHeaderValue, ['Bearer x', '', 'a\tb', 'caf\u00e9'], ['a\r\nb', 'a\nb', 'a\0b', ' a', 'a ', '\u20ac', '\u007f']);
    expectAll(
      checkUpstreamHeader,
      ['Authorization', 'X-Token'],
      ['Host', 'content-length', 'Transfer-Encoding', 'CONNECTION', 'Mcp-Session-Id', 'Cookie'],
    );
  });

  it('knows URLs without credentials or fragments', () => {
    expectAll(
      checkUrl,
      ['http://x', 'https://x.example:8443/mcp?a=b', 'http://[::1]/'],
      [
        '',
        'x',
        'ftp://x',
        'https://u:p@x',
        'https://u@x',
        'https://x/#a',
        'https://x/#',
        'javascript:alert(1)',
        'https://x /',
        'https://x\\@y',
        'file:///etc/passwd',
        'https://',
      ],
    );
    expectAll(
      checkSecureUrl,
      ['https://x', 'http://127.0.0.1:9', 'http://localhost', 'http://[::1]:2'],
      ['http://x', 'http://127.0.0.1.example', 'http://10.0.0.1'],
    );
  });

  it('knows server names and prefixes', () => {
    expectAll(checkServerName, ['fs', 'A', '0_a-b', 'a'.repeat(64)], ['', '-a', '_a', 'a.b', 'a/b', 'a'.repeat(65), 'ä', 'a b']);
    expectAll(
      checkPathPrefix,
      ['/', '/fs', '/api/v2', '/api/v2/', '/a.b~c'],
      ['', 'fs', '//', '/a//b', '/..', '/a/./b', '/a/../b', '/a?b', '/a#b', '/%2e', '/a b', '/a\\b'],
    );
    expect(['/', '/fs/', '/fs', '/a/b/'].map(normalizePrefix)).toEqual(['/', '/fs', '/fs', '/a/b']);
  });

  it('knows identities that are safe to log', () => {
    expectAll(
      checkKeyId,
      ['alice', 'a@b.example', 'team: x', 'ü'],
      ['a\nb', '\u001b[31m', ' a', 'a ', 'x'.repeat(129), 'a\u2028b', 'a\u0085b'],
    );
  });

  it('knows which addresses other machines cannot reach', () => {
    expect(
      ['127.0.0.1', '127.9.9.9', '::1', '[::1]', '0:0:0:0:0:0:0:1', 'localhost', 'LOCALHOST', '::ffff:127.0.0.1'].filter(
        (host) => !isLoopback(host),
      ),
    ).toEqual([]);
    expect(
      ['0.0.0.0', '::', '10.0.0.1', '128.0.0.1', 'localhost.example', '::2', '127.example', '::ffff:10.0.0.1', ''].filter(isLoopback),
    ).toEqual([]);
  });

  it('judges any text without throwing', () => {
    const checks = [
      checkHost,
      checkCidr,
      checkHostPattern,
      checkOrigin,
      checkToken,
      checkHeaderValue,
      checkUrl,
      checkSecureUrl,
      checkServerName,
      checkPathPrefix,
      checkKeyId,
    ];
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 30 }), (text) => {
        for (const check of checks) expect(['string', 'object']).toContain(typeof check(text));
        expect(typeof isLoopback(text)).toBe('boolean');
      }),
      { numRuns: 1000 },
    );
  });
});
