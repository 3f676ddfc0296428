import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isSameData } from '../../src/config/api-key-entry.ts';
import { parseJson } from '../../src/config/parse-json.ts';
import { locate, toPlain } from '../../src/config/tree.ts';

describe('parseJson', () => {
  it('keeps the position of every key', () => {
    const { root } = parseJson('{\r\n  "server": {\r\n    "port": 1 },\r\n  "auth": { "api_keys": [{},\r\n   { "id": 2 }] } }');
    expect(locate(root, 'server.port').at).toEqual({ line: 3, column: 5 });
    expect(locate(root, 'auth.api_keys[1].id').at).toEqual({ line: 5, column: 6 });
  });

  it('allows comments and nothing else', () => {
    expect(toPlain(parseJson('// a\n{ /* b */ "a": 1 } // c').root)).toEqual({ a: 1 });
    for (const text of [
      '{"a": 1,}',
      "{'a': 1}",
      '{a: 1}',
      '{"a": 01}',
      '{"a": NaN}',
      '{"a": 1} x',
      '{"a": "\u0001"}',
      '{"a": "\\x"}',
      '',
      '[1]',
      '"a"',
      '{"a": +1}',
      '{"a": 1 /*',
    ]) {
      expect({ text, faults: parseJson(text).faults.length }).not.toEqual({ text, faults: 0 });
    }
  });

  it('refuses repeated keys at any depth and says where', () => {
    expect(parseJson('{ "a": {\n "b": 1,\n "\\u0062": 2 } }').faults).toEqual([
      { message: 'duplicate key "b"', at: { line: 3, column: 2 } },
    ]);
  });

  it('accepts what JSON.parse accepts, with the same meaning', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string({ unit: fc.constantFrom(...'{}[]",:0123.eE-+truefalsn\\u /*') })), (json) => {
        const text = `{"a": ${json}}`;
        const { root, faults } = parseJson(text);
        const strict = attempt(text);
        if (strict !== undefined && faults.length === 0) expect(isSameData(toPlain(root), strict)).toBe(true);
        if (strict === undefined && !text.includes('/')) expect({ text, isRefused: faults.length > 0 }).toEqual({ text, isRefused: true });
        if (strict !== undefined) expect(faults.every((fault) => fault.message.startsWith('duplicate key'))).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});

function attempt(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
