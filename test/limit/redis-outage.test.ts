import { describe, expect, it } from 'vitest';
import type { LimitSpec } from '../../src/core/principal.ts';
import { RedisOutage } from '../../src/limit/redis-outage.ts';
import { redisSettings, startCluster, startRedis, startSentinels, type RedisNode } from '../e2e/redis.ts';
import { sleep, waitUntil } from '../e2e/wait.ts';
import { asked, excess, type Answered, type Host, openHost, slowProxy, spendAll } from './redis-support.ts';

const LOCAL: LimitSpec = { perSecond: 200, burst: 100, failMode: 'local' };
const CLOSED: LimitSpec = { ...LOCAL, failMode: 'closed' };
const OPEN: LimitSpec = { ...LOCAL, failMode: 'open' };
/** What a wait of 15 ms may last on a machine that does other things as well. */
const WAIT_MS = 80;

/** Begins all epochs long ago, so that unknown buckets are full. */
async function age(node: RedisNode): Promise<void> {
  for (let tag = 0; tag < 64; tag++)
    await node.cli('set', `mcp-guard:{mg-${String(tag).padStart(2, '0')}}:epoch`, '1000000').catch(() => '');
}

/** Asks on many keys at once until the host has noticed that Redis is gone: then nobody waits, whatever the key. */
async function notice(host: Host, spec: LimitSpec): Promise<readonly Answered[]> {
  const answers: Answered[] = [];
  const areSync = async (turn: number): Promise<boolean> => {
    const keys = ['notice a', 'notice b', `notice ${turn}`];
    const some = await Promise.all(keys.map(async (key) => await asked(host, { key, spec })));
    answers.push(...some);
    return some.every(({ isSync }) => isSync);
  };
  let turn = 0;
  await waitUntil(async () => await areSync(turn++), { what: 'the outage to be noticed' });
  return answers;
}

async function untilRemote(host: Host, spec: LimitSpec): Promise<void> {
  const isBack = async (): Promise<boolean> => (await asked(host, { key: 'probe', spec })).mode === 'remote';
  await waitUntil(isBack, { what: 'recovery', timeoutMs: 15_000 });
}

describe.each([
  ['is killed', async (node: RedisNode) => await node.kill(), async (node: RedisNode) => await node.restart()],
  ['hangs', async (node: RedisNode) => node.hang(), async (node: RedisNode) => node.resume()],
] as const)('when Redis %s', (_name, fail, recover) => {
  it('nobody waits longer than the limit of a wait, then nobody waits, and each limit does as configured', async () => {
    const redis = await startRedis();
    await age(redis);
    const host = await openHost(redisSettings([redis]));
    await asked(host, { spec: CLOSED, key: 'c' });
    await fail(redis);
    const answers = await notice(host, CLOSED);
    expect(Math.max(...answers.map(({ ms }) => ms))).toBeLessThan(WAIT_MS);
    expect(answers.every(({ granted, mode }) => granted === 0 && mode === 'closed')).toBe(true);
    const after = [
      await asked(host, { spec: CLOSED, key: 'new closed' }),
      await asked(host, { spec: OPEN, key: 'new open', want: 7 }),
      await asked(host, { spec: LOCAL, key: 'new local', atLeast: 50 }),
    ];
    expect(after.map(({ isSync }) => isSync)).toEqual([true, true, true]);
    expect(after.map(({ granted, mode }) => [granted, mode])).toEqual([
      [0, 'closed'],
      [7, 'open'],
      [0, 'local'],
    ]);
    await recover(redis);
    await untilRemote(host, LOCAL);
  });

  it('a local share begins empty, stays below its part, and is paid for afterwards', async () => {
    const redis = await startRedis();
    await age(redis);
    const host = await openHost(redisSettings([redis]));
    const before = await asked(host, { spec: LOCAL, atLeast: 100 });
    expect(before.granted).toBe(100);
    await fail(redis);
    const spent = await spendAll(host, { spec: LOCAL, want: 4 }, performance.now() + 2000);
    expect(spent.length).toBeLessThanOrEqual(2 * 100 + 1);
    expect(spent.length).toBeGreaterThanOrEqual(150);
    expect((await asked(host, { spec: { ...LOCAL, burst: 1 }, key: 'indivisible' })).granted).toBe(0);
    await recover(redis);
    await untilRemote(host, LOCAL);
    expect((await asked(host, { spec: LOCAL, atLeast: 100 })).granted).toBe(0);
  });
});

describe('a Redis that hangs while one key alone is asked for', () => {
  const hung = async (): Promise<{ redis: RedisNode; host: Host }> => {
    const redis = await startRedis();
    await age(redis);
    const host = await openHost(redisSettings([redis]));
    redis.hang();
    return { redis, host };
  };

  it('is waited for once: who comes while it owes an answer is decided at once', async () => {
    const { redis, host } = await hung();
    const [first, second] = await Promise.all([asked(host, { spec: CLOSED }), asked(host, { spec: CLOSED, holder: 1 })]);
    expect([first.mode, second.mode, first.isSync]).toEqual(['closed', 'closed', false]);
    expect(await asked(host, { spec: CLOSED })).toMatchObject({ granted: 0, mode: 'closed', isSync: true });
    expect(await asked(host, { spec: OPEN, key: 'k' })).toMatchObject({ granted: 1, mode: 'open', isSync: true });
    redis.resume();
    await waitUntil(async () => (await asked(host, { spec: CLOSED })).mode === 'remote', { what: 'an answer of Redis' });
  });

  it('counts as lost for every key when the answer does not come in a tenth of a second', async () => {
    const { redis, host } = await hung();
    await asked(host, { spec: CLOSED });
    await sleep(200);
    expect(await asked(host, { spec: CLOSED, key: 'another' })).toMatchObject({ granted: 0, mode: 'closed', isSync: true });
    redis.resume();
    await untilRemote(host, CLOSED);
  });
});

describe('a Redis that is slow by half a second', () => {
  it('counts as lost, and is asked again when it is fast', async () => {
    const redis = await startRedis();
    await age(redis);
    const proxy = await slowProxy(redis.port);
    const host = await openHost(redisSettings([{ host: '127.0.0.1', port: proxy.port }]));
    await untilRemote(host, CLOSED);
    proxy.delayMs = 500;
    const answers = await notice(host, CLOSED);
    expect(Math.max(...answers.map(({ ms }) => ms))).toBeLessThan(WAIT_MS);
    await sleep(2500);
    expect(await asked(host, { spec: CLOSED, key: 'x' })).toMatchObject({ granted: 0, mode: 'closed', isSync: true });
    proxy.delayMs = 0;
    await untilRemote(host, CLOSED);
  });
});

describe('when Redis is flushed', () => {
  it('nobody gets a burst a second time', async () => {
    const redis = await startRedis();
    await age(redis);
    const hosts = [await openHost(redisSettings([redis])), await openHost(redisSettings([redis]))];
    const untilMs = performance.now() + 3000;
    const flushes = (async () => {
      for (let turn = 0; turn < 3; turn++) {
        await sleep(700);
        await redis.cli('flushall');
        if (turn === 1) await redis.cli('script', 'flush');
      }
    })();
    const spent = await Promise.all(hosts.map(async (host) => await spendAll(host, { spec: LOCAL, want: 4 }, untilMs)));
    await flushes;
    expect(excess(spent.flat(), LOCAL)).toBeLessThanOrEqual(0);
    expect(spent.flat().length).toBeGreaterThan(250);
  });
});

describe('when Sentinels promote the replica', () => {
  it('limits go on from what the replica knows', { timeout: 60_000 }, async () => {
    const { name, master, replica, sentinels } = await startSentinels();
    await age(master);
    const host = await openHost(redisSettings(sentinels, { mode: 'sentinel', sentinelName: name }));
    const slow: LimitSpec = { perSecond: 0.5, burst: 40, failMode: 'closed' };
    expect((await asked(host, { spec: slow, atLeast: 40 })).granted).toBe(40);
    await sleep(500);
    await master.kill();
    const answers = await notice(host, slow);
    expect(answers.every(({ granted }) => granted === 0)).toBe(true);
    await waitUntil(async () => (await replica.cli('info', 'replication')).includes('role:master'), {
      what: 'promotion',
      timeoutMs: 25_000,
    });
    await untilRemote(host, LOCAL);
    const { granted, mode } = await asked(host, { spec: slow, atLeast: 30 });
    expect({ granted, mode }).toEqual({ granted: 0, mode: 'remote' });
  });
});

describe('when a node of a Cluster dies', () => {
  it('only the keys on it fall back', { timeout: 60_000 }, async () => {
    const nodes = await startCluster();
    const host = await openHost(redisSettings(nodes, { mode: 'cluster' }));
    await sleep(500);
    const keys = Array.from({ length: 60 }, (_, at) => `key ${at}`);
    const modes = async (): Promise<readonly string[]> =>
      (await Promise.all(keys.map(async (key) => await asked(host, { key, spec: CLOSED })))).map(({ mode }) => mode);
    expect(new Set(await modes())).toEqual(new Set(['remote']));
    await nodes[0]?.kill();
    await sleep(300);
    for (let turn = 0; turn < 8; turn++) await modes();
    const after = await modes();
    expect(after.filter((mode) => mode === 'remote').length).toBeGreaterThan(20);
    expect(after.filter((mode) => mode === 'closed').length).toBeGreaterThan(5);
  });
});

describe('the breaker of an outage', () => {
  it('opens after five failures in a second, lets a probe through each second, and names each outage', () => {
    const outage = new RedisOutage(() => 0.5);
    for (const ms of [0, 10, 20, 30]) outage.failed(ms);
    expect([outage.isOpen, outage.sinceMs(40)]).toEqual([false, 0]);
    outage.failed(40);
    expect([outage.isOpen, outage.mayProbe(50)]).toEqual([true, false]);
    expect([outage.mayProbe(1300), outage.mayProbe(1310)]).toEqual([true, false]);
    const { id } = outage;
    outage.succeeded();
    expect([outage.isOpen, outage.id, outage.sinceMs(2000)]).toEqual([false, -1, 2000]);
    outage.failed(5000);
    expect(outage.id).not.toBe(id);
  });
});
