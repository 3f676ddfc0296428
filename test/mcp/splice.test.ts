import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splice } from '../../src/mcp/splice.ts';

describe('splice', () => {
  it('replaces, removes and inserts spans, counting bytes and not characters', () => {
    const bytes = Buffer.from('{"id":1,"é":2}');
    const at = bytes.indexOf('1');
    const edits = [
      { start: 0, end: 0, text: '  ' },
      { start: at, end: at + 1, text: '"ü"' },
      { start: bytes.length - 1, end: bytes.length, text: '' },
    ];
    expect(splice(bytes, edits).toString()).toBe('  {"id":"ü","é":2');
    expect(bytes.toString()).toBe('{"id":1,"é":2}');
  });

  it('agrees with string slicing for any edits', () => {
    const edits = fc.array(fc.tuple(fc.nat({ max: 40 }), fc.nat({ max: 40 }), fc.string({ unit: 'grapheme' })), { maxLength: 4 });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), edits, (content, drawn) => {
        const bytes = Buffer.from(content);
        const points = drawn.flatMap(([a, b]) => [Math.min(a, bytes.length), Math.min(b, bytes.length)]).sort((a, b) => a - b);
        const list = drawn.map(([, , text], i) => ({ start: points[2 * i] as number, end: points[2 * i + 1] as number, text }));
        const parts: Buffer[] = [];
        let from = 0;
        for (const { start, end, text } of list) {
          parts.push(bytes.subarray(from, start), Buffer.from(text));
          from = end;
        }
        parts.push(bytes.subarray(from));
        expect(splice(bytes, list)).toEqual(Buffer.concat(parts));
      }),
    );
  });

  it('throws on edits that overlap or leave the bytes, instead of sending garbage', () => {
    const bytes = Buffer.from('abcdef');
    const edit = (start: number, end: number) => ({ start, end, text: 'x' });
    expect(() => splice(bytes, [edit(2, 4), edit(3, 5)])).toThrow(RangeError);
    expect(() => splice(bytes, [edit(4, 5), edit(1, 2)])).toThrow(RangeError);
    expect(() => splice(bytes, [edit(4, 7)])).toThrow(RangeError);
    expect(() => splice(bytes, [edit(-1, 1)])).toThrow(RangeError);
    expect(() => splice(bytes, [edit(3, 2)])).toThrow(RangeError);
  });
});
