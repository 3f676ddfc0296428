import { createHmac, hash, timingSafeEqual } from 'node:crypto';
import { Bench } from 'tinybench';
import { ApiKeyStore } from '../src/auth/api-keys.ts';
import { readCredential } from '../src/auth/credential.ts';
import { generateKey, hashKey } from '../src/auth/keys.ts';
import type { RequestHead } from '../src/core/head.ts';
import type { Principal } from '../src/core/principal.ts';
import { printTable } from './print-table.ts';

/** Bounds: what authentication by key costs a request. 10 and 10,000 keys must cost the same, up to cache misses. */
const BATCH = 200;
const access = { mayReach: () => true, tool: () => ({ isAllowed: true, rule: 'all' }), allowsAllTools: () => true };

function principalOf(id: string): Principal {
  return {
    key: `api_key:${id}`,
    provider: 'api_key',
    id,
    isAdmin: false,
    access,
    limit: { perSecond: 1, burst: 1, failMode: 'local' },
    notAfterMs: Infinity,
  };
}

function storeOf(keys: readonly string[]): ApiKeyStore {
  return new ApiKeyStore(keys.map((key, i) => ({ keyHash: hashKey(key), principal: principalOf(`user-${i}`) })));
}

/** A task that presents the next of the keys in each request, read out of a fresh header value as a listener makes it. */
function authenticateWith(store: ApiKeyStore, keys: readonly string[]): () => void {
  const heads = keys.slice(0, 1_000).map((key) => ({ authorization: `Bearer ${key}`, xApiKey: '' }) as RequestHead);
  let next = 0;
  return () => {
    for (let i = 0; i < BATCH; i++) {
      next = (next + 1) % heads.length;
      const token = readCredential(heads[next] as RequestHead, false);
      if (typeof token !== 'string' || store.find(token) === null) throw new Error('a known key was refused');
    }
  };
}

function scanAll(digests: readonly Buffer[], key: string): void {
  const digest = hash('sha256', key, 'buffer');
  for (const known of digests) timingSafeEqual(known, digest);
}

const keys = Array.from({ length: 10_000 }, generateKey);
const few = keys.slice(0, 10);
const unknown = generateKey();
const small = storeOf(few);
const large = storeOf(keys);
const digests = keys.slice(0, 1_000).map((key) => hash('sha256', key, 'buffer'));
const bench = new Bench({ time: 700, warmupTime: 200 });
const repeat = (step: () => unknown) => () => {
  for (let i = 0; i < BATCH; i++) step();
};
bench
  .add(
    'SHA-256 alone',
    repeat(() => hash('sha256', unknown, 'buffer')),
  )
  .add('header + lookup, 10 keys', authenticateWith(small, few))
  .add('header + lookup, 10,000 keys', authenticateWith(large, keys))
  .add(
    'unknown key, 10,000 keys',
    repeat(() => large.find(unknown)),
  )
  .add(
    'not done: HMAC-SHA-256 (pepper)',
    repeat(() => createHmac('sha256', 'pepper').update(unknown).digest()),
  )
  .add(
    'not done: scan of 1,000 digests',
    repeat(() => scanAll(digests, unknown)),
  );
await bench.run();
printTable('key lookup', bench, BATCH);
