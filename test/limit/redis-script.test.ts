import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Store } from '../../src/core/store.ts';
import { bucketKeys, TAG_COUNT } from '../../src/limit/redis-keys.ts';
import { decodeLeases, LEASE_SCRIPT, type LeaseCall, type LeaseReply, leaseArg, TOUCH_SCRIPT } from '../../src/limit/redis-script.ts';
import { RedisStore } from '../../src/store/redis-store.ts';
import { type RedisNode, redisSettings, startRedis } from '../e2e/redis.ts';
import { sleep, waitUntil } from '../e2e/wait.ts';

const TOKEN = 1_000_000;

let redis: RedisNode;
let store: Store;
let serial = 0;
let numbers = 0;

beforeAll(async () => {
  redis = await startRedis();
  store = new RedisStore(redisSettings([redis]));
  await waitUntil(() => store.state === 'ready', { what: 'the store' });
});

afterAll(async () => {
  await store.close();
});

/** A bucket of its own. `epochAgeMs`: how long ago its epoch began; a day makes it full. */
async function newBucket(epochAgeMs = 86_400_000): Promise<readonly [string, string]> {
  const name = `{t-${serial++}}`;
  await redis.cli('set', `${name}:epoch`, String((Date.now() - epochAgeMs) * 1000));
  return [`${name}:bucket`, `${name}:epoch`];
}

const CALL: Omit<LeaseCall, 'number'> = {
  perSecond: 10,
  burst: 10,
  want: 0,
  atLeast: 1,
  holder: 'a',
  have: 0,
  back: 0,
  debt: 0,
  deadAfterMs: 4000,
  target: 1,
};

async function maybeAsk(keys: readonly string[], call: Partial<LeaseCall>): Promise<LeaseReply | null> {
  const whole = { ...CALL, number: ++numbers, ...call };
  const args = [leaseArg({ ...whole, target: call.target ?? whole.atLeast })];
  const [result = 'failed'] = decodeLeases(await store.run(LEASE_SCRIPT, keys, args), 1);
  if (result === 'failed') throw new Error('a failed step');
  return result;
}

async function ask(keys: readonly string[], call: Partial<LeaseCall>): Promise<LeaseReply> {
  const reply = await maybeAsk(keys, call);
  if (reply === null) throw new Error('a stale call');
  return reply;
}

interface Stored {
  /** Millionths. */
  readonly level: number;
  readonly held: number;
  readonly at: number;
}

async function stored(key: string): Promise<Stored> {
  const lines = (await redis.cli('hgetall', key)).split('\n');
  const fields = new Map(lines.flatMap((name, at): [string, string][] => (at % 2 === 0 ? [[name, lines[at + 1] ?? '']] : [])));
  const held = [...fields].filter(([name]) => name.startsWith('h:')).reduce((sum, [, value]) => sum + Number(value.split(' ')[0]), 0);
  return { level: Number(fields.get('x')), held, at: Number(fields.get('t')) };
}

describe('a bucket in Redis', () => {
  it('begins full when its epoch is old, and is granted at least as much as is needed or nothing', async () => {
    const [bucket, epoch] = await newBucket();
    expect(await ask([bucket, epoch], { want: 4 })).toEqual({ granted: 4, waitMs: 0, left: 6, hosts: 1 });
    const refused = await ask([bucket, epoch], { want: 8, atLeast: 8, have: 4 });
    expect(refused.granted).toBe(0);
    expect(refused.waitMs).toBeGreaterThan(150);
    expect(refused.waitMs).toBeLessThanOrEqual(200);
    expect((await ask([bucket, epoch], { want: 8, have: 4 })).granted).toBe(6);
  });

  it('never lets level and held tokens exceed the burst, however long it idles', async () => {
    const keys = await newBucket();
    await ask(keys, { perSecond: 10_000, want: 6 });
    await sleep(30);
    expect((await ask(keys, { perSecond: 10_000, holder: 'b', want: 10 })).granted).toBe(4);
    // What the first one spent comes back by refill only.
    await ask(keys, { perSecond: 0.001, have: 2 });
    expect((await ask(keys, { perSecond: 0.001, holder: 'b', have: 4, want: 10 })).granted).toBe(0);
  });

  it('takes tokens back, but none that its holder was not known to have', async () => {
    const keys = await newBucket();
    await ask(keys, { perSecond: 0.001, want: 8 });
    expect((await ask(keys, { perSecond: 0.001, back: 3, have: 5 })).left).toBe(5);
    expect((await ask(keys, { perSecond: 0.001, back: 50, have: 5 })).left).toBe(5);
    expect((await ask(keys, { perSecond: 0.001, holder: 'stranger', back: 9 })).left).toBe(5);
  });

  it('counts what a silent holder has as spent, from the moment it is dead, and credits the refill since then', async () => {
    const keys = await newBucket();
    await ask(keys, { perSecond: 100, want: 10, deadAfterMs: 60 });
    expect((await ask(keys, { perSecond: 100, holder: 'b', want: 10 })).granted).toBe(0);
    await sleep(100);
    const { granted } = await ask(keys, { perSecond: 100, holder: 'b', want: 10 });
    expect(granted).toBeGreaterThanOrEqual(3);
    expect((await stored(keys[0])).held).toBe(granted);
  });

  it('takes a returned holder at its word, without a token more than the burst', async () => {
    const keys = await newBucket();
    await ask(keys, { perSecond: 1000, want: 6, deadAfterMs: 20 });
    await sleep(60);
    const { left } = await ask(keys, { perSecond: 1000, have: 6 });
    expect(left).toBe(4);
  });

  it('ignores a call that is older than the last one of its holder', async () => {
    const keys = await newBucket();
    await ask(keys, { number: 1_000_000, want: 2 });
    const before = await stored(keys[0]);
    expect(await maybeAsk(keys, { number: 999_999, want: 2, have: 0, debt: 5 })).toBeNull();
    expect(await maybeAsk(keys, { number: 1_000_000, want: 2 })).toBeNull();
    expect(await stored(keys[0])).toEqual(before);
  });

  it('takes a debt off the level, but no more than a burst below nothing', async () => {
    const keys = await newBucket();
    const { waitMs } = await ask(keys, { debt: 15, want: 1 });
    expect(waitMs).toBeGreaterThan(550);
    expect(waitMs).toBeLessThanOrEqual(600);
    await ask(keys, { debt: 1000 });
    expect((await stored(keys[0])).level).toBe(-10 * TOKEN);
  });

  it('is worth what the time since the epoch is worth when it is missing', async () => {
    const keys = await newBucket(300);
    const { granted } = await ask(keys, { want: 10, deadAfterMs: 0 });
    expect(granted).toBeGreaterThanOrEqual(3);
    expect(granted).toBeLessThanOrEqual(5);
    const flushed = await newBucket();
    await redis.cli('del', flushed[1]);
    expect((await ask(flushed, { want: 1 })).granted).toBe(0);
    expect(await redis.cli('exists', flushed[1])).toBe('1');
  });

  it('allows in a young epoch for holders that have not called yet', async () => {
    const keys = await newBucket(2000);
    expect((await ask(keys, { perSecond: 1000, burst: 100, want: 100 })).granted).toBe(80);
  });

  it('gains nothing from a clock that was set back', async () => {
    const keys = await newBucket();
    await ask(keys, { want: 10 });
    const future = (Date.now() + 3_600_000) * 1000;
    await redis.cli('hset', keys[0], 't', `${future}.00`);
    expect((await ask(keys, { want: 1 })).granted).toBe(0);
    expect((await stored(keys[0])).at).toBeLessThan(future);
    await sleep(120);
    expect((await ask(keys, { want: 1 })).granted).toBe(1);
  });

  it('refills at its rate in steps of microseconds, whatever the rate', async () => {
    for (const perSecond of [0.3, 33.3, 999.9, 250_000]) {
      const keys = await newBucket();
      await ask(keys, { perSecond, burst: 1_000_000, debt: 1_000_000 });
      const start = await stored(keys[0]);
      for (let turn = 0; turn < 50; turn++) await ask(keys, { perSecond, burst: 1_000_000 });
      const end = await stored(keys[0]);
      const worth = (end.at - start.at) * perSecond;
      expect(end.level - start.level).toBeLessThanOrEqual(worth + 1e-3);
      expect(end.level - start.level).toBeGreaterThanOrEqual(worth * 0.999 - 50);
    }
  });

  it('is forgotten when it is full again and nobody holds anything', async () => {
    const keys = await newBucket();
    await ask(keys, { want: 10, deadAfterMs: 500 });
    const ms = Number(await redis.cli('pttl', keys[0]));
    expect(ms).toBeGreaterThan(2000);
    expect(ms).toBeLessThanOrEqual(2600);
  });

  it('keeps every token in place under random calls of three holders', async () => {
    const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
    let state = seed;
    const draw = (below: number): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    for (let round = 0; round < 12; round++) {
      const keys = await newBucket();
      const perSecond = [0.5, 40, 3000][draw(3)] as number;
      const burst = 1 + draw(200);
      const tokens = [0, 0, 0];
      const startUs = Date.now() * 1000;
      let spent = 0;
      for (let step = 0; step < 40; step++) {
        const who = draw(3);
        const before = tokens[who] as number;
        const used = draw(before + 1);
        const back = draw(3) === 0 ? draw(before - used + 1) : 0;
        const have = before - used - back;
        const reply = await ask(keys, {
          perSecond,
          burst,
          holder: `h${who}`,
          want: draw(2) * (1 + draw(burst)),
          have,
          back,
          deadAfterMs: 60_000,
        });
        tokens[who] = have + reply.granted;
        spent += used;
        const held = tokens.reduce((sum, one) => sum + one, 0);
        const now = await stored(keys[0]);
        expect(now.held, `SEED=${seed}`).toBe(held);
        expect(now.level, `SEED=${seed}`).toBeLessThanOrEqual((burst - held) * TOKEN);
        const sinceUs = Date.now() * 1000 - startUs + 2000;
        expect((spent + held) * TOKEN + now.level, `SEED=${seed}`).toBeLessThanOrEqual(burst * TOKEN + sinceUs * perSecond);
      }
    }
  });

  it('admits sixty-four clients that hammer it at most burst + rate × time, and nearly all of that', async () => {
    const keys = await newBucket();
    const [perSecond, burst] = [1000, 2000];
    const startMs = performance.now();
    let granted = 0;
    const client = async (name: number): Promise<void> => {
      while (performance.now() - startMs < 2000) {
        const reply = await ask(keys, { perSecond, burst, holder: `c${name}`, want: 1 + (name % 3) });
        granted += reply.granted;
      }
    };
    await Promise.all(Array.from({ length: 64 }, async (_, name) => await client(name)));
    const elapsedMs = performance.now() - startMs;
    expect(granted).toBeLessThanOrEqual(burst + (perSecond * elapsedMs) / 1000);
    expect(granted).toBeGreaterThanOrEqual(0.97 * (burst + perSecond * 2));
  });
});

describe('the names of buckets', () => {
  it('lie with their epoch on one of the tags, and hide what the caller chose', () => {
    const hostile = ['api_key:alice', '}{mg-00}', 'tool:\r\nFLUSHALL\r\n', 'x'.repeat(100_000), '', '\u0000', 'ä'.repeat(9)];
    const all = hostile.map((key) => bucketKeys('mcp-guard:', key));
    for (const { tag, keys } of all) {
      expect(keys[0]).toMatch(/^mcp-guard:\{mg-\d\d\}:[A-Za-z0-9_-]{27}$/);
      expect(keys[1]).toBe(`${keys[0].slice(0, -28)}:epoch`);
      expect(keys[0]).toContain(`{mg-${String(tag).padStart(2, '0')}}`);
    }
    expect(new Set(all.map(({ keys }) => keys[0])).size).toBe(hostile.length);
  });

  it('are spread over all tags', () => {
    const tags = Array.from({ length: 4000 }, (_, at) => bucketKeys('', `principal:${at}`).tag);
    expect(new Set(tags).size).toBe(TAG_COUNT);
  });

  it('have an epoch that is begun once', async () => {
    await store.run(TOUCH_SCRIPT, ['{once}:epoch'], []);
    const began = await redis.cli('get', '{once}:epoch');
    await sleep(5);
    await store.run(TOUCH_SCRIPT, ['{once}:epoch'], []);
    expect(await redis.cli('get', '{once}:epoch')).toBe(began);
    expect(Math.abs(Number(began) / 1000 - Date.now())).toBeLessThan(5000);
  });
});

describe('several steps in one call', () => {
  it('are answered each, in order, also on one bucket', async () => {
    const [keys, other] = [await newBucket(), await newBucket()];
    const steps: readonly (readonly [readonly string[], Partial<LeaseCall>])[] = [
      [keys, { want: 4, number: 1 }],
      [other, { want: 11, atLeast: 11, number: 1 }],
      [keys, { want: 10, have: 4, number: 2 }],
      [keys, { want: 1, number: 2 }],
    ];
    const args = steps.map(([, call]) => leaseArg({ ...CALL, number: 0, ...call }));
    const reply = await store.run(
      LEASE_SCRIPT,
      steps.flatMap(([both]) => both),
      args,
    );
    const [first, denied, second, stale] = decodeLeases(reply, 4);
    expect(first).toEqual({ granted: 4, waitMs: 0, left: 6, hosts: 1 });
    expect(denied).toMatchObject({ granted: 0, left: 10 });
    expect(second).toEqual({ granted: 6, waitMs: 0, left: 0, hosts: 1 });
    expect(stale).toBeNull();
  });

  it('fail one by one, and the call only when all do', async () => {
    const [good, bad] = [await newBucket(), await newBucket()];
    await redis.cli('set', bad[0], 'no bucket');
    const args = [leaseArg({ ...CALL, want: 1, number: 1 })];
    const reply = await store.run(LEASE_SCRIPT, [...bad, ...good], [...args, ...args]);
    expect(decodeLeases(reply, 2)).toEqual(['failed', { granted: 1, waitMs: 0, left: 9, hosts: 1 }]);
    await expect(store.run(LEASE_SCRIPT, [...bad, ...bad], [...args, ...args])).rejects.toThrow('WRONGTYPE');
  });
});

describe('an answer that is none of the script', () => {
  it('is refused', () => {
    for (const reply of [null, 'OK', '', 3, [1, 2, 3, 4], '1 2', '1 2 3 x', '1.5 0 0 0', '1 2 3 4 5', '1 2 3 4 5 6 7 8', '1 2 3 1e99']) {
      expect(() => decodeLeases(reply, 1)).toThrow(TypeError);
    }
    expect(decodeLeases('-1 0 0 0 -2 0 0 0', 2)).toEqual([null, 'failed']);
  });
});
