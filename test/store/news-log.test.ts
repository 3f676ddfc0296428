import { afterEach, describe, expect, it } from 'vitest';
import { LOG_START, NewsLog, READ_ENTRIES } from '../../src/store/news-log.ts';
import { RedisStore } from '../../src/store/redis-store.ts';
import { redisSettings, type RedisNode, startCluster, startRedis } from '../e2e/redis.ts';
import { sleep, waitUntil } from '../e2e/wait.ts';

const stores: RedisStore[] = [];
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
});

async function open(settings: ConstructorParameters<typeof RedisStore>[0], keepSecs = 60): Promise<NewsLog> {
  const store = new RedisStore(settings);
  stores.push(store);
  await waitUntil(() => store.state === 'ready', { what: 'the store', timeoutMs: 15_000 });
  return new NewsLog(store, 'test:', keepSecs);
}

async function single(keepSecs?: number): Promise<{ redis: RedisNode; log: NewsLog }> {
  const redis = await startRedis();
  return { redis, log: await open(redisSettings([redis]), keepSecs) };
}

const texts = (entries: readonly { readonly text: string }[]): string[] => entries.map(({ text }) => text);

describe('the log of hosts', () => {
  it('gives each reader what was appended behind its position, in order, and how long ago', async () => {
    const { log } = await single();
    expect(texts(await log.exchange(LOG_START, ['a', 'b']))).toEqual(['a', 'b']);
    await sleep(300);
    const all = await log.exchange(LOG_START, ['c']);
    expect(texts(all)).toEqual(['a', 'b', 'c']);
    expect(all[0]?.agoMs).toBeGreaterThanOrEqual(290);
    expect(all[2]?.agoMs).toBeLessThan(100);
    expect(texts(await log.exchange(all[1]?.position ?? '', []))).toEqual(['c']);
    expect(await log.exchange(all[2]?.position ?? '', [])).toEqual([]);
  });

  it('answers in bounded steps, and keeps a bounded number of entries for a bounded time', async () => {
    const { redis, log } = await single(1);
    for (let n = 0; n < 60; n++)
      await log.exchange(
        '9999999999999-0',
        Array.from({ length: 100 }, (_, index) => `${n}-${index}`),
      );
    expect((await log.exchange(LOG_START, [])).length).toBe(READ_ENTRIES);
    expect(Number(await redis.cli('xlen', 'test:{mg-sessions}:news'))).toBeLessThan(5000);
    await waitUntil(async () => (await redis.cli('exists', 'test:{mg-sessions}:news')) === '0', { what: 'the end of the log' });
  });

  it('is read from its start by whoever has a position of one that was lost', async () => {
    const { redis, log } = await single();
    const position = '9999999999999-0';
    await log.exchange(LOG_START, ['before']);
    await redis.cli('flushall');
    expect(await log.exchange(position, [])).toEqual([]);
    expect(texts(await log.exchange(position, ['after']))).toEqual(['after']);
  });

  it('works in a Cluster', { timeout: 60_000 }, async () => {
    const nodes = await startCluster();
    const log = await open(redisSettings(nodes, { mode: 'cluster' }));
    expect(texts(await log.exchange(LOG_START, ['a']))).toEqual(['a']);
  });
});
