import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { unescapeInto } from '../../src/mcp/unescape.ts';

function unescaped(body: string): string | null {
  const bytes = Buffer.from(body);
  const target = Buffer.alloc(bytes.length);
  const end = unescapeInto(target, 0, bytes, 0, bytes.length);
  return end === -1 ? null : target.toString('utf8', 0, end);
}

describe('unescapeInto', () => {
  it('decodes every code unit as JSON.parse does, never beyond the length of its input', () => {
    const piece = fc.oneof(
      fc.constantFrom('\\n', '\\"', '\\\\', '\\/', '\\b', '\\f', '\\r', '\\t', 'a', 'é', '😀'),
      fc.nat({ max: 0xffff }).map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`),
      fc.constantFrom('\\uD83D\\uDE00', '\\ud83d', '\\uDE00'),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const body = pieces.join('');
        const value = JSON.parse(`"${body}"`) as string;
        expect(unescaped(body)).toBe(value.isWellFormed() ? value : null);
      }),
      { numRuns: 3000 },
    );
  });

  it('does not take the first half of an escaped pair from elsewhere', () => {
    for (const body of ['\\ud83dx', '\\ud83d\\n', '\\ud83d\\u0041', '\\ude00\\ud83d', '\\ud83d\\ud83d\\ude00'])
      expect(unescaped(body)).toBe(null);
  });
});
