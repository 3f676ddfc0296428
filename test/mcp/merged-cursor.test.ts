import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeCursor, encodeCursor } from '../../src/mcp/merged-cursor.ts';

describe('cursors of merged lists', () => {
  it('come back as they were given out, whatever a server uses as its own', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.option(fc.string({ unit: 'grapheme', maxLength: 500 })), (member, cursor) => {
        const text = encodeCursor({ member, cursor }) ?? '';
        expect(text).toMatch(/^m1\.[A-Za-z0-9_-]+$/);
        expect(decodeCursor(text)).toEqual({ member, cursor });
      }),
    );
  });

  it('are refused in any other writing', () => {
    const text = encodeCursor({ member: 'fs', cursor: 'page "2"' }) ?? '';
    const json = (value: unknown): string => `m1.${Buffer.from(JSON.stringify(value)).toString('base64url')}`;
    const spaced = `m1.${Buffer.from('["fs", null]').toString('base64url')}`;
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
      json(['fs', 1]),
      json([1, null]),
    ]) {
      expect([bad, decodeCursor(bad)]).toEqual([bad, null]);
    }
  });

  it('are bounded', () => {
    expect(encodeCursor({ member: 'fs', cursor: 'x'.repeat(4_000) })).not.toBeNull();
    expect(encodeCursor({ member: 'fs', cursor: 'x'.repeat(5_000) })).toBeNull();
    expect(decodeCursor(`m1.${Buffer.from(JSON.stringify(['fs', 'x'.repeat(5_000)])).toString('base64url')}`)).toBeNull();
  });
});
