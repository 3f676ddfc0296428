import { beforeAll, describe, expect, it } from 'vitest';
import { http, isAlive, keyEntry, makeKey, rpc, scrape, sleep, startGateway, toolCall, waitUntil, type Gateway } from './harness.ts';
import { type RedisNode, startRedis } from './redis.ts';
import { startSessionUpstream, type SessionUpstream } from './session-upstream.ts';
import { openSession, type OpenSession, sessionAt } from './sessions.ts';
import { newSecret, startHosts } from './two-hosts.ts';
import { childrenOf } from './worker-processes.ts';

const alice = makeKey();
const asAlice = { key: alice.key };
const sealKey = newSecret();
let upstream: SessionUpstream;
let redis: RedisNode;

beforeAll(async () => {
  upstream = await startSessionUpstream();
  redis = await startRedis();
});

/** A host that shares Redis and the key with the others; each test has a log of its own. */
async function start(prefix: string, session: object = {}, workers = 2): Promise<Gateway> {
  return await startGateway({
    config: {
      server: { workers, admin: { port: 0 } },
      auth: { api_keys: [keyEntry('alice', alice)] },
      rate_limit: { enabled: false },
      redis: { url: `redis://127.0.0.1:${redis.port}`, prefix, max_hosts: 2 },
      session: { seal_keys: [sealKey], ...session },
      upstream: { transport: 'http', url: upstream.url, allow_private_networks: true },
    },
  });
}

async function pair(prefix: string, session: object = {}): Promise<readonly [Gateway, Gateway]> {
  return await Promise.all([start(prefix, session), start(prefix, session)]);
}

const at = (gateway: Gateway, session: OpenSession): OpenSession => sessionAt(gateway.mcp, session, asAlice);

/** Of requests on connections of their own, so that every worker is asked in all likelihood. */
async function statuses(gateway: Gateway, session: OpenSession, mark = 'x'): Promise<ReadonlySet<number>> {
  const answers = await Promise.all(Array.from({ length: 8 }, () => at(gateway, session).post(toolCall('echo', { mark }))));
  return new Set(answers.map(({ status }) => status));
}

const called = (mark: string): number => upstream.of('tools/call').filter(({ body }) => body.includes(mark)).length;
const news = (gateway: Gateway, result: string): Promise<number> => scrape(gateway, `mcp_guard_session_news_total{result="${result}"}`);

/** Until all of a host has heard of an end: no request gets as far as the server. */
async function isOverAt(gateway: Gateway, session: OpenSession): Promise<boolean> {
  const before = called('probe');
  const seen = await statuses(gateway, session, 'probe');
  return seen.size === 1 && seen.has(404) && called('probe') === before;
}

describe('hosts that share Redis', () => {
  it('tell each other which sessions ended: the other one answers 404 itself, and does not ask the server', async () => {
    const [one, other] = await pair('ends:');
    const session = await openSession(one.mcp, asAlice);
    expect(await statuses(other, session)).toEqual(new Set([200]));
    expect((await http('DELETE', one.mcp, { ...asAlice, headers: session.headers })).status).toBe(200);
    await sleep(1500);
    expect(await statuses(other, session, 'after-the-end')).toEqual(new Set([404]));
    expect(called('after-the-end')).toBe(0);
    expect([(await news(one, 'sent')) > 0, (await news(other, 'received')) > 0]).toEqual([true, true]);
  });

  it('tell a host that starts later, and a worker that takes the place of its only one', async () => {
    const one = await start('later:');
    const session = await openSession(one.mcp, asAlice);
    await http('DELETE', one.mcp, { ...asAlice, headers: session.headers });
    await sleep(1500);
    const later = await start('later:', {}, 1);
    await waitUntil(() => isOverAt(later, session), { what: 'news of the end' });
    const [worker] = (await childrenOf(later.pid)) as [number];
    process.kill(worker, 'SIGKILL');
    await waitUntil(async () => (await http('GET', `${later.url}/ready`).catch(() => null))?.status === 200 && !isAlive(worker), {
      what: 'another worker',
    });
    await waitUntil(() => isOverAt(later, session).catch(() => false), { what: 'news of the end for it' });
  });

  it('tell each other which sessions are used: one older than the idle time goes on at a host that never saw it', async () => {
    const [one, other] = await pair('uses:', { idle_ttl_secs: 4 });
    const session = await openSession(one.mcp, asAlice);
    for (let n = 0; n < 14; n++) {
      await sleep(400);
      expect((await session.post(toolCall('echo'))).status).toBe(200);
    }
    expect(await statuses(other, session)).toEqual(new Set([200]));
    await sleep(6000);
    for (const gateway of [one, other]) expect(await statuses(gateway, session)).toEqual(new Set([404]));
  });

  it('count the sessions of a caller together: one more ends the one that was unused longest, wherever it began', async () => {
    const [one, other] = await pair('count:', { max_per_principal: 3 });
    const sessions: OpenSession[] = [];
    for (const gateway of [one, other, one, other]) {
      sessions.push(await openSession(gateway.mcp, asAlice));
      await sleep(1800);
    }
    const [first, ...rest] = sessions as [OpenSession, ...OpenSession[]];
    for (const gateway of [one, other]) await waitUntil(() => isOverAt(gateway, first), { what: 'the end of the first' });
    for (const session of rest) expect((await at(one, session).post(toolCall('echo'))).status).toBe(200);
  });

  it('hear nothing of whoever can write to Redis and has no key: nothing ends, and names cannot be read there', async () => {
    const [one, other] = await pair('forged:');
    const session = await openSession(one.mcp, asAlice);
    await sleep(1500);
    const log = 'forged:{mg-sessions}:news';
    const told = await redis.cli('xrange', log, '-', '+');
    expect(told.length).toBeGreaterThan(50);
    expect(told).not.toMatch(/touched|ended|owner|alice/);
    const forged = JSON.stringify({ host: 'x', touched: [], ended: [{ ref: 'a', untilMs: 9e12 }], cancelled: [] });
    for (const text of [forged, '', 'x'.repeat(100_000), Buffer.from(forged).toString('base64url')])
      await redis.cli('xadd', log, '*', 'n', text);
    await redis.cli('xadd', log, '99999999999999-0', 'n', 'from the future');
    await sleep(1500);
    for (const gateway of [one, other]) expect(await statuses(gateway, session)).toEqual(new Set([200]));
  });

  it('tell what happened during an outage when it is over', { timeout: 60_000 }, async () => {
    const [one, other] = await pair('outage:');
    const session = await openSession(one.mcp, asAlice);
    expect(await statuses(other, session)).toEqual(new Set([200]));
    await redis.kill();
    await http('DELETE', one.mcp, { ...asAlice, headers: session.headers });
    await sleep(1000);
    // The server refuses it meanwhile.
    expect((await rpc(other.mcp, toolCall('echo'), { ...asAlice, headers: session.headers })).status).toBe(404);
    const second = await openSession(one.mcp, asAlice);
    await http('DELETE', one.mcp, { ...asAlice, headers: second.headers });
    await redis.restart();
    await waitUntil(() => isOverAt(other, second), { what: 'news of the end', timeoutMs: 20_000 });
  });
});

describe('hosts that relay sessions to each other, without Redis', () => {
  it('tell the owner of uses: a session that is used by way of another host only does not end for want of use', async () => {
    const { near, far } = await startHosts({ keys: { alice }, more: { session: { seal_keys: [sealKey], idle_ttl_secs: 4 } } });
    const session = await openSession(far.gateway.mcp, asAlice);
    for (let n = 0; n < 16; n++) {
      await sleep(400);
      expect((await at(near.gateway, session).post(toolCall('echo'))).status).toBe(200);
    }
    expect(await statuses(far.gateway, session)).toEqual(new Set([200]));
  });
});
