import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Bench } from '../../perf/lib/bench.ts';
import { readOptions } from '../../perf/lib/options.ts';
import { startRedis } from '../../perf/lib/redis.ts';
import type { Redis } from '../../perf/lib/redis.ts';

const run = promisify(execFile);
let bench: Bench;
let redis: Redis;

async function say(...words: readonly string[]): Promise<string> {
  return (await run('redis-cli', ['-u', redis.url, ...words], { timeout: 500 })).stdout.trim();
}

beforeEach(async () => {
  bench = await Bench.open({ options: readOptions([]), builds: [], gatewayEnv: {}, workers: 1, say: () => undefined });
  redis = await startRedis(bench);
});

afterEach(async () => {
  redis.resume();
  await bench.close();
});

describe('the Redis of a scenario', () => {
  it('answers nobody while it hangs, and knows everything afterwards', async () => {
    await say('set', 'a', '1');
    redis.hang();
    await expect(say('get', 'a')).rejects.toThrow('redis-cli');
    redis.resume();
    expect(await say('get', 'a')).toBe('1');
  });

  it('is gone when killed, comes back empty at the same address, and ends with the scenario', async () => {
    await say('set', 'a', '1');
    await redis.kill();
    await expect(say('get', 'a')).rejects.toThrow('Could not connect');
    await redis.restart();
    expect(await say('get', 'a')).toBe('');
    await bench.close();
    await expect(say('get', 'a')).rejects.toThrow('Could not connect');
  });
});
