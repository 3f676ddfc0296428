import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createHeadGuard, type Verdict } from '../../src/listener/head-guard.ts';
import type { ListenerSettings } from '../../src/listener/settings.ts';
import { testSettings } from './support.ts';

interface Head {
  readonly method?: string;
  readonly path?: string;
  readonly query?: string;
  readonly version?: string;
  readonly lines?: readonly (readonly [string, string])[];
  readonly settings?: Partial<ListenerSettings>;
  readonly peerIp?: string;
}

const HOST = ['host', 'localhost'] as const;
const ONE = ['content-length', '1'] as const;

function judge(head: Head): Verdict {
  const guard = createHeadGuard(testSettings(head.settings));
  guard.begin(head.method ?? 'POST', head.path ?? '/mcp', head.query ?? '', head.version ?? '1.1');
  for (const [name, value] of head.lines ?? [HOST, ONE]) guard.add(name, value);
  return guard.finish(head.peerIp ?? '127.0.0.1', false);
}

function code(head: Head): string | null {
  return judge(head).refusal?.code ?? null;
}

/** Values that are good at one place and not at another, next to each other. */
const VALUE = fc.constantFrom(
  'localhost',
  'localhost:80',
  'evil.example',
  '1',
  '',
  'a\tb',
  'a\r\nb',
  'a\0b',
  '\u00e9',
  'close',
  'x'.repeat(300),
);
const NAME = fc.constantFrom('host', 'content-length', 'accept', 'origin', 'connection', 'mcp-name', 'authorization', 'x-forwarded-for');
const LINES = fc.array(fc.tuple(NAME, VALUE), { maxLength: 6 });

describe('the head guard', () => {
  it('judges each head as if it were the first, whatever came before', () => {
    const heads = fc.array(fc.record({ isBare: fc.boolean(), lines: LINES }), { minLength: 2, maxLength: 8 });
    const property = fc.property(heads, (sequence) => {
      const guard = createHeadGuard(testSettings());
      for (const { isBare, lines } of sequence) {
        const all = isBare ? lines : [HOST, ONE, ...lines];
        guard.begin('POST', '/mcp', '', '1.1');
        for (const [name, value] of all) guard.add(name, value);
        expect(guard.finish('127.0.0.1', false)).toEqual(judge({ lines: all }));
      }
    });
    fc.assert(property, { numRuns: 2000 });
  });

  it('passes a POST with one Content-Length, keeps its connection and copies what is read', () => {
    const { head, refusal, keepsConnection } = judge({
      query: 'a=b',
      lines: [
        ['host', 'LocalHost:3000'],
        ['content-length', '17'],
        ['authorization', 'Bearer k'],
        ['content-type', 'application/json'],
        ['accept', '*/*'],
        ['mcp-session-id', 's'],
        ['mcp-protocol-version', '2025-11-25'],
        ['mcp-method', 'tools/call'],
        ['mcp-name', 'echo'],
        ['last-event-id', '7'],
        ['x-request-id', 'r-1'],
        ['x-api-key', 'k'],
        ['origin', 'http://localhost:1'],
      ],
    });
    expect(refusal).toBeNull();
    expect(keepsConnection).toBe(true);
    expect(head).toMatchObject({
      method: 'POST',
      path: '/mcp',
      query: 'a=b',
      peerIp: '127.0.0.1',
      clientIp: '127.0.0.1',
      host: 'localhost:3000',
      authorization: 'Bearer k',
      contentType: 'application/json',
      accept: '*/*',
      sessionId: 's',
      protocolVersion: '2025-11-25',
      mcpMethod: 'tools/call',
      mcpName: 'echo',
      lastEventId: '7',
      requestId: 'r-1',
      xApiKey: 'k',
      origin: 'http://localhost:1',
      bodyBytes: 17,
    });
  });

  it('forgets one head before it reads the next', () => {
    const guard = createHeadGuard(testSettings());
    guard.begin('POST', '/mcp', '', '1.1');
    for (const [name, value] of [HOST, ONE, ['authorization', 'Bearer one'], ['x', 'a\0b'], ['origin', 'http://evil.example']] as const) {
      guard.add(name, value);
    }
    expect(guard.finish('127.0.0.1', false).refusal?.code).toBe('ORIGIN_DENIED');
    guard.begin('GET', '/health', '', '1.1');
    guard.add(...HOST);
    const { head, refusal } = guard.finish('127.0.0.1', false);
    expect(refusal).toBeNull();
    expect([head.authorization, head.origin, head.bodyBytes]).toEqual(['', '', 0]);
  });

  it.each(['GET', 'DELETE', 'OPTIONS', 'HEAD'])('passes a %s without a body and does not keep its connection', (method) => {
    const verdict = judge({ method, lines: [HOST] });
    expect(verdict.refusal).toBeNull();
    expect(verdict.keepsConnection).toBe(false);
    expect(code({ method, lines: [HOST, ['content-length', '0']] })).toBeNull();
    expect(code({ method, lines: [HOST, ONE] })).toBe('UNEXPECTED_BODY');
    expect(code({ method, lines: [HOST, ['transfer-encoding', 'chunked']] })).toBe('UNEXPECTED_BODY');
  });

  it.each(['PUT', 'PATCH', 'CONNECT', 'TRACE'])('refuses %s as a method that is known and not served', (method) => {
    expect(code({ method })).toBe('METHOD_NOT_ALLOWED');
  });

  it.each(['', 'get', 'GE(T', ':', 'PROPFIND', 'POST\0'])('refuses the method %j as unknown', (method) => {
    expect(code({ method })).toBe('UNKNOWN_METHOD');
  });

  it('keeps no more than sixteen characters of a refused method', () => {
    expect(judge({ method: 'M'.repeat(5000) }).head.method).toHaveLength(16);
  });

  it.each([
    'host',
    'content-length',
    'content-type',
    'authorization',
    'cookie',
    'origin',
    'accept',
    'connection',
    'upgrade',
    'te',
    'x-api-key',
    'last-event-id',
    'mcp-session-id',
    'mcp-protocol-version',
    'mcp-method',
    'mcp-name',
    'mcp-param-city',
    'x-request-id',
  ])('refuses a second %s', (name) => {
    const value = name === 'content-length' ? '1' : name === 'host' ? 'localhost' : 'x';
    const base = [HOST, ONE].filter(([known]) => known !== name);
    expect(code({ lines: [...base, [name, value], [name, value]] })).toBe('BAD_HEADER');
  });

  it.each(['expect', 'transfer-encoding', 'content-encoding'])('refuses a second %s whatever it says', (name) => {
    expect(code({ lines: [HOST, ONE, [name, ''], [name, '']] })).toBe('BAD_HEADER');
  });

  it('does not mind repeated headers that nobody reads', () => {
    expect(code({ lines: [HOST, ONE, ['x-custom', '1'], ['x-custom', '2'], ['via', 'a'], ['via', 'b']] })).toBeNull();
  });

  it.each([
    'content_length',
    'transfer_encoding',
    'mcp_session_id',
    'mcp-session_id',
    'x_api_key',
    'mcp_anything',
    'x_forwarded_for',
    'x_forwarded_proto',
  ])('refuses %s, which others read as the header with hyphens', (name) => {
    expect(code({ lines: [HOST, ONE, [name, '1']] })).toBe('BAD_HEADER');
  });

  it('lets a foreign header have an underscore', () => {
    expect(code({ lines: [HOST, ONE, ['my_header', '1']] })).toBeNull();
  });

  it.each(['', ' ', 'a b', 'a:b', 'a\0', 'é', 'Content-Length'])('refuses the header name %j', (name) => {
    expect(code({ lines: [HOST, ONE, [name, '1']] })).toBe('BAD_HEADER');
  });

  it.each(['a\0b', 'a\rb', 'a\nb', 'a\x7fb', 'caf\xe9', 'Ā'])('refuses %j as a value that is decided on', (value) => {
    expect(code({ lines: [HOST, ONE, ['authorization', value]] })).toBe('BAD_HEADER');
    expect(code({ lines: [HOST, ONE, ['mcp-param-x', value]] })).toBe('BAD_HEADER');
  });

  it.each(['+1', '-1', ' 1', '1 ', '01', '1,1', '1.0', '0x1', '1e1', '', '9999999999999999', '١'])('refuses Content-Length %j', (value) => {
    expect(['BAD_FRAMING', 'BAD_HEADER']).toContain(code({ lines: [HOST, ['content-length', value]] }));
  });

  it('refuses a declared body above the limit and accepts one at it', () => {
    expect(code({ lines: [HOST, ['content-length', '1048576']] })).toBeNull();
    expect(code({ lines: [HOST, ['content-length', '1048577']] })).toBe('BODY_TOO_LARGE');
    expect(code({ lines: [HOST, ['content-length', '999999999999999']] })).toBe('BODY_TOO_LARGE');
  });

  it('wants a length for a POST', () => {
    expect(code({ lines: [HOST] })).toBe('LENGTH_REQUIRED');
  });

  it('accepts a chunked POST, declares its size unknown and does not keep its connection', () => {
    const verdict = judge({ lines: [HOST, ['transfer-encoding', 'chunked']] });
    expect(verdict.refusal).toBeNull();
    expect(verdict.head.bodyBytes).toBe(-1);
    expect(verdict.keepsConnection).toBe(false);
    expect(code({ lines: [HOST, ['transfer-encoding', 'chunked']], settings: { chunkedBodies: 'refuse' } })).toBe('LENGTH_REQUIRED');
  });

  it.each(['', 'identity', 'gzip, chunked', 'chunked ', 'xchunked', 'chunked;q=1'])('refuses Transfer-Encoding %j', (value) => {
    expect(code({ lines: [HOST, ['transfer-encoding', value]] })).toBe('UNKNOWN_CODING');
  });

  it('refuses a length together with a coding, in either order and even when one is empty', () => {
    for (const [length, coding] of [
      ['1', 'chunked'],
      ['', 'chunked'],
      ['1', ''],
      ['', ''],
    ] as const) {
      const lines = [
        ['content-length', length],
        ['transfer-encoding', coding],
      ] as const;
      expect(code({ lines: [HOST, ...lines] })).toBe('BAD_FRAMING');
      expect(code({ lines: [HOST, ...lines.toReversed()] })).toBe('BAD_FRAMING');
    }
  });

  it('refuses other expectations, content codings and versions', () => {
    expect(code({ lines: [HOST, ONE, ['expect', '100-Continue']] })).toBeNull();
    expect(code({ lines: [HOST, ONE, ['expect', '']] })).toBe('BAD_EXPECTATION');
    expect(code({ lines: [HOST, ONE, ['content-encoding', 'identity']] })).toBe('BAD_CODING');
    expect(code({ version: '2.0' })).toBe('BAD_FRAMING');
    expect(code({ version: '0.9' })).toBe('BAD_FRAMING');
    expect(code({ version: '1.0', lines: [HOST, ['transfer-encoding', 'chunked']] })).toBe('BAD_FRAMING');
  });

  it.each(['close', 'keep-alive, close', 'Close', 'te,\tclose ,x'])(
    'does not keep the connection of a POST with Connection: %s',
    (value) => {
      expect(judge({ lines: [HOST, ONE, ['connection', value]] }).keepsConnection).toBe(false);
    },
  );

  it('keeps the connection for options that only look like close', () => {
    expect(judge({ lines: [HOST, ONE, ['connection', 'x-close-not']] }).keepsConnection).toBe(true);
  });

  it('refuses too many lines and too many bytes', () => {
    const lines = (count: number): [string, string][] => Array.from({ length: count }, (_, i) => [`x-${i}`, 'v']);
    expect(code({ lines: [HOST, ONE, ...lines(96)] })).toBeNull();
    expect(code({ lines: [HOST, ONE, ...lines(97)] })).toBe('HEAD_TOO_LARGE');
    expect(code({ lines: [HOST, ONE, ['x', 'y'.repeat(16_384)]] })).toBe('HEAD_TOO_LARGE');
  });

  it('checks framing before Host and Origin', () => {
    const evil = [
      ['host', 'evil.example'],
      ['origin', 'http://evil.example'],
    ] as const;
    expect(code({ lines: [...evil] })).toBe('LENGTH_REQUIRED');
    expect(code({ lines: [...evil, ['content-length', '99999999']] })).toBe('BODY_TOO_LARGE');
    expect(code({ lines: [...evil, ONE, ['content-encoding', 'gzip']] })).toBe('BAD_CODING');
    expect(code({ lines: [...evil, ONE] })).toBe('HOST_DENIED');
    expect(code({ lines: [HOST, evil[1], ONE] })).toBe('ORIGIN_DENIED');
  });

  it('gives the audit what was read of a refused head', () => {
    const { head } = judge({ method: 'DELETE', path: '/a/../b', query: 'q', lines: [HOST, ['x-request-id', 'r'], ['authorization', 'k']] });
    expect(head).toMatchObject({ method: 'DELETE', path: '/a/../b', query: 'q', host: 'localhost', requestId: 'r', authorization: 'k' });
  });

  it.each(['a b', 'x'.repeat(129), 'é', ''])('does not echo the request id %j', (value) => {
    expect(judge({ lines: [HOST, ONE, ['x-request-id', value]] }).head.requestId).toBe('');
  });

  it('reads forwarding headers, repeated ones in order, from trusted proxies only', () => {
    const lines = [HOST, ONE, ['x-forwarded-for', '203.0.113.1'], ['x-forwarded-for', '203.0.113.2']] as const;
    expect(judge({ lines }).head.clientIp).toBe('127.0.0.1');
    expect(judge({ lines, settings: { trustedProxies: ['127.0.0.1'] } }).head.clientIp).toBe('203.0.113.2');
  });

  it('never throws, and never keeps a connection it refused, whatever the bytes', () => {
    const bytes = fc.string({ unit: 'binary', maxLength: 40 });
    const name = fc.oneof(
      bytes,
      fc.constantFrom('host', 'content-length', 'transfer-encoding', 'expect', 'mcp-x', 'content_length', 'x-forwarded-for'),
    );
    const value = fc.oneof(bytes, fc.constantFrom('localhost', '0', '5', 'chunked', 'close', ''));
    fc.assert(
      fc.property(
        fc.constantFrom('POST', 'GET', 'PUT', 'x'),
        bytes,
        bytes,
        fc.array(fc.tuple(name, value), { maxLength: 8 }),
        (method, path, query, lines) => {
          const verdict = judge({ method, path, query, lines, settings: { trustedProxies: ['127.0.0.1'] } });
          const lengths = lines.filter(([known]) => known === 'content-length').length;
          const codings = lines.filter(([known]) => known === 'transfer-encoding').length;
          if (verdict.refusal !== null) expect(verdict.keepsConnection).toBe(false);
          else expect(lengths + codings).toBeLessThanOrEqual(1);
          if (verdict.keepsConnection) expect([method, lengths, codings]).toEqual(['POST', 1, 0]);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
