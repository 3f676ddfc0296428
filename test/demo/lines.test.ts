import { describe, expect, it } from 'vitest';
import { createLineSplitter } from '../../src/demo/lines.ts';

function split(pieces: readonly Buffer[], limit = 100): { lines: string[]; oversize: number } {
  const seen = { lines: [] as string[], oversize: 0 };
  const splitter = createLineSplitter(
    limit,
    (line) => seen.lines.push(line),
    () => (seen.oversize += 1),
  );
  for (const piece of pieces) splitter.push(piece);
  return seen;
}

describe('createLineSplitter', () => {
  it('joins pieces, also inside a character', () => {
    const bytes = Buffer.from('{"a":"ü"}\n{"b":1}\r\n');
    expect(split([...bytes].map((byte) => Buffer.from([byte]))).lines).toEqual(['{"a":"ü"}', '{"b":1}']);
  });

  it('cuts at LF only, not at U+2028', () => {
    expect(split([Buffer.from('a\u2028b\n')]).lines).toEqual(['a\u2028b']);
  });

  it('skips empty lines and keeps an unfinished one back', () => {
    expect(split([Buffer.from('\n\n a \nrest')]).lines).toEqual(['a']);
  });

  it('drops a line over the limit once and goes on behind it', () => {
    const seen = split([Buffer.alloc(60, 'x'), Buffer.alloc(60, 'x'), Buffer.alloc(60, 'x'), Buffer.from('\nok\n')]);
    expect(seen).toEqual({ lines: ['ok'], oversize: 1 });
  });
});
