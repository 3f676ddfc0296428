import { readdirSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Gateway,
  type HttpUpstream,
  http,
  keyEntry,
  makeKey,
  rpc,
  rpcRequest,
  scrape,
  sleep,
  startGateway,
  startHttpUpstream,
  tempDir,
  type TestKey,
  waitUntil,
} from './harness.ts';
import { childrenOf } from './worker-processes.ts';

const WORKERS = 4;
/** No refill worth speaking of: what is admitted is the burst, over however many workers. */
const SLOW = 0.001;

/** Small, but fast enough for every worker to keep a token of it. */
const FAST = { rate_limit: 20, burst: 10 };

const LIMITS: Readonly<Record<string, Record<string, unknown>>> = {
  admin: { roles: ['admin'], rate_limit: 100_000, burst: 100_000 },
  small: { rate_limit: SLOW, burst: 10 },
  neighbour: { rate_limit: SLOW, burst: 10 },
  'fast-1': FAST,
  'fast-2': FAST,
  'fast-3': FAST,
  big: { rate_limit: SLOW, burst: 1000 },
  shown: { rate_limit: SLOW, burst: 400 },
  killed: { rate_limit: SLOW, burst: 400 },
  stopped: { rate_limit: SLOW, burst: 400 },
  steady: { rate_limit: 200, burst: 200 },
};
const keys = new Map<string, TestKey>(Object.keys(LIMITS).map((id) => [id, makeKey()]));

function keyOf(id: string): string {
  return keys.get(id)?.key ?? 'no such identity';
}

function apiKeys(): unknown[] {
  return Object.entries(LIMITS).map(([id, limit]) => keyEntry(id, keys.get(id) ?? makeKey(), limit));
}

interface Sent {
  readonly status: number;
  readonly tookMs: number;
  readonly reason: string;
}

/** One request on a connection of its own, so that any worker may get it; status 0: no answer. */
async function ping(gateway: Gateway, id: string, timeoutMs = 10_000): Promise<Sent> {
  const fromMs = performance.now();
  const answer = await rpc(gateway.mcp, rpcRequest('ping'), { key: keyOf(id), timeoutMs }).catch(() => null);
  const tookMs = performance.now() - fromMs;
  return { status: answer?.status ?? 0, tookMs, reason: String(answer?.json?.['error']?.['data']?.['reason'] ?? '') };
}

/** So many requests, `atOnce` at a time. */
async function flood(gateway: Gateway, id: string, count: number, atOnce = 32, timeoutMs?: number): Promise<Sent[]> {
  const sent: Sent[] = [];
  let started = 0;
  const client = async (): Promise<void> => {
    while (started < count) {
      started += 1;
      sent.push(await ping(gateway, id, timeoutMs));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, client));
  return sent;
}

function admitted(sent: readonly Sent[]): number {
  return sent.filter(({ status }) => status === 200).length;
}

/** Whether a limit of `FAST` that was used and has recovered gives all of its burst to many who come at once. It never gives more than that and its refill. */
async function hasWholeBurst(gateway: Gateway, id: string): Promise<boolean> {
  const before = admitted(await flood(gateway, id, 8, 2));
  await sleep(700);
  const fromMs = performance.now();
  const burst = admitted(await flood(gateway, id, 30, 30));
  const refilled = ((performance.now() - fromMs) / 1000) * FAST.rate_limit;
  expect(burst).toBeLessThanOrEqual(FAST.burst + Math.ceil(refilled));
  return before === 8 && burst >= FAST.burst;
}

function configOf(upstream: HttpUpstream, workers: number, rateLimit: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    server: { workers },
    auth: { api_keys: apiKeys() },
    rate_limit: rateLimit,
    audit: { enabled: true, stdout: false, file: 'audit.jsonl' },
    upstream: { servers: [{ name: 'one', transport: 'http', url: upstream.url, path_prefix: '/', allow_private_networks: true }] },
  };
}

/** For the sockets of workers that ask for leases, and of those that speak to each other. */
const FOLDERS: readonly unknown[] = Array.from({ length: 2 }, () => expect.stringMatching(/^mcp-guard-/) as unknown);

/** A gateway with a folder of its own for temporary files. */
async function startWithTemp(config: Record<string, unknown>): Promise<{ gateway: Gateway; temp: () => string[] }> {
  const folder = await tempDir();
  const gateway = await startGateway({ config, env: { TMPDIR: folder } });
  return { gateway, temp: () => readdirSync(folder) };
}

let upstream: HttpUpstream;
beforeAll(async () => {
  upstream = await startHttpUpstream();
});

describe('limits over four workers', () => {
  let gateway: Gateway;
  let temp: () => string[];
  beforeAll(async () => {
    ({ gateway, temp } = await startWithTemp(configOf(upstream, WORKERS)));
  });

  it('of a small limit that is fast admit all of a burst at once, wherever its tokens lie, and no more', async () => {
    // A worker that stands still for 20 ms keeps its token (docs/limits.md), and on a busy machine one may: another key then.
    let isWhole = false;
    for (const id of ['fast-1', 'fast-2', 'fast-3']) isWhole ||= await hasWholeBurst(gateway, id);
    expect(isWhole).toBe(true);
  });

  it('admit a small burst exactly, whichever workers are asked', async () => {
    const sent = await flood(gateway, 'small', 120, 40);
    expect(admitted(sent)).toBe(10);
    expect(sent.filter(({ status }) => status === 429)).toHaveLength(110);
    const workers = await waitUntil(
      async () => {
        const lines = (await gateway.auditLines('audit.jsonl')).filter((line) => line['identity'] === 'small');
        return lines.length > 0 ? new Set(lines.map((line) => line['worker'])) : null;
      },
      { what: 'audit records' },
    );
    expect(workers.size).toBeGreaterThan(1);
  });

  it('leave a neighbour his whole burst', async () => {
    expect(admitted(await flood(gateway, 'neighbour', 30))).toBe(10);
  });

  it('never admit more of a leased burst than it is, and strand a tenth at most', async () => {
    const count = admitted(await flood(gateway, 'big', 1600, 64));
    expect(count).toBeLessThanOrEqual(1000);
    expect(count).toBeGreaterThanOrEqual(900);
  });

  it('keep to burst and rate while all workers are hammered', async () => {
    const fromMs = performance.now();
    let isOver = false;
    let count = 0;
    const client = async (): Promise<void> => {
      while (!isOver) if ((await ping(gateway, 'steady')).status === 200) count += 1;
    };
    const running = Array.from({ length: 48 }, client);
    await sleep(3000);
    isOver = true;
    await Promise.all(running);
    const secs = (performance.now() - fromMs) / 1000;
    expect(count).toBeLessThanOrEqual(200 + 200 * secs);
    expect(count).toBeGreaterThanOrEqual((200 + 200 * 3) * 0.9);
  });

  it('show in the admin view what every worker has leased, and that the primary decides', async () => {
    await flood(gateway, 'shown', 100);
    const { status, json } = await http('GET', `${gateway.url}/admin/api/limits`, { key: keyOf('admin') });
    expect(status).toBe(200);
    expect(json['authority']?.['kind']).toBe('primary');
    const buckets = json['buckets'] as unknown as readonly { key: string; leases: { worker: number; tokens: number }[] }[];
    const shown = buckets.find(({ key }) => key === 'api_key:shown');
    expect(shown?.leases.length).toBeGreaterThan(1);
    expect(shown?.leases.reduce((sum, { tokens }) => sum + tokens, 0)).toBeLessThanOrEqual(40);
  });

  it('count at the authority what it was asked, far less often than there were requests', async () => {
    const before = await scrape(gateway, 'mcp_guard_rate_limit_authority_asks_total', keyOf('admin'));
    const refusedBefore = await scrape(gateway, 'mcp_guard_rate_limit_refused_total{limit="principal"}', keyOf('admin'));
    await flood(gateway, 'small', 400, 40);
    expect((await scrape(gateway, 'mcp_guard_rate_limit_authority_asks_total', keyOf('admin'))) - before).toBeLessThan(40);
    expect((await scrape(gateway, 'mcp_guard_rate_limit_refused_total{limit="principal"}', keyOf('admin'))) - refusedBefore).toBe(400);
    expect(await scrape(gateway, 'mcp_guard_rate_limit_authority_connections', keyOf('admin'))).toBe(WORKERS);
    expect(await scrape(gateway, 'mcp_guard_rate_limit_authority_mode{mode="remote"}', keyOf('admin'))).toBe(1);
  });

  it('hold when a worker is killed: what it had leased is lost, and never given twice', async () => {
    const before = await flood(gateway, 'killed', 150);
    const [victim = 0] = await childrenOf(gateway.pid);
    process.kill(victim, 'SIGKILL');
    await waitUntil(async () => (await childrenOf(gateway.pid)).filter((pid) => pid !== victim).length === WORKERS, {
      what: 'a successor is started',
    });
    await waitUntil(async () => (await scrape(gateway, 'mcp_guard_rate_limit_authority_connections', keyOf('admin'))) === WORKERS, {
      what: 'the successor is connected',
    });
    const after = await flood(gateway, 'killed', 600);
    const count = admitted([...before, ...after]);
    expect(count).toBeLessThanOrEqual(400);
    expect(count).toBeGreaterThanOrEqual(340);
  });

  it('hold when a worker stands still: the others go on without waiting for it, and it does not come back with more', async () => {
    const before = await flood(gateway, 'stopped', 120);
    const [still = 0] = await childrenOf(gateway.pid);
    process.kill(still, 'SIGSTOP');
    const meanwhile = await flood(gateway, 'stopped', 200, 32, 1000);
    process.kill(still, 'SIGCONT');
    const answered = meanwhile.filter(({ status }) => status !== 0);
    expect(answered.length).toBeGreaterThan(50);
    const after = await flood(gateway, 'stopped', 500);
    const count = admitted([...before, ...meanwhile, ...after]);
    expect(count).toBeLessThanOrEqual(400);
    expect(count + meanwhile.filter(({ status }) => status === 0).length).toBeGreaterThanOrEqual(340);
  });

  it('leave nothing behind when the gateway ends', async () => {
    expect(temp()).toEqual(FOLDERS);
    expect((await gateway.stop()).code).toBe(0);
    expect(temp()).toEqual([]);
    expect(gateway.stderr()).not.toMatch(/connection for leases was cut|sync thread/);
  });
});

describe('a primary that is killed', () => {
  it('leaves no socket behind: its workers remove it on their way out', async () => {
    const { gateway, temp } = await startWithTemp(configOf(upstream, 2));
    expect(temp()).toEqual(FOLDERS);
    await gateway.stop('SIGKILL');
    await waitUntil(() => temp().length === 0, { what: 'the folder is gone' });
    expect(temp()).toEqual([]);
  });
});

/** Stops the primary, and sees what its workers do on their own. */
async function withoutPrimary<Result>(gateway: Gateway, look: () => Promise<Result>): Promise<Result> {
  process.kill(gateway.pid, 'SIGSTOP');
  try {
    return await look();
  } finally {
    process.kill(gateway.pid, 'SIGCONT');
  }
}

describe('a primary that does not answer', () => {
  /** Spends the burst, stops the primary, floods, and says how that went after the breaker has opened. */
  async function outage(failMode: string): Promise<{ gateway: Gateway; first: Sent[]; later: Sent[] }> {
    const gateway = await startGateway({ config: configOf(upstream, 2, { fail_mode: failMode }) });
    await flood(gateway, 'small', 30);
    const [first, later] = await withoutPrimary(gateway, async () => {
      const early: Sent[] = [];
      for (const endMs = performance.now() + 1500; performance.now() < endMs; ) early.push(...(await flood(gateway, 'big', 20, 10)));
      return [early, await flood(gateway, 'neighbour', 60, 6)] as const;
    });
    return { gateway, first, later };
  }

  async function recovered(gateway: Gateway): Promise<void> {
    await waitUntil(async () => (await ping(gateway, 'admin')).status === 200, { what: 'the primary answers again' });
    await waitUntil(async () => (await scrape(gateway, 'mcp_guard_rate_limit_mode{mode="remote"}', keyOf('admin'))) === 2, {
      what: 'both workers ask again',
    });
  }

  it('refuses with 503 where limits are closed, at once when the outage is known', async () => {
    const { gateway, later } = await outage('closed');
    expect(new Set(later.map(({ status }) => status))).toEqual(new Set([503]));
    expect(later.filter(({ tookMs }) => tookMs > 100)).toHaveLength(0);
    await recovered(gateway);
    expect((await ping(gateway, 'neighbour')).status).toBe(200);
    await gateway.stop();
  });

  it('admits everything where limits are open', async () => {
    const { gateway, later } = await outage('open');
    expect(new Set(later.map(({ status }) => status))).toEqual(new Set([200]));
    await recovered(gateway);
    await gateway.stop();
  });

  it('gives each worker its share, empty at first, where limits are local', async () => {
    const { gateway, first, later } = await outage('local');
    expect(admitted(later)).toBe(0);
    expect(first.length + later.length).toBeGreaterThan(100);
    await recovered(gateway);
    // Nobody knows what a worker on its own has not spent of its share: a token each is kept free for it.
    const count = admitted(await flood(gateway, 'neighbour', 40));
    expect(count).toBeLessThanOrEqual(10);
    expect(count).toBeGreaterThanOrEqual(8);
    expect(admitted([...first, ...(await flood(gateway, 'big', 1400, 64))])).toBeLessThanOrEqual(1000);
    await gateway.stop();
  });
});

describe('a worker that stands still for longer than a burst takes to refill', () => {
  it('leaves the others their part of each limit', async () => {
    const gateway = await startGateway({ config: configOf(upstream, 2) });
    expect(admitted(await flood(gateway, 'steady', 20, 4))).toBe(20);
    const [still = 0] = await childrenOf(gateway.pid);
    process.kill(still, 'SIGSTOP');
    // Its own part begins after 750 ms, and is half of what fills the bucket in a second.
    await sleep(4000);
    const meanwhile = await flood(gateway, 'steady', 80, 8, 500);
    process.kill(still, 'SIGCONT');
    const answered = meanwhile.filter(({ status }) => status !== 0);
    expect(answered.length).toBeGreaterThan(10);
    expect(admitted(answered)).toBe(answered.length);
    expect((await gateway.stop()).code).toBe(0);
  });
});

describe('a gateway of one worker', () => {
  it('keeps its limits to itself: no socket, no thread, nothing to ask', async () => {
    const { gateway, temp } = await startWithTemp(configOf(upstream, 1));
    expect(temp()).toEqual([]);
    expect(admitted(await flood(gateway, 'small', 40))).toBe(10);
    const view = await http('GET', `${gateway.url}/admin/api/limits`, { key: keyOf('admin') });
    expect(view.json['authority']?.['kind']).toBe('worker');
    const metrics = await http('GET', `${gateway.url}/metrics`, { key: keyOf('admin') });
    expect(metrics.body).not.toMatch(/^mcp_guard_rate_limit_authority_asks_total /m);
    await gateway.stop();
  });

  it('begins after its death with what has been refilled since, not with a full burst', async () => {
    const gateway = await startGateway({ config: configOf(upstream, 1) });
    expect(admitted(await flood(gateway, 'small', 20))).toBe(10);
    const [victim = 0] = await childrenOf(gateway.pid);
    process.kill(victim, 'SIGKILL');
    await waitUntil(async () => (await ping(gateway, 'steady')).status !== 0, { what: 'a successor serves' });
    expect(admitted(await flood(gateway, 'small', 20))).toBe(0);
    expect(admitted(await flood(gateway, 'neighbour', 20))).toBe(0);
    await gateway.stop();
  });
});
