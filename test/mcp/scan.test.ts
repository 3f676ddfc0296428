import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isIdToken, JsonScanner, type ScanFault, type ScanLimits } from '../../src/mcp/scan.ts';
import { depthOf, growthOf, isJson, keysOf, LINEAR_GROWTH, mutated, repeatsKey, shortestMs, textOf, trees } from './json-texts.ts';

const WIDE: ScanLimits = { maxDepth: 100, maxKeys: 1_000_000, maxStringBytes: 1 << 20, areSkippedKeysCompared: true };
const LOOSE: ScanLimits = { ...WIDE, areSkippedKeysCompared: false };

const scanner = new JsonScanner();

function faultOf(text: string | Buffer, limits: ScanLimits = WIDE): ScanFault | null {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  if (scanner.begin(bytes, limits)) scanner.skip();
  scanner.finish();
  const { fault } = scanner;
  scanner.end();
  return fault;
}

const texts: fc.Arbitrary<string> = fc.tuple(trees, fc.gen()).map(([tree, random]) => textOf(tree, random));

describe('JsonScanner', () => {
  it('accepts and rejects exactly what JSON.parse and a strict UTF-8 decoder do, when keys are not compared', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          texts.map((text) => Buffer.from(text)),
          mutated(texts),
          mutated(fc.json()),
        ),
        (bytes) => {
          expect(faultOf(bytes, LOOSE) === null).toBe(isJson(bytes));
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('accepts and rejects like JSON.parse on raw bytes of the alphabet of JSON', () => {
    const alphabet = fc.constantFrom(...'{}[]",:\\eE+-.019 \ntrufalsnb/'.split(''), '\u0000', '\u007f', 'é', '"a":1', '\\u00e9', '1e5');
    fc.assert(
      fc.property(
        fc.array(alphabet, { maxLength: 12 }).map((parts) => Buffer.from(parts.join(''))),
        (bytes) => {
          expect(faultOf(bytes, LOOSE) === null).toBe(isJson(bytes));
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('finds a repeated key at any level, however the two are escaped', () => {
    fc.assert(
      fc.property(trees, fc.gen(), (tree, random) => {
        expect(faultOf(textOf(tree, random))).toBe(repeatsKey(tree) ? 'duplicate' : null);
      }),
      { numRuns: 2000 },
    );
  });

  it('counts depth and keys exactly', () => {
    fc.assert(
      fc.property(trees, fc.gen(), (tree, random) => {
        const text = textOf(tree, random);
        const depth = depthOf(tree);
        const keys = keysOf(tree);
        expect(faultOf(text, { ...LOOSE, maxDepth: depth, maxKeys: keys })).toBe(null);
        if (depth > 0) expect(faultOf(text, { ...LOOSE, maxDepth: depth - 1 })).toBe('depth');
        if (keys > 0) expect(faultOf(text, { ...LOOSE, maxKeys: keys - 1 })).toBe('keys');
      }),
    );
  });

  it('walks objects and arrays, and gives each member its key and the exact span of its value', () => {
    const text = ' { "a" : [ 1 , {"b":"x"} ] , "\\u00e9" : "q\\"" , "c":{} , "d":[] } ';
    const bytes = Buffer.from(text);
    const seen: [string, string][] = [];
    scanner.begin(bytes, WIDE);
    for (let more = scanner.enter(); more; more = scanner.next()) {
      const key = scanner.keyText();
      const start = scanner.pos;
      scanner.skip();
      seen.push([key, bytes.toString('utf8', start, scanner.pos)]);
    }
    expect(scanner.finish()).toBe(true);
    expect(seen).toEqual([
      ['a', '[ 1 , {"b":"x"} ]'],
      ['é', '"q\\""'],
      ['c', '{}'],
      ['d', '[]'],
    ]);
    scanner.end();
  });

  it('compares the keys of entered objects also when those of skipped ones are not compared', () => {
    scanner.begin(Buffer.from('{"a":{"x":1,"x":2},"a":3}'), LOOSE);
    for (let more = scanner.enter(); more; more = scanner.next()) scanner.skip();
    expect(scanner.finish()).toBe(false);
    expect(scanner.fault).toBe('duplicate');
    expect(faultOf('{"a":{"x":1,"x":2}}', LOOSE)).toBe(null);
  });

  it('decodes strings as JSON.parse does, and refuses to decode a lone surrogate', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.gen(), (value, random) => {
        const text = textOf(value, random);
        const bytes = Buffer.from(text.trim());
        scanner.begin(bytes, WIDE);
        scanner.skip();
        expect(scanner.text(0, scanner.pos)).toBe(value);
        scanner.end();
      }),
    );
    const lone = Buffer.from('"a\\ud800b"');
    expect(faultOf(lone)).toBe(null);
    scanner.begin(lone, WIDE);
    expect(scanner.text(0, lone.length)).toBe(null);
    scanner.end();
  });

  it('refuses lone surrogates in compared keys, where two of them could decode to the same replacement', () => {
    expect(faultOf('{"\\ud800":1}')).toBe('grammar');
    expect(faultOf('{"\\udc00\\ud800":1}')).toBe('grammar');
    expect(faultOf('{"\\ud83d\\ude00":1}')).toBe(null);
    expect(faultOf('{"😀":1,"\\uD83D\\uDE00":2}')).toBe('duplicate');
  });

  it('goes on after repeated or too many keys, and reports a broken rest instead', () => {
    expect(faultOf('{"a":1,"a":2,"b":')).toBe('grammar');
    expect(faultOf('{"a":1,"a":2,"b":3}', { ...WIDE, maxKeys: 2 })).toBe('duplicate');
  });

  it('stops at nesting beyond the limit without reading on', () => {
    expect(faultOf('['.repeat(1_000_000))).toBe('depth');
    expect(faultOf('{"a":'.repeat(1_000_000))).toBe('depth');
    expect(faultOf(`${'['.repeat(500)}${']'.repeat(500)}`, { ...WIDE, maxDepth: 500 })).toBe(null);
  });

  it('bounds strings by the bytes between their quotes', () => {
    expect(faultOf('"abc"', { ...WIDE, maxStringBytes: 3 })).toBe(null);
    expect(faultOf('"abcd"', { ...WIDE, maxStringBytes: 3 })).toBe('string');
    expect(faultOf('{"éé":1}', { ...WIDE, maxStringBytes: 3 })).toBe('string');
  });

  it.each([
    ['a byte order mark', Buffer.from('\ufeff{}')],
    ['an overlong encoding', Buffer.from([0x22, 0xc0, 0xaf, 0x22])],
    ['an encoded surrogate', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])],
    ['a code point beyond Unicode', Buffer.from([0x22, 0xf4, 0x90, 0x80, 0x80, 0x22])],
    ['a cut UTF-8 sequence', Buffer.from([0x22, 0xe2, 0x82, 0x22])],
    ['a raw NUL in a string', Buffer.from('"a\u0000b"')],
    ['a raw line break in a string', Buffer.from('"a\nb"')],
    ['a comment', Buffer.from('{}// x')],
    ['single quotes', Buffer.from("{'a':1}")],
    ['a trailing comma', Buffer.from('{"a":1,}')],
    ['a bare key', Buffer.from('{a:1}')],
    ['NaN', Buffer.from('[NaN]')],
    ['a leading zero', Buffer.from('[01]')],
    ['a plus sign', Buffer.from('[+1]')],
    ['a bare point', Buffer.from('[1.]')],
    ['a hexadecimal number', Buffer.from('[0x10]')],
    ['a capital U escape', Buffer.from('"\\U0041"')],
    ['a cut escape', Buffer.from('"\\u00"')],
    ['an escape of the quote at the end', Buffer.from('"\\"')],
    ['two values', Buffer.from('{}{}')],
    ['mismatched brackets', Buffer.from('[{]}')],
    ['a NUL behind the text', Buffer.from('{}\u0000')],
    ['a no-break space', Buffer.from('\u00a0{}')],
    ['a vertical tab', Buffer.from('\u000b{}')],
    ['nothing', Buffer.alloc(0)],
  ])('rejects %s', (_, bytes) => {
    expect(faultOf(bytes)).toBe('grammar');
  });

  it('takes time in proportion to the number of keys, in one object and nested', () => {
    const flat = (count: number): Buffer => Buffer.from(`{${Array.from({ length: count }, (_, i) => `"key${i}":${i}`).join(',')}}`);
    const spread = (count: number): Buffer => {
      const inner = `{${Array.from({ length: 40 }, (_, i) => `"key${i}":${i}`).join(',')}}`;
      return Buffer.from(`{${Array.from({ length: count / 40 }, (_, i) => `"outer${i}":${inner}`).join(',')}}`);
    };
    for (const make of [flat, spread]) {
      const prepare = (size: number) => {
        const bytes = make(size);
        return () => faultOf(bytes);
      };
      expect(growthOf(prepare, 10_000)).toBeLessThan(LINEAR_GROWTH);
    }
  });

  it('is not slowed down by keys made to collide', () => {
    const keys = collidingKeys(13);
    const hostile = Buffer.from(`{${keys.map((key) => `"${key}":0`).join(',')}}`);
    const plain = Buffer.from(`{${keys.map((_, i) => `"${String(i).padStart(104, 'k')}":0`).join(',')}}`);
    expect(faultOf(hostile)).toBe(null);
    expect(new Set(keys.map((key) => cheapHash(key))).size).toBe(1);
    expect(shortestMs(5, () => faultOf(hostile)) / shortestMs(5, () => faultOf(plain))).toBeLessThan(8);
  });
});

/** FNV-1a, which the scanner compares few keys by. */
function cheapHash(text: string, from = 0x811c9dc5): number {
  let hash = from;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}

/** 2^stages keys with the same cheap hash: pairs of eight digits that lead from one state to the same next one. */
function collidingKeys(stages: number): string[] {
  let keys = [''];
  let state = 0x811c9dc5;
  for (let stage = 0; stage < stages; stage++) {
    const seen = new Map<number, string>();
    for (let i = 0; ; i++) {
      // An odd factor scatters the pieces, else their hashes keep apart for long.
      const piece = (Math.imul(i, 0x9e3779b1) >>> 0).toString(16).padStart(8, '0');
      const next = cheapHash(piece, state);
      const other = seen.get(next);
      if (other === undefined) {
        seen.set(next, piece);
        continue;
      }
      keys = keys.flatMap((key) => [key + piece, key + other]);
      state = next;
      break;
    }
  }
  return keys;
}

describe('isIdToken', () => {
  it.each(['0', '-1', '12345678901234567890123', '"a"', '""'])('takes %s', (token) => {
    expect(isIdToken(Buffer.from(token), 0, token.length)).toBe(true);
  });

  it.each(['1.0', '1e3', 'null', 'true', '{}', '[]', '-'])('refuses %s', (token) => {
    expect(isIdToken(Buffer.from(token), 0, token.length)).toBe(false);
  });
});
