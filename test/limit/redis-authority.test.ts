import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { LeaseAnswer } from '../../src/core/limit.ts';
import type { LimitSpec } from '../../src/core/principal.ts';
import { bucketKeys } from '../../src/limit/redis-keys.ts';
import { type RedisNode, redisSettings, startRedis } from '../e2e/redis.ts';
import { sleep, waitUntil } from '../e2e/wait.ts';
import { asked, excess, type Host, openHost, spendAll } from './redis-support.ts';

const LARGE: LimitSpec = { perSecond: 1000, burst: 500, failMode: 'local' };
const SMALL: LimitSpec = { perSecond: 0.5, burst: 5, failMode: 'local' };

let redis: RedisNode;
let serial = 0;
let prefix = '';

beforeAll(async () => {
  redis = await startRedis();
});

/** Each test has keys of its own, in an epoch that began long ago: unknown buckets are full. */
beforeEach(async () => {
  prefix = `t${serial++}:`;
  await age(prefix);
});

async function age(of: string): Promise<void> {
  const pairs = Array.from({ length: 64 }, (_, tag) => [`${of}{mg-${String(tag).padStart(2, '0')}}:epoch`, '1000000']);
  await redis.cli('mset', ...pairs.flat());
}

function settings(maxHosts = 2) {
  return redisSettings([redis], { prefix, maxHosts });
}

/** Tokens that Redis believes to be held of a key. */
async function heldInRedis(key: string): Promise<number> {
  const lines = (await redis.cli('hvals', bucketKeys(prefix, key).keys[0])).split('\n');
  return lines.filter((line) => / /.test(line)).reduce((sum, line) => sum + Number(line.split(' ')[0]), 0);
}

describe('a host that leases from Redis', () => {
  it('fetches a lease once and grants workers out of it without asking again', async () => {
    const host = await openHost(settings());
    const first = await asked(host, { spec: LARGE, want: 12 });
    expect(first).toMatchObject({ granted: 12, waitMs: 0, mode: 'remote', isSync: false });
    const second = await asked(host, { spec: LARGE, want: 12, holder: 1 });
    expect(second).toMatchObject({ granted: 12, isSync: true });
    // What the workers hold, and a tenth of the burst, soon.
    await waitUntil(async () => (await heldInRedis('k')) === 74, { what: 'the pool is filled' });
  });

  it('keeps a tenth of the burst at most, less where other hosts ask for the same key', async () => {
    const spec = { ...LARGE, perSecond: 0.01 };
    const hosts = [await openHost(settings()), await openHost(settings())];
    for (let round = 0; round < 12; round++) {
      for (const host of hosts) {
        const { granted } = await asked(host, { spec, want: 12 });
        host.authority.giveBack(0, 'k', 0, 0);
        expect(granted).toBe(12);
      }
      expect(await heldInRedis('k')).toBeLessThanOrEqual(100);
    }
    // For each host a twentieth, and what its worker was just given.
    expect(await heldInRedis('k')).toBeLessThanOrEqual(2 * (25 + 12));
  });

  it('gives workers a tenth of the burst at most ahead of need, less where other hosts ask for the same key', async () => {
    const spec = { ...LARGE, perSecond: 0.01 };
    const hosts = [await openHost(settings()), await openHost(settings())];
    const ahead = async (host: Host, holder: number, have: number): Promise<LeaseAnswer> =>
      await asked(host, { spec, holder, want: 25 - have, atLeast: 25 - have, have, ahead: 25 - have });
    for (const host of hosts) await ahead(host, 0, 0);
    for (const host of hosts) host.authority.giveBack(0, 'k', 0, 0);
    // More than there is in their pools: Redis says how many hosts there are.
    for (const host of hosts) await asked(host, { spec, atLeast: 60 });
    for (const host of hosts) host.authority.giveBack(0, 'k', 0, 0);
    for (const host of hosts) {
      for (const holder of [0, 1]) {
        expect(await ahead(host, holder, 0)).toMatchObject({ granted: 12 });
        expect(await ahead(host, holder, 12)).toMatchObject({ granted: 0, waitMs: 100, mode: 'remote', isSync: true });
        expect(await ahead(host, holder, 10)).toMatchObject({ granted: 2 });
      }
    }
    const fast = { ...spec, perSecond: 1000 };
    // Half of twelve tokens are spent in six milliseconds.
    expect(await asked(hosts[0] as Host, { spec: fast, want: 13, atLeast: 13, have: 12, ahead: 13 })).toMatchObject({
      granted: 0,
      waitMs: 6,
    });
    // What requests need is no part of it.
    expect((await asked(hosts[0] as Host, { spec, atLeast: 40, have: 12 })).granted).toBe(40);
  });

  it('grants more than its lease when requests wait for it, and never more than the limit', async () => {
    const host = await openHost(settings());
    expect((await asked(host, { spec: LARGE, atLeast: 300 })).granted).toBe(300);
    expect((await asked(host, { spec: LARGE, atLeast: 501 })).granted).toBe(0);
    expect((await asked(host, { spec: LARGE, atLeast: 100, holder: 1 })).granted).toBe(100);
  });

  it('returns what nobody asks for any more, and forgets the key', async () => {
    const host = await openHost(settings());
    await asked(host, { spec: LARGE, want: 12 });
    host.authority.giveBack(0, 'k', 10, 0);
    await waitUntil(() => host.authority.size === 0, { what: 'forgetting' });
    expect(await heldInRedis('k')).toBe(0);
    expect((await asked(host, { spec: LARGE, want: 12 })).left).toBeGreaterThan(470);
  });

  it('renews what its workers hold for as long as they hold it', async () => {
    const host = await openHost(settings());
    const slow = { ...LARGE, perSecond: 0.01 };
    await asked(host, { spec: slow, want: 12 });
    await sleep(5000);
    expect(await heldInRedis('k')).toBe(12);
    const other = await openHost(settings());
    expect((await asked(other, { spec: slow, atLeast: 489 })).granted).toBe(0);
    expect((await asked(other, { spec: slow, atLeast: 488 })).granted).toBe(488);
  });

  it('counts what a lost worker held as spent', async () => {
    const host = await openHost(settings());
    const slow = { ...LARGE, perSecond: 0.01 };
    await asked(host, { spec: slow, atLeast: 400 });
    host.authority.lost(0);
    await waitUntil(async () => (await heldInRedis('k')) < 30, { what: 'the loss' });
    expect((await asked(host, { spec: slow, atLeast: 101, holder: 1 })).granted).toBe(0);
  });

  it('grants nothing to a worker that was lost while it waited for Redis', async () => {
    const host = await openHost(settings());
    const slow = { ...LARGE, perSecond: 0.01 };
    const answers: number[] = [];
    const ask = { key: 'k', limit: 'principal', spec: slow, want: 12, atLeast: 12, have: 0, ahead: 0 } as const;
    host.authority.ask(0, ask, ({ granted }) => void answers.push(granted));
    host.authority.lost(0);
    await waitUntil(() => host.authority.size === 0, { what: 'forgetting' });
    expect(answers).toEqual([]);
    expect(await heldInRedis('k')).toBe(0);
    expect((await asked(host, { spec: slow, atLeast: 500, holder: 1 })).granted).toBe(500);
  });

  it('frees what a dead host held, but not at once', async () => {
    const dead = await openHost(settings());
    const spec = { ...LARGE, perSecond: 100 };
    await asked(dead, { spec, atLeast: 500 });
    await dead.close();
    const host = await openHost(settings());
    await sleep(1000);
    expect((await asked(host, { spec, atLeast: 1 })).granted).toBe(0);
    await sleep(3500);
    const { granted } = await asked(host, { spec, want: 100, atLeast: 1 });
    expect(granted).toBeGreaterThan(0);
    expect(granted).toBeLessThanOrEqual(100);
  });

  it('answers a flood without Redis once it was denied', async () => {
    const host = await openHost(settings());
    const slow = { ...LARGE, perSecond: 1 };
    await asked(host, { spec: slow, atLeast: 500 });
    await asked(host, { spec: slow });
    const { calls } = host.authority.stats();
    const answers = await Promise.all(Array.from({ length: 5000 }, async () => await asked(host, { spec: slow })));
    expect(answers.every(({ granted, isSync }) => granted === 0 && isSync)).toBe(true);
    expect(host.authority.stats().calls - calls).toBeLessThan(5);
  });
});

describe('a small limit', () => {
  it('is decided by Redis each time, and holds exactly over hosts and workers', async () => {
    const hosts = [await openHost(settings()), await openHost(settings())];
    const lefts: number[] = [];
    for (let turn = 0; turn < 5; turn++) {
      const answer = await asked(hosts[turn % 2] as (typeof hosts)[0], { spec: SMALL, holder: turn >> 1 });
      expect(answer.granted).toBe(1);
      lefts.push(answer.left);
    }
    expect(lefts).toEqual([4, 3, 2, 1, 0]);
    const refused = await Promise.all(hosts.map(async (host) => await asked(host, { spec: SMALL })));
    expect(refused.map(({ granted }) => granted)).toEqual([0, 0]);
    for (const { waitMs } of refused) expect(waitMs).toBeGreaterThan(1500);
  });

  it('refills while its workers report what they spent, even where one token is all there is', async () => {
    const spec: LimitSpec = { perSecond: 20, burst: 1, failMode: 'local' };
    const host = await openHost(settings());
    const fromMs = performance.now();
    let granted = 0;
    // However long a busy machine takes: without the reports it would be one token for good.
    while (granted < 28) {
      const answer = await asked(host, { spec });
      granted += answer.granted;
      if (answer.granted > 0) host.authority.giveBack(0, 'k', 0, 0);
      else await sleep(Math.min(20, answer.waitMs));
    }
    expect(granted - 1).toBeLessThanOrEqual(((performance.now() - fromMs) / 1000) * spec.perSecond + 1);
  });

  it('gives tokens back that turned out not to be needed', async () => {
    const host = await openHost(settings());
    await asked(host, { spec: SMALL, atLeast: 5 });
    host.authority.giveBack(0, 'k', 2, 0);
    expect((await asked(host, { spec: SMALL, atLeast: 2 })).granted).toBe(2);
    host.authority.giveBack(0, 'k', 50, 0);
    expect((await asked(host, { spec: SMALL, atLeast: 3 })).granted).toBe(0);
  });
});

describe('hosts together', () => {
  it('admit at three times the demand at most burst + rate × time in every window, and nearly all of that', async () => {
    const hosts = [await openHost(settings(), { workers: 4 }), await openHost(settings(), { workers: 4 })];
    const startMs = performance.now();
    const workers = hosts.flatMap((host) => Array.from({ length: 4 }, (_, holder) => ({ host, holder })));
    const spent = await Promise.all(
      workers.map(async ({ host, holder }) => await spendAll(host, { spec: LARGE, holder, want: 12 }, startMs + 4000)),
    );
    expect(excess(spent.flat(), LARGE)).toBeLessThanOrEqual(0);
    expect(spent.flat().length).toBeGreaterThanOrEqual(0.97 * (500 + 4 * 1000) - 25);
  });

  it('keep the bound with a small limit as well', async () => {
    const spec: LimitSpec = { perSecond: 50, burst: 10, failMode: 'local' };
    const hosts = [await openHost(settings()), await openHost(settings())];
    const startMs = performance.now();
    const workers = hosts.flatMap((host) => [0, 1].map((holder) => ({ host, holder })));
    const spent = await Promise.all(workers.map(async ({ host, holder }) => await spendAll(host, { spec, holder }, startMs + 3000)));
    expect(excess(spent.flat(), spec)).toBeLessThanOrEqual(0);
    expect(spent.flat().length).toBeGreaterThanOrEqual(0.9 * (10 + 3 * 50));
  });
});

describe('keys without end', () => {
  it('take no more room than configured, and the tokens of a forgotten one stay counted', async () => {
    const host = await openHost(settings(), { maxKeys: 50 });
    const slow = { ...LARGE, perSecond: 0.01 };
    await asked(host, { key: 'first', spec: slow, atLeast: 400 });
    for (let at = 0; at < 200; at++) {
      const { granted } = await asked(host, { key: `flood ${at}`, spec: slow });
      expect(granted).toBe(1);
    }
    expect(host.authority.size).toBe(50);
    const other = await openHost(settings());
    expect((await asked(other, { key: 'first', spec: slow, atLeast: 101 })).granted).toBe(0);
  });
});

describe('a closed authority', () => {
  it('gives its pool back and answers nobody', async () => {
    const host = await openHost(settings());
    const slow = { ...LARGE, perSecond: 0.01 };
    await asked(host, { spec: slow, want: 1 });
    expect(await heldInRedis('k')).toBe(26);
    await host.authority.close();
    await waitUntil(async () => (await heldInRedis('k')) === 1, { what: 'the return' });
    const answers: LeaseAnswer[] = [];
    host.authority.ask(0, { key: 'k', limit: 'principal', spec: slow, want: 1, atLeast: 1, have: 0, ahead: 0 }, (answer) =>
      answers.push(answer),
    );
    host.authority.sweep(systemClock.nowMs());
    await sleep(50);
    expect(answers).toEqual([]);
  });
});
