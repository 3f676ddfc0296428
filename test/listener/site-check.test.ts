import { describe, expect, it } from 'vitest';
import { createSiteCheck } from '../../src/listener/site-check.ts';

const LOCAL = createSiteCheck({ allowedHosts: ['localhost', '127.0.0.1', '[::1]'], allowedOrigins: [], areLoopbackOriginsAllowed: true });

describe('the site check', () => {
  it.each([
    'localhost',
    'localhost:3000',
    'a.example',
    'a_b.example',
    'A.Example.',
    '127.0.0.1:1',
    '[::1]',
    '[::1]:65535',
    '[2001:db8::1]:80',
  ])('takes %s for a well-formed Host', (host) => {
    expect(LOCAL.hostSyntax(host)).toBeNull();
  });

  it.each([
    'localhost:',
    'localhost:x',
    'localhost:65536',
    'a b',
    'a,b',
    'u@a',
    'a/b',
    'a?b',
    'a#b',
    '::1',
    '[::1',
    '[::1]x',
    '[]',
    '[::::]',
    '[1.2.3.4]',
    '.a',
    '-a',
    'a\\b',
    'a:1:2',
    'é.example',
  ])('takes %s for a malformed Host', (host) => {
    expect(LOCAL.hostSyntax(host)?.code).toBe('BAD_HOST');
  });

  it('answers to the listed names on any port, and to nothing that resembles them', () => {
    for (const host of ['localhost', 'localhost:1', '127.0.0.1:3000', '[::1]', '[::1]:3000']) expect(LOCAL.host(host)).toBeNull();
    for (const host of ['evil.example', 'localhost.evil.example', 'xlocalhost', '127.0.0.2', '[::2]', 'localhost.']) {
      expect(LOCAL.host(host)?.code).toBe('HOST_DENIED');
    }
  });

  it('binds an entry with a port to that port', () => {
    const check = createSiteCheck({ allowedHosts: ['mcp.example:8443'], allowedOrigins: [], areLoopbackOriginsAllowed: false });
    expect(check.host('mcp.example:8443')).toBeNull();
    expect(check.host('mcp.example')?.code).toBe('HOST_DENIED');
    expect(check.host('mcp.example:80')?.code).toBe('HOST_DENIED');
  });

  it('checks no Host without a list', () => {
    expect(createSiteCheck({ allowedHosts: null, allowedOrigins: [], areLoopbackOriginsAllowed: false }).host('any.example')).toBeNull();
  });

  it.each(['http://localhost', 'https://localhost:5173', 'http://127.0.0.1:6274', 'http://[::1]:1', 'HTTP://LOCALHOST'])(
    'lets the loopback page %s in',
    (origin) => {
      expect(LOCAL.origin(origin)).toBeNull();
    },
  );

  it.each([
    'null',
    'http://evil.example',
    'http://localhost.evil.example',
    'http://localhost@evil.example',
    'http://localhost:80/x',
    'file://',
    '',
    'http://127.0.0.1.evil.example',
    'chrome-extension://localhost',
  ])('refuses the page %j', (origin) => {
    expect(LOCAL.origin(origin)?.code).toBe('ORIGIN_DENIED');
  });

  it('lets listed origins in, exactly, and loopback ones only where they are allowed', () => {
    const check = createSiteCheck({ allowedHosts: null, allowedOrigins: ['https://app.example'], areLoopbackOriginsAllowed: false });
    expect(check.origin('https://APP.example')).toBeNull();
    for (const origin of ['http://app.example', 'https://app.example:444', 'https://app.example.evil', 'http://localhost']) {
      expect(check.origin(origin)?.code).toBe('ORIGIN_DENIED');
    }
  });

  it('lets every page in where the operator listed *', () => {
    expect(
      createSiteCheck({ allowedHosts: null, allowedOrigins: ['*'], areLoopbackOriginsAllowed: false }).origin('https://any.example'),
    ).toBeNull();
  });
});
