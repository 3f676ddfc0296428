import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Gateway,
  type HttpUpstream,
  keyEntry,
  makeKey,
  rpc,
  rpcRequest,
  sleep,
  startGateway,
  startHttpUpstream,
  type TestKey,
  waitUntil,
} from './harness.ts';
import { beginEpochsLongAgo, type RedisNode, startRedis } from './redis.ts';

/** No refill worth speaking of: what is admitted is the burst, over however many gateways. */
const SLOW = 0.001;
const LIMITS: Readonly<Record<string, Record<string, unknown>>> = {
  warm: { rate_limit: 10_000, burst: 10_000 },
  small: { rate_limit: SLOW, burst: 10 },
  big: { rate_limit: SLOW, burst: 400 },
  steady: { rate_limit: 200, burst: 200 },
  // Too small for leases: nobody holds any of it when Redis is gone.
  lost: { rate_limit: 100, burst: 15 },
};
const keys = new Map<string, TestKey>(Object.keys(LIMITS).map((id) => [id, makeKey()]));

let upstream: HttpUpstream;
let redis: RedisNode;
let gateways: readonly Gateway[];

async function start(failMode: string): Promise<Gateway> {
  return await startGateway({
    config: {
      server: { workers: 2 },
      auth: { api_keys: Object.entries(LIMITS).map(([id, limit]) => keyEntry(id, keys.get(id) ?? makeKey(), limit)) },
      rate_limit: { fail_mode: failMode },
      redis: { url: `redis://127.0.0.1:${redis.port}`, max_hosts: 2 },
      upstream: { servers: [{ name: 'one', transport: 'http', url: upstream.url, path_prefix: '/', allow_private_networks: true }] },
    },
  });
}

interface Sent {
  readonly status: number;
  readonly ms: number;
}

/** One request on a connection of its own, so that any worker may get it. */
async function ping(gateway: Gateway, id: string): Promise<Sent> {
  const startMs = performance.now();
  const { status } = await rpc(gateway.mcp, rpcRequest('ping'), { key: keys.get(id)?.key ?? '' });
  return { status, ms: performance.now() - startMs };
}

/** So many requests to each gateway, 24 at a time: how many had each status. */
async function flood(id: string, each: number): Promise<ReadonlyMap<number, number>> {
  const statuses = new Map<number, number>();
  const client = async (gateway: Gateway): Promise<void> => {
    for (let turn = 0; turn < each / 12; turn++) {
      const { status } = await ping(gateway, id);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  };
  await Promise.all(gateways.flatMap((gateway) => Array.from({ length: 12 }, async () => await client(gateway))));
  return statuses;
}

beforeAll(async () => {
  upstream = await startHttpUpstream();
  redis = await startRedis();
  await beginEpochsLongAgo(redis);
  gateways = [await start('closed'), await start('closed')];
  // A cold process takes longer than anybody may wait for Redis.
  await flood('warm', 600);
});

describe('two gateways of two workers on one Redis', () => {
  it('admit a small burst exactly', async () => {
    const statuses = await flood('small', 60);
    expect(statuses.get(200)).toBe(10);
    expect(statuses.get(429)).toBeGreaterThan(90);
  });

  it('never admit more of a leased burst than it is, and strand a tenth at most', async () => {
    const admitted = (await flood('big', 480)).get(200);
    expect(admitted).toBeLessThanOrEqual(400);
    expect(admitted).toBeGreaterThanOrEqual(340);
  });

  it('keep to burst and rate while both are hammered', async () => {
    const startMs = performance.now();
    let admitted = 0;
    const client = async (gateway: Gateway): Promise<void> => {
      while (performance.now() - startMs < 4000) if ((await ping(gateway, 'steady')).status === 200) admitted++;
    };
    await Promise.all(gateways.flatMap((gateway) => Array.from({ length: 16 }, async () => await client(gateway))));
    const secs = (performance.now() - startMs) / 1000;
    expect(admitted).toBeLessThanOrEqual(200 + 200 * secs);
    expect(admitted).toBeGreaterThanOrEqual((200 + 200 * 4) * 0.9);
  });

  it('refuse with 503 at once while Redis is gone, when told to, and go on when it is back', async () => {
    const [gateway] = gateways;
    if (gateway === undefined) throw new Error('no gateway');
    expect((await ping(gateway, 'lost')).status).toBe(200);
    await redis.kill();
    await waitUntil(async () => (await ping(gateway, 'lost')).status === 503, { what: 'the loss' });
    await sleep(1500);
    const refused = await Promise.all(Array.from({ length: 20 }, async () => await ping(gateway, 'lost')));
    expect(new Set(refused.map(({ status }) => status))).toEqual(new Set([503]));
    await redis.restart();
    await waitUntil(async () => (await ping(gateway, 'lost')).status === 200, { what: 'recovery', timeoutMs: 15_000 });
    expect(gateway.stderr()).toContain('shared store lost');
  });
});
