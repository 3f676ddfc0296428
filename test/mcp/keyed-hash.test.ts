import { describe, expect, it } from 'vitest';
import { keyedHash } from '../../src/mcp/keyed-hash.ts';

describe('keyedHash', () => {
  it('depends on every byte, on the length, and on nothing outside the range', () => {
    const bytes = Buffer.from('0123456789abcdef');
    for (let length = 0; length <= 16; length++) {
      const plain = keyedHash(bytes, 0, length);
      expect(keyedHash(Buffer.from(`x${bytes.toString()}`), 1, 1 + length)).toBe(plain);
      for (let i = 0; i < length; i++) {
        const changed = Buffer.from(bytes);
        changed[i] = (changed[i] as number) ^ 1;
        expect(keyedHash(changed, 0, length)).not.toBe(plain);
      }
      if (length > 0) expect(keyedHash(Buffer.alloc(16), 0, length)).not.toBe(keyedHash(Buffer.alloc(16), 0, length - 1));
    }
  });

  it('spreads similar keys evenly over few buckets', () => {
    const buckets = Array.from({ length: 64 }, () => 0);
    for (let n = 0; n < 6400; n++) {
      const key = Buffer.from(`key${n}`);
      const bucket = keyedHash(key, 0, key.length) & 63;
      buckets[bucket] = (buckets[bucket] ?? 0) + 1;
    }
    expect(Math.max(...buckets)).toBeLessThan(170);
    expect(Math.min(...buckets)).toBeGreaterThan(40);
  });
});
