import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeCursor, encodeCursor } from '../../src/mcp/merged-cursor.ts';

describe('cursors of merged lists', () => {
  it('come back as they were given out, whatever a server uses as its own', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme' }),
        fc.option(fc.string({ unit: 'grapheme', maxLength: 500 })),
        fc.nat(),
        (member, cursor, pages) => {
          const text = encodeCursor({ member, cursor, pages }) ?? '';
          expect(text).toMatch(/^m1\.[A-Za-z0-9_-]+$/);
          expect(decodeCursor(text)).toEqual({ member, cursor, pages });
        },
      ),
    );
  });

  it('are refused in any other writing', () => {
    const text = encodeCursor({ member: 'fs', cursor: 'page "2"', pages: 2 }) ?? '';
    const json = (value: unknown): string => `m1.${Buffer.from(JSON.stringify(value)).toString('base64url')}`;
    const spaced = `m1.${Buffer.from('["fs", null,0]').toString('base64url')}`;
    for (const bad of [
      '',
      'm1.',
      text.slice(3),
      `${text}=`,
      `${text} `,
      text.slice(0, -1),
      spaced,
      json({}),
      json(['fs']),
      json(['fs', null]),
      json(['fs', 1, 0]),
      json([1, null, 0]),
      json(['fs', null, -1]),
      json(['fs', null, 0.5]),
      json(['fs', null, '0']),
      json(['fs', null, 0, 0]),
    ]) {
      expect([bad, decodeCursor(bad)]).toEqual([bad, null]);
    }
  });

  it('are bounded', () => {
    expect(encodeCursor({ member: 'fs', cursor: 'x'.repeat(4_000), pages: 0 })).not.toBeNull();
    expect(encodeCursor({ member: 'fs', cursor: 'x'.repeat(5_000), pages: 0 })).toBeNull();
    expect(decodeCursor(`m1.${Buffer.from(JSON.stringify(['fs', 'x'.repeat(5_000), 0])).toString('base64url')}`)).toBeNull();
  });
});
