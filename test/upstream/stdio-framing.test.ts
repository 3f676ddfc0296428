import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LineFramer, toLine } from '../../src/upstream/stdio-framing.ts';

function linesOf(chunks: readonly Buffer[], maxLineBytes = 1000): { lines: string[]; isOver: boolean } {
  const lines: string[] = [];
  const framer = new LineFramer(maxLineBytes, (line) => lines.push(line.toString()));
  const isOver = !chunks.every((chunk) => framer.push(chunk));
  return { lines, isOver };
}

describe('LineFramer', () => {
  it('finds the same lines however the stream is cut', () => {
    const text = Buffer.from('{"a":1}\r\n\n{"ü":"😀"}\nlast\nunfinished');
    fc.assert(
      fc.property(fc.array(fc.nat(text.length)), (cuts) => {
        const edges = [0, ...cuts.sort((one, other) => one - other), text.length];
        const chunks = edges.slice(1).map((end, index) => text.subarray(edges[index], end));
        expect(linesOf(chunks)).toEqual({ lines: ['{"a":1}', '{"ü":"😀"}', 'last'], isOver: false });
      }),
    );
  });

  it('accepts a line of exactly the limit and refuses one byte more, finished or not', () => {
    expect(linesOf([Buffer.from(`${'x'.repeat(10)}\n`)], 10).lines).toEqual(['x'.repeat(10)]);
    expect(linesOf([Buffer.from('x'.repeat(11))], 10)).toEqual({ lines: [], isOver: true });
    expect(linesOf([Buffer.from('x'.repeat(6)), Buffer.from('x'.repeat(5))], 10)).toEqual({ lines: [], isOver: true });
  });
});

describe('toLine', () => {
  it('leaves no line break in a message, so that no client can add a second one', () => {
    const pretty = Buffer.from('{\n  "id": 1,\r\n\t"method": "x"\n}\n{"id":2}');
    const line = toLine(pretty).toString();
    expect(line.split('\n')).toEqual([line.slice(0, -1), '']);
    expect(line).not.toContain('\r');
  });

  it('escapes the separators at which some readers split, and keeps the meaning of the message', () => {
    const message = { id: 1, text: 'a\u0085\u2028b\u2029c', 'k\u2028': ['\n'] };
    const line = toLine(Buffer.from(JSON.stringify(message))).toString();
    expect(line).not.toMatch(/[\u0085\u2028\u2029]/);
    expect(JSON.parse(line)).toEqual(message);
  });

  it('does not change the message it was given', () => {
    const bytes = Buffer.from('{\n}');
    toLine(bytes);
    expect(bytes.toString()).toBe('{\n}');
  });
});
