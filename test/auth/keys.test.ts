import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { decodeKeyHash, generateKey, hashKey } from '../../src/auth/keys.ts';

const digest = createHash('sha256').update('mcp_example').digest();

describe('keys', () => {
  it('generates 47 characters with 256 random bits, never the same twice', () => {
    const keys = new Set(Array.from({ length: 1_000 }, generateKey));
    expect(keys.size).toBe(1_000);
    for (const key of keys) expect(key).toMatch(/^mcp_[A-Za-z0-9_-]{43}$/);
  });

  it('hashes the whole key to standard base64', () => {
    expect(hashKey('mcp_example')).toBe(digest.toString('base64'));
    expect(hashKey(generateKey())).toHaveLength(44);
    expect(hashKey('schlüssel')).toBe(createHash('sha256').update('schlüssel', 'utf8').digest('base64'));
  });

  it.each([
    ['base64', digest.toString('base64')],
    ['prefixed base64', `sha256:${digest.toString('base64')}`],
    ['prefixed hex', `sha256:${digest.toString('hex')}`],
    ['prefixed upper-case hex', `sha256:${digest.toString('hex').toUpperCase()}`],
  ])('reads a hash as %s', (_form, text) => {
    expect(decodeKeyHash(text)?.equals(digest)).toBe(true);
  });

  it.each([
    ['nothing', ''],
    ['a key', generateKey()],
    ['a prefix alone', 'sha256:'],
    ['bare hex', digest.toString('hex')],
    ['base64 without padding', digest.toString('base64').slice(0, -1)],
    ['base64url', Buffer.alloc(32, 0xff).toString('base64url')],
    ['base64 with stray low bits', `${'A'.repeat(42)}B=`],
    ['short hex', `sha256:${digest.toString('hex').slice(2)}`],
    ['two prefixes', `sha256:sha256:${digest.toString('base64')}`],
    ['surrounding space', ` ${digest.toString('base64')}`],
    ['a trailing line break', `${digest.toString('base64')}\n`],
  ])('refuses %s as a hash', (_form, text) => {
    expect(decodeKeyHash(text)).toBeNull();
  });
});
