import { onTestFinished, describe, expect, it } from 'vitest';
import type { RedisSettings } from '../../src/core/config.ts';
import { RedisCalls } from '../../src/limit/redis-calls.ts';
import { bucketKeys } from '../../src/limit/redis-keys.ts';
import type { LeaseCall, LeaseResult } from '../../src/limit/redis-script.ts';
import { RedisStore } from '../../src/store/redis-store.ts';
import { beginEpochsLongAgo, type RedisNode, redisSettings, startRedis, startSplitNode } from '../e2e/redis.ts';
import { waitUntil } from '../e2e/wait.ts';

const CALL: LeaseCall = {
  perSecond: 0.001,
  burst: 10,
  want: 1,
  atLeast: 1,
  holder: 'a',
  number: 1,
  have: 0,
  back: 0,
  debt: 0,
  deadAfterMs: 60_000,
  target: 1,
};

async function openCalls(node: RedisNode, settings: Partial<RedisSettings> = {}): Promise<RedisCalls> {
  await beginEpochsLongAgoEachAlone(node);
  const store = new RedisStore(redisSettings([node], settings));
  onTestFinished(async () => await store.close());
  const isKnown = (): boolean => store.state === 'ready' && (store.takesAnyKeys || settings.username !== undefined);
  await waitUntil(isKnown, { what: 'the store' });
  const calls = new RedisCalls(store);
  await sent(calls, 'warm');
  return calls;
}

/** One node of a Cluster takes no `MSET` of several slots. */
async function beginEpochsLongAgoEachAlone(node: RedisNode): Promise<void> {
  const isSplit = (await node.cli('info', 'cluster')).includes('cluster_enabled:1');
  if (!isSplit) return await beginEpochsLongAgo(node);
  for (const name of ['warm', ...KEYS]) await node.cli('set', bucketKeys('mcp-guard:', name).keys[1], '1000000');
}

const KEYS: readonly string[] = Array.from({ length: 40 }, (_, i) => `caller-${i}`);

async function sent(calls: RedisCalls, key: string, call: Partial<LeaseCall> = {}): Promise<LeaseResult> {
  const { promise, resolve } = Promise.withResolvers<LeaseResult>();
  calls.send(bucketKeys('mcp-guard:', key).keys, { ...CALL, ...call }, resolve, () => resolve('failed'));
  return await promise;
}

/** Scripts that the node has run by their digest. */
async function callCount(node: RedisNode): Promise<number> {
  return Number(/cmdstat_evalsha:calls=(\d+)/.exec(await node.cli('info', 'commandstats'))?.[1] ?? 0);
}

const granted = (left: number): LeaseResult => ({ granted: 1, waitMs: 0, left, hosts: 1 });

describe('calls of one turn', () => {
  it('travel thirty-two together, and each is answered', async () => {
    const redis = await startRedis();
    const calls = await openCalls(redis);
    const before = await callCount(redis);
    const results = await Promise.all(KEYS.map(async (key) => await sent(calls, key)));
    expect(results).toEqual(KEYS.map(() => granted(9)));
    expect((await callCount(redis)) - before).toBe(2);
  });

  it('keep the order in which one bucket was told of them', async () => {
    const calls = await openCalls(await startRedis());
    const results = await Promise.all([sent(calls, 'k'), sent(calls, 'k', { number: 2, have: 1 }), sent(calls, 'k', { number: 2 })]);
    expect(results).toEqual([granted(9), granted(8), null]);
  });

  it('are refused one by one when one of them cannot be done', async () => {
    const redis = await startRedis();
    const calls = await openCalls(redis);
    await redis.cli('set', bucketKeys('mcp-guard:', 'caller-1').keys[0], 'no bucket');
    const results = await Promise.all(KEYS.slice(0, 3).map(async (key) => await sent(calls, key)));
    expect(results).toEqual([granted(9), 'failed', granted(9)]);
  });

  it('go one by one, from then on, where what looks like one node has several behind it', async () => {
    const node = await startSplitNode();
    const calls = await openCalls(node);
    expect(await Promise.all(KEYS.map(async (key) => await sent(calls, key)))).toEqual(KEYS.map(() => granted(9)));
    const before = await callCount(node);
    expect(await Promise.all(KEYS.map(async (key) => await sent(calls, key, { number: 2, have: 1 })))).toEqual(KEYS.map(() => granted(8)));
    expect((await callCount(node)) - before).toBe(KEYS.length);
  });

  it('go one by one where nobody says that it is a node, as proxies in front of several', async () => {
    const redis = await startRedis();
    await redis.cli('acl', 'setuser', 'guard', 'on', '>secret', '~*', '+@all', '-role');
    const calls = await openCalls(redis, { username: 'guard', password: 'secret' });
    const before = await callCount(redis);
    expect(await Promise.all(KEYS.map(async (key) => await sent(calls, key)))).toEqual(KEYS.map(() => granted(9)));
    expect((await callCount(redis)) - before).toBe(KEYS.length);
  });

  it('are all refused when the call fails', async () => {
    const redis = await startRedis();
    const calls = await openCalls(redis);
    await redis.kill();
    expect(await Promise.all(KEYS.map(async (key) => await sent(calls, key)))).toEqual(KEYS.map(() => 'failed'));
  });
});
