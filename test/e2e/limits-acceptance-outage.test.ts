import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { slowProxy } from '../limit/redis-support.ts';
import {
  type Gateway,
  type HttpUpstream,
  keyEntry,
  makeKey,
  rpc,
  scrape,
  sleep,
  startGateway,
  startHttpUpstream,
  toolCall,
  waitUntil,
} from './harness.ts';
import { type Load, type LoadAnswer, machineMs, startLoad } from './load.ts';
import { beginEpochsLongAgo, startRedis, startSentinels } from './redis.ts';
import { decisionsIn, excessOf } from './windows.ts';

/** Too small to be leased to two hosts of two workers: whatever is admitted was asked for. */
const RATE = { perSecond: 100, burst: 15 };
/** A gateway's part of it while it is alone, with two of them allowed. */
const SHARE = { perSecond: RATE.perSecond / 2, burst: Math.floor(RATE.burst / 2) };
const DEMAND = 2 * RATE.perSecond;
const TRAIL = 'audit.jsonl';
const KEY = makeKey();
const ADMIN = makeKey();

/** One tool for each fail mode: all of them meet the same outage. */
const TOOLS = { closed: 'read_file', local: 'write_file', open: 'echo' } as const;
type Mode = keyof typeof TOOLS;
const MODES = Object.keys(TOOLS) as Mode[];

let upstream: HttpUpstream;
beforeAll(async () => {
  upstream = await startHttpUpstream();
});

async function start(url: string): Promise<Gateway> {
  const limit = { requests_per_second: RATE.perSecond, burst_size: RATE.burst };
  const slow = { tool_pattern: 'delete_file', requests_per_second: 0.001, burst_size: 10, fail_mode: 'closed' };
  const toolLimits = MODES.map((mode) => ({ tool_pattern: TOOLS[mode], ...limit, fail_mode: mode }));
  return await startGateway({
    config: {
      server: { workers: 2 },
      auth: {
        api_keys: [
          keyEntry('alice', KEY, { rate_limit: 100_000, burst: 100_000 }),
          keyEntry('root', ADMIN, { roles: ['admin'], rate_limit: 100_000, burst: 100_000 }),
        ],
      },
      rate_limit: { fail_mode: 'open', tool_limits: [...toolLimits, slow] },
      redis: { url, max_hosts: 2 },
      audit: { enabled: true, stdout: false, file: TRAIL, rotation: { max_size_mb: 0 } },
      upstream: { servers: [{ name: 'one', transport: 'http', url: upstream.url, path_prefix: '/', allow_private_networks: true }] },
    },
  });
}

type Loads = Readonly<Record<Mode, Load>>;

function loadOn({ port }: Gateway, mode: Mode): Load {
  const body = JSON.stringify(toolCall(TOOLS[mode]));
  const head = 'POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n';
  return startLoad({
    targets: [{ host: '127.0.0.1', port }],
    connections: 8,
    perSecond: DEMAND,
    request: () => `${head}Authorization: Bearer ${KEY.key}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  });
}

function startLoads(gateway: Gateway): Loads {
  return { closed: loadOn(gateway, 'closed'), local: loadOn(gateway, 'local'), open: loadOn(gateway, 'open') };
}

async function call(gateway: Gateway, tool: string): Promise<number> {
  return (await rpc(gateway.mcp, toolCall(tool), { key: KEY.key })).status;
}

/** How many of the requests that were sent in a span of time had each status. */
function statusesOf({ answers }: Load, fromMs: number, toMs: number): ReadonlyMap<number, number> {
  const statuses = new Map<number, number>();
  const isIn = ({ sentMs, ms }: LoadAnswer): boolean => sentMs >= fromMs && ms < toMs;
  for (const { status } of answers.filter(isIn)) statuses.set(status, (statuses.get(status) ?? 0) + 1);
  return statuses;
}

interface Phase {
  readonly fromMs: number;
  readonly toMs: number;
}

async function phase(ms: number): Promise<Phase> {
  const fromMs = machineMs();
  await sleep(ms);
  return { fromMs, toMs: machineMs() };
}

/** While nobody can be asked, each limit does what was configured. */
function expectOutage(loads: Loads, { fromMs, toMs }: Phase): void {
  const secs = (toMs - fromMs) / 1000;
  const [closed, local, open] = MODES.map((mode) => statusesOf(loads[mode], fromMs, toMs)) as [Status, Status, Status];
  expect([...closed.keys()]).toEqual([503]);
  expect([...open.keys()]).toEqual([200]);
  expect(open.get(200)).toBeGreaterThan(DEMAND * secs * 0.5);
  expect([...local.keys()].toSorted()).toEqual([200, 429]);
  expect(local.get(200)).toBeLessThanOrEqual(SHARE.burst + SHARE.perSecond * secs);
  expect(local.get(200)).toBeGreaterThan(SHARE.perSecond * secs * 0.5);
}
type Status = ReadonlyMap<number, number>;

/** Calls that nobody could be asked for in time. */
function lateIn(loads: Loads, { fromMs, toMs }: Phase): number {
  return statusesOf(loads.closed, fromMs, toMs).get(503) ?? 0;
}

/** One answer that is late by a tenth of a second, as where a machine stands still for as long, is an outage of a second: there are machines on which most phases have one. */
const MAX_TRIES = 15;

/** The first phase in which no more than a few come late: a machine that is busy for seconds says nothing of the limit. */
async function calmPhase(loads: Loads): Promise<Phase> {
  for (let tries = 1; ; tries++) {
    const found = await phase(2000);
    if (tries === MAX_TRIES || lateIn(loads, found) <= fewOf(found)) return found;
  }
}

/** Of the calls of one load. */
function fewOf({ fromMs, toMs }: Phase): number {
  return DEMAND * ((toMs - fromMs) / 1000) * 0.05;
}

/**
 * While Redis is asked, all three are the same limit. An answer that is late by more than 20 ms, because the machine is busy, lets
 * the fail mode decide for those who wait for it: a few of them.
 */
function expectLimit(loads: Loads, { fromMs, toMs }: Phase): void {
  const secs = (toMs - fromMs) / 1000;
  const few = fewOf({ fromMs, toMs });
  for (const mode of MODES) {
    const { 200: admitted = 0, 429: refused = 0, 503: late = 0, ...other } = Object.fromEntries(statusesOf(loads[mode], fromMs, toMs));
    expect(other, mode).toEqual({});
    expect(late, mode).toBeLessThanOrEqual(mode === 'closed' ? few : 0);
    expect(admitted, mode).toBeLessThanOrEqual(RATE.burst + RATE.perSecond * secs + (mode === 'open' ? few : 0));
    expect(admitted, mode).toBeGreaterThan(RATE.perSecond * secs * 0.8);
    expect(refused, mode).toBeGreaterThan((DEMAND - RATE.perSecond) * secs * 0.5);
  }
}

/** The authority is asked again, and debts of the outage are paid. */
async function untilRemote(gateway: Gateway): Promise<void> {
  const isBack = async (): Promise<boolean> =>
    (await scrape(gateway, 'mcp_guard_rate_limit_authority_mode{mode="remote"}', ADMIN.key)) === 1;
  await waitUntil(isBack, { what: 'Redis is asked again', timeoutMs: 15_000 });
  await sleep(1000);
}

/** The trail of the whole run, outages and recoveries included: what is never open kept its limit in every window. */
async function expectTrail(gateway: Gateway): Promise<void> {
  expect((await gateway.stop()).code).toBe(0);
  for (const mode of ['closed', 'local'] as const) {
    const decisions = await decisionsIn([join(gateway.dir, TRAIL)], 'alice', TOOLS[mode]);
    const admittedMs = decisions.filter(({ isAdmitted }) => isAdmitted).map(({ ms }) => ms);
    expect(admittedMs.length).toBeGreaterThan(RATE.perSecond);
    expect(excessOf(admittedMs, RATE), mode).toBeLessThanOrEqual(0);
    const [firstMs = 0] = admittedMs;
    expect(excessOf([...admittedMs, ...Array.from({ length: 2 * RATE.burst }, () => firstMs)], RATE)).toBeGreaterThan(0);
  }
}

it('row 148: Redis killed, hung, slow by 500 ms and flushed: each limit does as configured, and none is exceeded in any window', {
  timeout: 240_000,
}, async () => {
  const redis = await startRedis();
  const proxy = await slowProxy(redis.port);
  const gateway = await start(`redis://127.0.0.1:${proxy.port}`);
  const loads = startLoads(gateway);
  await untilRemote(gateway);
  expectLimit(loads, await calmPhase(loads));

  const outages: readonly [string, () => unknown, () => unknown][] = [
    ['killed', async () => await redis.kill(), async () => await redis.restart()],
    ['hung', () => redis.hang(), () => redis.resume()],
    ['slow', () => (proxy.delayMs = 500), () => (proxy.delayMs = 0)],
  ];
  for (const [, fail, recover] of outages) {
    await fail();
    await sleep(1200);
    expectOutage(loads, await phase(2500));
    await recover();
    await untilRemote(gateway);
    expectLimit(loads, await calmPhase(loads));
  }

  await redis.cli('flushall');
  expectLimit(loads, await calmPhase(loads));
  await Promise.all(MODES.map(async (mode) => await loads[mode].stop()));
  await expectTrail(gateway);
});

it('row 148: a failover by Sentinels: each limit does as configured meanwhile, and nobody has a second burst after it', {
  timeout: 240_000,
}, async () => {
  const { name, master, replica, sentinels } = await startSentinels();
  await beginEpochsLongAgo(master);
  const gateway = await start(`redis+sentinel://${sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')}/${name}`);
  await untilRemote(gateway);
  const before = await Promise.all(Array.from({ length: 20 }, async () => await call(gateway, 'delete_file')));
  expect(before.filter((status) => status === 200)).toHaveLength(10);
  const loads = startLoads(gateway);
  await sleep(500);
  await master.kill();
  await sleep(300);
  expectOutage(loads, await phase(600));
  await waitUntil(async () => (await replica.cli('info', 'replication')).includes('role:master'), { what: 'promotion', timeoutMs: 25_000 });
  await untilRemote(gateway);
  expectLimit(loads, await calmPhase(loads));
  expect(await call(gateway, 'delete_file')).toBe(429);
  await Promise.all(MODES.map(async (mode) => await loads[mode].stop()));
  await expectTrail(gateway);
});

describe('two gateways on one Redis', () => {
  it('row 148: share one bucket, and it refills for both when it is exhausted', async () => {
    const redis = await startRedis();
    await beginEpochsLongAgo(redis);
    const gateways = await Promise.all([0, 1].map(async () => await start(`redis://127.0.0.1:${redis.port}`)));
    await Promise.all(gateways.map(untilRemote));
    const calls = async (tool: string): Promise<readonly number[]> =>
      await Promise.all(gateways.flatMap((gateway) => Array.from({ length: 20 }, async () => await call(gateway, tool))));
    const once = await calls('delete_file');
    expect(once.filter((status) => status === 200)).toHaveLength(10);
    expect(once.filter((status) => status === 429)).toHaveLength(30);

    const admitted = async (tool: string): Promise<number> => (await calls(tool)).filter((status) => status === 200).length;
    const fromMs = performance.now();
    const first = await admitted(TOOLS.closed);
    expect(first).toBeGreaterThanOrEqual(RATE.burst);
    await sleep(2 * (RATE.burst / RATE.perSecond) * 1000);
    const second = await admitted(TOOLS.closed);
    expect(second).toBeGreaterThanOrEqual(RATE.burst);
    expect(first + second).toBeLessThanOrEqual(RATE.burst + (RATE.perSecond * (performance.now() - fromMs)) / 1000);
    await Promise.all(gateways.map(async (gateway) => await gateway.stop()));
  });
});
