import { createHash, timingSafeEqual } from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import { ApiKeyStore } from '../../src/auth/api-keys.ts';
import { generateKey, hashKey } from '../../src/auth/keys.ts';
import type { Principal } from '../../src/core/principal.ts';

// The real function, counted.
vi.mock('node:crypto', async (importOriginal) => {
  const real = await importOriginal<typeof import('node:crypto')>();
  return { ...real, timingSafeEqual: vi.fn<typeof timingSafeEqual>(real.timingSafeEqual) };
});

function principalOf(id: string): Principal {
  const access = { mayReach: () => true, tool: () => ({ isAllowed: true, rule: 'all' }), allowsAllTools: () => true };
  return {
    key: `api_key:${id}`,
    provider: 'api_key',
    id,
    isAdmin: false,
    access,
    limit: { perSecond: 1, burst: 1, failMode: 'local' },
    notAfterMs: Number.POSITIVE_INFINITY,
  };
}

describe('ApiKeyStore', () => {
  it('finds each of 10,000 keys and none that differs in a character', () => {
    const keys = Array.from({ length: 10_000 }, generateKey);
    const store = new ApiKeyStore(keys.map((key, i) => ({ keyHash: hashKey(key), principal: principalOf(`user-${i}`) })));
    expect(store.size).toBe(10_000);
    keys.forEach((key, i) => {
      expect(store.find(key)?.id).toBe(`user-${i}`);
      expect(store.find(key.slice(0, -1))).toBeNull();
      expect(store.find(`${key.slice(0, -1)}!`)).toBeNull();
    });
  });

  it('row 75: compares in constant time, once, and only the digest that the index names', () => {
    const keys = Array.from({ length: 100 }, generateKey);
    const store = new ApiKeyStore(keys.map((key, i) => ({ keyHash: hashKey(key), principal: principalOf(`user-${i}`) })));
    const compare = vi.mocked(timingSafeEqual);
    compare.mockClear();
    store.find(keys[57] as string);
    expect(compare).toHaveBeenCalledTimes(1);
    expect(
      compare.mock.calls[0]?.map((bytes) =>
        Buffer.from((bytes as Uint8Array).buffer, (bytes as Uint8Array).byteOffset, 32).toString('base64'),
      ),
    ).toEqual([hashKey(keys[57] as string), hashKey(keys[57] as string)]);
    compare.mockClear();
    store.find(generateKey());
    expect(compare).not.toHaveBeenCalled();
  });

  it('tells keys apart whose digests begin alike, and those that share a place with others', () => {
    const keys = Array.from({ length: 20 }, generateKey);
    const digests = keys.map((key) => createHash('sha256').update(key).digest('hex'));
    const alike = digests.map((digest) => digest.slice(0, 8) + '0'.repeat(56));
    const crowded = Array.from({ length: 20 }, (_, at) => `ffffffff${at.toString(16).padStart(56, '0')}`);
    const others = [...alike, ...crowded].map((hex, at) => ({ keyHash: `sha256:${hex}`, principal: principalOf(`other-${at}`) }));
    const own = keys.map((key, at) => ({ keyHash: hashKey(key), principal: principalOf(`user-${at}`) }));
    for (const stored of [
      [...others, ...own],
      [...own, ...others],
    ]) {
      const store = new ApiKeyStore(stored);
      expect(keys.map((key) => store.find(key)?.id)).toEqual(keys.map((_, at) => `user-${at}`));
    }
    const strangers = new ApiKeyStore(others);
    expect(keys.map((key) => strangers.find(key))).toEqual(keys.map(() => null));
  });

  it('is decided by the comparison, not by the index', () => {
    const key = generateKey();
    const store = new ApiKeyStore([{ keyHash: hashKey(key), principal: principalOf('a') }]);
    vi.mocked(timingSafeEqual).mockReturnValueOnce(false);
    expect(store.find(key)).toBeNull();
    expect(store.find(key)?.id).toBe('a');
  });

  it('knows keys of another shape by their hash', () => {
    const store = new ApiKeyStore([
      { keyHash: `sha256:${createHash('sha256').update('sk-operators-own-key').digest('hex')}`, principal: principalOf('a') },
    ]);
    expect(store.find('sk-operators-own-key')?.id).toBe('a');
  });

  it('does not take the stored hash for the key', () => {
    const keyHash = hashKey(generateKey());
    const store = new ApiKeyStore([{ keyHash, principal: principalOf('a') }]);
    expect(store.find(keyHash)).toBeNull();
    expect(store.find(`sha256:${keyHash}`)).toBeNull();
  });

  it('finds nothing in an empty store', () => {
    expect(new ApiKeyStore([]).find(generateKey())).toBeNull();
  });

  it('does not start with a malformed hash, and does not repeat it in the message', () => {
    const build = (): ApiKeyStore => new ApiKeyStore([{ keyHash: 'mcp_oops-a-key', principal: principalOf('a') }]);
    expect(build).toThrow(/"a"/);
    expect(build).not.toThrow(/oops/);
  });

  it('does not start with one key for two principals, in whatever form its hash is written', () => {
    const key = generateKey();
    const stored = [
      { keyHash: hashKey(key), principal: principalOf('a') },
      { keyHash: `sha256:${Buffer.from(hashKey(key), 'base64').toString('hex')}`, principal: principalOf('b') },
    ];
    expect(() => new ApiKeyStore(stored)).toThrow(/"a" and "b"/);
  });
});
