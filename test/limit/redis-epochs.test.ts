import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { RedisEpochs } from '../../src/limit/redis-epochs.ts';
import { epochKey, TAG_COUNT } from '../../src/limit/redis-keys.ts';
import { RedisStore } from '../../src/store/redis-store.ts';
import { type RedisNode, redisSettings, startRedis, startSplitNode } from '../e2e/redis.ts';
import { waitUntil } from '../e2e/wait.ts';

const PREFIX = 'mcp-guard:';

/** Once the epochs of all tags have begun. */
async function openEpochs(node: RedisNode): Promise<RedisEpochs> {
  const store = new RedisStore(redisSettings([node]));
  const epochs = new RedisEpochs(store, systemClock, PREFIX, 'a');
  onTestFinished(async () => {
    epochs.close();
    await store.close();
  });
  const last = epochKey(PREFIX, TAG_COUNT - 1);
  const hasBegun = async (): Promise<boolean> => (await node.cli('exists', last)).trim() === '1';
  await waitUntil(hasBegun, { what: 'the epochs', timeoutMs: 15_000 });
  // A bucket of the last tag may have begun its epoch before its turn: others are still to come then.
  let calls = -1;
  const isQuiet = async (): Promise<boolean> => {
    const before = calls;
    await sleep(100);
    calls = await callCount(node);
    return calls === before;
  };
  await waitUntil(isQuiet, { what: 'the last of the first calls', timeoutMs: 15_000 });
  return epochs;
}

async function callCount(node: RedisNode): Promise<number> {
  return Number(/cmdstat_evalsha:calls=(\d+)/.exec(await node.cli('info', 'commandstats'))?.[1] ?? 0);
}

async function begins(node: RedisNode, tags: readonly number[]): Promise<readonly number[]> {
  const moments: number[] = [];
  for (const tag of tags) moments.push(Number(await node.cli('get', epochKey(PREFIX, tag))));
  return moments;
}

describe('epochs', () => {
  it('are kept alive together, and those that are there stay as they are', async () => {
    const redis = await startRedis();
    const epochs = await openEpochs(redis);
    const tags = epochs.turn();
    expect(tags).toHaveLength(16);
    const before = await begins(redis, tags);
    await redis.cli('del', epochKey(PREFIX, tags[3] as number));
    const calls = await callCount(redis);
    await epochs.touch(tags);
    expect((await callCount(redis)) - calls).toBe(1);
    const after = await begins(redis, tags);
    expect(after.filter((moment, at) => moment !== before[at])).toEqual([after[3]]);
    expect(after[3]).toBeGreaterThan(before[3] as number);
  });

  it('are kept alive one by one, from the first refusal on, where what looks like one node has several behind it', async () => {
    const node = await startSplitNode();
    const epochs = await openEpochs(node);
    const tags = epochs.turn();
    for (const missing of [2, 5]) {
      await node.cli('del', epochKey(PREFIX, tags[missing] as number));
      const calls = await callCount(node);
      await epochs.touch(tags);
      expect((await callCount(node)) - calls).toBe(tags.length);
      expect((await begins(node, tags)).every((moment) => moment > 0)).toBe(true);
    }
  });

  it('are not said to be kept when one of them cannot be', async () => {
    const redis = await startRedis();
    const epochs = await openEpochs(redis);
    await redis.kill();
    await expect(epochs.touch(epochs.turn())).rejects.toThrow(/lost|clos|connect/i);
  });
});
