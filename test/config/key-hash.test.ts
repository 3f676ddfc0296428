import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkKeyHash, normalizeKeyHash } from '../../src/config/key-hash.ts';

describe('normalizeKeyHash (row 74)', () => {
  it('brings every accepted form to standard base64', () => {
    fc.assert(
      fc.property(fc.string(), (key) => {
        const digest = createHash('sha256').update(key).digest();
        const wanted = digest.toString('base64');
        const hex = digest.toString('hex');
        for (const form of [wanted, `sha256:${wanted}`, `sha256:${hex}`, `sha256:${hex.toUpperCase()}`])
          expect(normalizeKeyHash(form)).toBe(wanted);
      }),
    );
  });

  const good = Buffer.alloc(32, 0xfb).toString('base64');
  it.each([
    ['nothing', ''],
    ['hex without its mark', Buffer.alloc(32, 1).toString('hex')],
    ['no padding', good.slice(0, -1)],
    ['base64url', Buffer.alloc(32, 0xfb).toString('base64url')],
    ['base64url with padding', `${Buffer.alloc(32, 0xfb).toString('base64url')}=`],
    ['31 bytes', Buffer.alloc(31).toString('base64')],
    ['33 bytes', Buffer.alloc(33).toString('base64')],
    ['stray low bits', `${'A'.repeat(42)}B=`],
    ['a line end', `${good}\n`],
    ['another digest', `sha512:${good}`],
    ['a mark in capitals', `SHA256:${good}`],
    ['short hex', `sha256:${'a'.repeat(63)}`],
    ['a bcrypt hash', '$2b$10$abcdefghijklmnopqrstuv'],
  ])('refuses %s', (_, text) => {
    expect(normalizeKeyHash(text)).toBeNull();
    expect(checkKeyHash(text)).toContain('44 characters');
  });

  it('tells the operator who wrote the key itself, without repeating it', () => {
    expect(checkKeyHash(`mcp_${'k'.repeat(43)}`)).toMatch(/write its hash/);
    expect(checkKeyHash(`mcp_${'k'.repeat(43)}`)).not.toContain('kkk');
  });
});
