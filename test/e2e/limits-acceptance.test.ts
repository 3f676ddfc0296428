import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Gateway,
  type HttpUpstream,
  keyEntry,
  makeKey,
  rpcRequest,
  sleep,
  startGateway,
  startHttpUpstream,
  waitUntil,
} from './harness.ts';
import { type Load, machineMs, startLoad } from './load.ts';
import { beginEpochsLongAgo, type RedisNode, startRedis } from './redis.ts';
import { type Decision, decisionsIn, excessOf } from './windows.ts';
import { childrenOf } from './worker-processes.ts';

/** One principal at three times its limit. */
const RATE = { perSecond: 1000, burst: 500 };
const DEMAND = 3 * RATE.perSecond;
const CONNECTIONS = 32;
const KEY = makeKey();
const TRAIL = 'audit.jsonl';
const BODY = JSON.stringify(rpcRequest('ping'));

function request(index: number): string {
  const head = `POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n`;
  return `${head}Authorization: Bearer ${KEY.key}\r\nX-Request-ID: r-${index}\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`;
}

let upstream: HttpUpstream;
beforeAll(async () => {
  upstream = await startHttpUpstream();
});

async function start(server: Record<string, unknown>, redis?: RedisNode): Promise<Gateway> {
  return await startGateway({
    config: {
      server,
      auth: { api_keys: [keyEntry('alice', KEY, { rate_limit: RATE.perSecond, burst: RATE.burst })] },
      ...(redis === undefined ? {} : { redis: { url: `redis://127.0.0.1:${redis.port}`, max_hosts: 2 } }),
      audit: { enabled: true, stdout: false, file: TRAIL, rotation: { max_size_mb: 0 } },
      upstream: { servers: [{ name: 'one', transport: 'http', url: upstream.url, path_prefix: '/', allow_private_networks: true }] },
    },
  });
}

function loadOn(gateways: readonly Gateway[]): Load {
  const targets = gateways.map(({ url, port }) => ({ host: new URL(url).hostname, port }));
  return startLoad({ targets, connections: CONNECTIONS, perSecond: DEMAND, request });
}

interface Outcome {
  readonly decisions: readonly Decision[];
  /** Moments of all admissions: of the trail, and of answers whose record died with its worker. */
  readonly admittedMs: readonly number[];
  readonly unrecorded: number;
  readonly secs: number;
  readonly load: Load;
}

/** Hammers for some seconds, ends the gateways so that their trails are complete, and reads them. */
async function hammer(
  gateways: readonly Gateway[],
  secs: number,
  meanwhile: (untilMs: number) => Promise<void> = async () => {},
): Promise<Outcome> {
  const fromMs = machineMs();
  const load = loadOn(gateways);
  await meanwhile(fromMs + secs * 1000);
  await sleep(Math.max(0, fromMs + secs * 1000 - machineMs()));
  await load.stop();
  const tookSecs = (machineMs() - fromMs) / 1000;
  for (const gateway of gateways) expect((await gateway.stop()).code).toBe(0);
  const decisions = await decisionsIn(
    gateways.map(({ dir }) => join(dir, TRAIL)),
    'alice',
  );
  const admitted = decisions.filter(({ isAdmitted }) => isAdmitted);
  const recorded = new Set(decisions.map(({ requestId }) => requestId));
  const lost = load.answers.filter(({ index, status }) => status === 200 && !recorded.has(`r-${index}`));
  const admittedMs = [...admitted, ...lost].map(({ ms }) => ms);
  return { decisions, admittedMs, unrecorded: lost.length, secs: tookSecs, load };
}

/** At most burst + rate × T in every window; of the whole at least this part; and the demand was really there. */
function expectLimit({ admittedMs, secs, load }: Outcome, part: number): void {
  expect(load.sent).toBeGreaterThan(2 * RATE.perSecond * secs);
  expect(new Set(load.answers.map(({ status }) => status))).toEqual(new Set([200, 429]));
  expect(excessOf(admittedMs, RATE)).toBeLessThanOrEqual(0);
  expect(admittedMs.length).toBeGreaterThanOrEqual(part * (RATE.burst + RATE.perSecond * secs));
}

/** The same trail with one burst more somewhere in it would not have passed. */
function expectSharp({ admittedMs }: Outcome): void {
  const middle = admittedMs[Math.floor(admittedMs.length / 2)] ?? 0;
  expect(excessOf([...admittedMs, ...Array.from({ length: RATE.burst }, () => middle)], RATE)).toBeGreaterThan(0);
}

describe('one principal at three times its limit', () => {
  it('row 232: four workers admit no more than burst + rate × T in every window of a minute, and 97 % of it', {
    timeout: 120_000,
  }, async () => {
    const outcome = await hammer([await start({ workers: 4 })], 60);
    expectLimit(outcome, 0.97);
    expectSharp(outcome);
    expect(outcome.unrecorded).toBe(0);
    expect(new Set(outcome.decisions.map(({ worker }) => worker))).toEqual(new Set([0, 1, 2, 3]));
  });

  it('row 232: two gateways of two workers on one Redis admit no more than that together, and 97 % of it', {
    timeout: 120_000,
  }, async () => {
    const redis = await startRedis();
    await beginEpochsLongAgo(redis);
    const gateways = await Promise.all(['127.0.0.1', '127.0.0.2'].map(async (host) => await start({ workers: 2, host }, redis)));
    expect(gateways.map(({ url }) => new URL(url).hostname)).toEqual(['127.0.0.1', '127.0.0.2']);
    const outcome = await hammer(gateways, 60);
    expectLimit(outcome, 0.97);
    expectSharp(outcome);
    expect(outcome.unrecorded).toBe(0);
    for (const { dir } of gateways) {
      const own = outcome.decisions.filter(({ isAdmitted, file }) => isAdmitted && file.startsWith(dir));
      expect(own.length).toBeGreaterThan(RATE.perSecond * 60 * 0.2);
    }
  });

  it('row 232: four workers of which one is killed every five seconds admit no more in any window, and 90 % of it', {
    timeout: 90_000,
  }, async () => {
    const gateway = await start({ workers: 4 });
    let kills = 0;
    const outcome = await hammer([gateway], 20, async (untilMs) => {
      for (await sleep(3000); machineMs() < untilMs - 1000; await sleep(5000)) {
        const workers = await waitUntil(async () => (await childrenOf(gateway.pid)).slice(0, 4), { what: 'workers' });
        process.kill(workers[kills % workers.length] as number, 'SIGKILL');
        kills += 1;
      }
    });
    expect(kills).toBe(4);
    expectLimit(outcome, 0.9);
    expectSharp(outcome);
  });
});
