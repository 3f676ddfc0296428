import { describe, expect, it } from 'vitest';
import { KeyNames } from '../../src/mcp/key-names.ts';
import { JsonScanner } from '../../src/mcp/scan.ts';

const NAMES = new KeyNames(['name', 'requestId', '_meta']);
const LIMITS = { maxDepth: 10, maxKeys: 10, maxStringBytes: 1000, areSkippedKeysCompared: true };

/** What is said of one key, given as it stands in the JSON text. */
function verdict(key: string): number | 'variant' | 'other' {
  const scanner = new JsonScanner();
  scanner.begin(Buffer.from(`{"${key}":0}`), LIMITS);
  scanner.enter();
  const index = NAMES.match(scanner);
  return index === -1 ? (NAMES.isVariant(scanner) ? 'variant' : 'other') : index;
}

describe('KeyNames', () => {
  it('matches exact names only, escaped or not', () => {
    expect([verdict('name'), verdict('requestId'), verdict('_meta'), verdict('n\\u0061me')]).toEqual([0, 1, 2, 0]);
  });

  it.each([
    'Name',
    'NAME',
    'requestid',
    'REQUESTID',
    '_Meta',
    'n\\u0041me',
    'name\\u0000',
    '\\u0000',
    'x\\u0000y',
    'reque\u017ftId',
    '\uff4eame',
    'na\u200bme',
    'name ',
    '\\tname',
    'na\u0301me',
    'requestI\u0307d',
    'request\u0131d',
    'request\u0130d',
    'n\u00e4me',
    '\ufeffname',
  ])('sees through %j', (key) => {
    expect(verdict(key)).toBe('variant');
  });

  it.each(['', 'names', 'nam', 'request_id', 'meta', 'имя', 'nane', '名前', 'x y', 'arguments'])('lets %j be', (key) => {
    expect(verdict(key)).toBe('other');
  });

  it('judges a key of nothing but marks in no time: sorting them, as normalisation does, would be quadratic', () => {
    const scanner = new JsonScanner();
    const key = `a${'\u0301'.repeat(100_000)}${'\u0316'.repeat(100_000)}`;
    scanner.begin(Buffer.from(`{"${key}":0}`), { ...LIMITS, maxStringBytes: 1_048_576 });
    scanner.enter();
    const startedMs = performance.now();
    expect(NAMES.isVariant(scanner)).toBe(false);
    expect(performance.now() - startedMs).toBeLessThan(1000);
  });

  it('looks at no key of a text that is refused anyway', () => {
    const scanner = new JsonScanner();
    scanner.begin(Buffer.from('{"a":0,"a":0,"n\u00e4me":0}'), LIMITS);
    scanner.enter();
    scanner.skip();
    scanner.next();
    scanner.skip();
    expect([scanner.next(), scanner.keyText(), scanner.fault, NAMES.isVariant(scanner)]).toEqual([true, 'n\u00e4me', 'duplicate', false]);
  });
});
