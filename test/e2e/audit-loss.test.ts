import { Agent } from 'node:http';
import { beforeAll, describe, expect, it } from 'vitest';
import { scrape, type AuditLine } from './records.ts';
import {
  http,
  keyEntry,
  makeKey,
  rpc,
  rpcRequest,
  sleep,
  startGateway,
  startHttpUpstream,
  stdioUpstream,
  toolCall,
  waitUntil,
  type Gateway,
} from './harness.ts';
import { childrenOf, residentBytes } from './worker-processes.ts';

const KEY = makeKey();
const ADMIN = makeKey();
const auth = { api_keys: [keyEntry('alice', KEY), keyEntry('root', ADMIN, { roles: ['admin'] })] };
const MIB = 1024 * 1024;

let remote: Record<string, unknown>;
beforeAll(async () => {
  remote = { transport: 'http', url: (await startHttpUpstream()).url, allow_private_networks: true };
});

async function startPair(upstream: Record<string, unknown> = remote, more: Record<string, unknown> = {}): Promise<Gateway> {
  return await startGateway({ config: { auth, rate_limit: { enabled: false }, server: { workers: 2 }, upstream, ...more } });
}

interface Load {
  /** Request id → when its complete answer was there, on the clock of the audit's timestamps. */
  readonly answered: Map<string, number>;
  stop(): Promise<void>;
}

let loads = 0;

/** Callers that send one request after the other, each under an id of its own, until they are stopped. */
function startLoad(url: string, makeMessage: (index: number) => unknown, { lanes = 16, keepAlive = true } = {}): Load {
  const answered = new Map<string, number>();
  const name = `load${++loads}`;
  let isOver = false;
  const run = async (lane: number): Promise<void> => {
    const agent = new Agent({ keepAlive, maxSockets: 1 });
    for (let index = 0; !isOver; index++) {
      const id = `${name}-${lane}-${index}`;
      const answer = await rpc(url, makeMessage(index), { key: KEY.key, agent, headers: { 'x-request-id': id } }).catch(() => null);
      if (answer === null) await sleep(5);
      else answered.set(id, Date.now());
    }
    agent.destroy();
  };
  const running = Promise.all(Array.from({ length: lanes }, (_, lane) => run(lane)));
  return {
    answered,
    async stop() {
      isOver = true;
      await running;
    },
  };
}

/** Everything but the calls' beginnings: the records that close a request. */
function closings(lines: readonly AuditLine[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { request_id, event_type } of lines) {
    if (event_type === 'tool_call' || event_type === 'auth_success') continue;
    counts.set(String(request_id), (counts.get(String(request_id)) ?? 0) + 1);
  }
  return counts;
}

/** The numbers of each life of each worker: a replaced worker begins at 1 again. */
function livesOf(lines: readonly AuditLine[]): number[][] {
  const lives: number[][] = [];
  const current = new Map<unknown, number[]>();
  for (const { worker, seq } of lines) {
    let life = current.get(worker);
    if (life === undefined || seq === 1) {
      life = [];
      current.set(worker, life);
      lives.push(life);
    }
    life.push(Number(seq));
  }
  return lives;
}

/** Numbers that are missing between those that are there. */
function gapsOf(life: readonly number[]): number {
  return life.reduce((sum, seq, index) => sum + seq - (life[index - 1] ?? 0) - 1, 0);
}

describe('a gateway that ends under load', () => {
  it('row 209: after SIGTERM the trail has the record of every answered request, the last one included', async () => {
    const gateway = await startPair();
    const load = startLoad(gateway.mcp, (index) => (index % 3 === 0 ? rpcRequest('ping') : toolCall(`tool_${index}`)));
    await waitUntil(() => load.answered.size > 300, { what: 'some load', timeoutMs: 15_000 });
    const status = await gateway.stop();
    await load.stop();
    expect(status).toEqual({ code: 0, signal: null });
    const lines = await gateway.auditLines();
    const closed = closings(lines);
    expect([...load.answered.keys()].filter((id) => closed.get(id) !== 1)).toEqual([]);
    const lives = livesOf(lines);
    expect(lives).toHaveLength(2);
    for (const life of lives) expect(life).toEqual(life.map((_, index) => index + 1));
  });

  it('row 209: calls in progress at SIGTERM end within the drain time, and those that do not have their record as well', async () => {
    const gateway = await startPair(
      { servers: [{ name: 'child', path_prefix: '/', ...stdioUpstream() }] },
      { server: { workers: 2, drain_timeout_secs: 1.5 } },
    );
    const call = async (id: string, ms: number): Promise<number> => {
      const answer = await rpc(gateway.mcp, toolCall('sleep', { ms }), { key: KEY.key, headers: { 'x-request-id': id } }).catch(() => null);
      return answer?.status ?? 0;
    };
    const short = Array.from({ length: 6 }, (_, index) => call(`short-${index}`, 700));
    const long = Array.from({ length: 6 }, (_, index) => call(`long-${index}`, 60_000));
    // A body that never comes: nothing upstream ends this request.
    const stalled = http('POST', gateway.mcp, {
      key: KEY.key,
      headers: { 'content-type': 'application/json', 'content-length': '1000', 'x-request-id': 'stalled' },
      body: '{',
    }).catch(() => null);
    await waitUntil(async () => (await gateway.auditLines()).filter(({ event_type }) => event_type === 'tool_call').length === 12, {
      what: 'all calls are under way',
    });
    expect(await gateway.stop()).toEqual({ code: 0, signal: null });
    expect(await Promise.all(short)).toEqual(short.map(() => 200));
    await Promise.all([...long, stalled]);
    const lines = await gateway.auditLines();
    const closed = closings(lines);
    for (let index = 0; index < 6; index++) {
      expect([closed.get(`short-${index}`), closed.get(`long-${index}`)]).toEqual([1, 1]);
    }
    expect(closed.get('stalled')).toBe(1);
    const opening = new Set(['tool_call', 'auth_success']);
    const late = lines.filter(({ request_id, event_type }) => String(request_id).startsWith('long-') && !opening.has(String(event_type)));
    expect(new Set(late.map(({ event_type, reason }) => `${event_type} ${reason}`))).toEqual(
      new Set(['upstream_error upstream_unavailable']),
    );
    for (const life of livesOf(lines)) expect(gapsOf(life)).toBe(0);
  });
});

describe('a worker that is killed under load', () => {
  it('loses at most the records of its last moments, splits no line, and its successor begins a new count', async () => {
    const gateway = await startPair();
    const load = startLoad(gateway.mcp, (index) => toolCall(`tool_${index}`));
    await waitUntil(() => load.answered.size > 300, { what: 'some load', timeoutMs: 15_000 });
    const [victim = 0] = await childrenOf(gateway.pid);
    const killedAt = Date.now();
    process.kill(victim, 'SIGKILL');
    const before = load.answered.size;
    await waitUntil(() => load.answered.size > before + 300, { what: 'load after the kill', timeoutMs: 15_000 });
    await waitUntil(async () => (await scrape(gateway, 'mcp_guard_workers', ADMIN.key)) === 2, { what: 'a new worker', timeoutMs: 10_000 });
    await load.stop();
    // New connections, of which the new worker gets its share.
    const after = startLoad(gateway.mcp, () => rpcRequest('ping'), { lanes: 4, keepAlive: false });
    await waitUntil(async () => livesOf(await gateway.auditLines()).length === 3, {
      what: 'a record of the new worker',
      timeoutMs: 10_000,
    });
    await after.stop();
    expect((await gateway.stop()).code).toBe(0);
    const lines = await gateway.auditLines();
    const closed = closings(lines);
    expect([...after.answered.keys()].filter((id) => closed.get(id) !== 1)).toEqual([]);
    const missing = [...load.answered].filter(([id]) => !closed.has(id));
    // A batch is handed over every 50 ms; the rest is what a busy machine adds.
    for (const [id, atMs] of missing) expect([id, killedAt - atMs < 250, atMs - killedAt < 250]).toEqual([id, true, true]);
    expect([...closed.values()].every((count) => count === 1)).toBe(true);
    // What was lost was the end of that worker's count: nothing is missing in between.
    const lives = livesOf(lines);
    expect(lives.length).toBe(3);
    for (const life of lives) expect(gapsOf(life)).toBe(0);
  });
});

describe('a primary that is stuck', () => {
  it('reads what a worker had handed over before it was killed', async () => {
    const gateway = await startGateway({ config: { auth, rate_limit: { enabled: false }, upstream: remote } });
    const [worker = 0] = await childrenOf(gateway.pid);
    process.kill(gateway.pid, 'SIGSTOP');
    const load = startLoad(gateway.mcp, (index) => toolCall(`tool_${index}`));
    await waitUntil(() => load.answered.size > 100, { what: 'some load', timeoutMs: 15_000 });
    await load.stop();
    // Longer than a batch waits in the worker.
    await sleep(250);
    process.kill(worker, 'SIGKILL');
    process.kill(gateway.pid, 'SIGCONT');
    await waitUntil(async () => (await http('GET', `${gateway.url}/ready`).catch(() => null))?.status === 200, {
      what: 'the next worker',
      timeoutMs: 10_000,
    });
    expect((await gateway.stop()).code).toBe(0);
    const closed = closings(await gateway.auditLines());
    expect([...load.answered.keys()].filter((id) => closed.get(id) !== 1)).toEqual([]);
  });

  it('row 208: makes no worker grow: requests are served, what finds no room is dropped, counted, and a gap in the numbers', async () => {
    const gateway = await startPair();
    const workers = await childrenOf(gateway.pid);
    expect(workers).toHaveLength(2);
    // Each control character is six in the file: large records, soon more than may wait.
    const method = 'm\u001b'.repeat(500);
    const warmUp = startLoad(gateway.mcp, () => rpcRequest(method));
    await waitUntil(() => warmUp.answered.size > 500, { what: 'a warm gateway', timeoutMs: 15_000 });
    await warmUp.stop();
    const restingBytes = await Promise.all(workers.map(residentBytes));
    process.kill(gateway.pid, 'SIGSTOP');
    const stuck = startLoad(gateway.mcp, () => rpcRequest(method), { lanes: 24 });
    try {
      await waitUntil(() => stuck.answered.size > 12_000, { what: 'load on a stuck gateway', timeoutMs: 20_000 });
    } finally {
      await stuck.stop();
      process.kill(gateway.pid, 'SIGCONT');
    }
    const grownBytes = (await Promise.all(workers.map(residentBytes))).map((bytes, index) => bytes - (restingBytes[index] ?? 0));
    for (const bytes of grownBytes) expect(bytes).toBeLessThan(96 * MIB);
    const dropped = (): Promise<number> => scrape(gateway, 'mcp_guard_audit_dropped_total{where="worker"}', ADMIN.key);
    await waitUntil(async () => (await dropped()) > 0, { what: 'the drops are told', timeoutMs: 10_000 });
    // Every worker speaks once more, so that a gap at its end shows.
    const after = startLoad(gateway.mcp, () => rpcRequest('ping'));
    await waitUntil(() => after.answered.size > 300, { what: 'load afterwards', timeoutMs: 15_000 });
    await after.stop();
    const counted = await dropped();
    expect(await scrape(gateway, 'mcp_guard_workers', ADMIN.key)).toBe(2);
    expect(await scrape(gateway, 'mcp_guard_worker_restarts_total', ADMIN.key)).toBe(0);
    expect(await gateway.stop()).toEqual({ code: 0, signal: null });
    const lines = await gateway.auditLines();
    const lives = livesOf(lines);
    expect(lives).toHaveLength(2);
    const gaps = lives.reduce((sum, life) => sum + gapsOf(life), 0);
    expect(gaps).toBe(counted);
    const closed = closings(lines);
    const missing = [...warmUp.answered.keys(), ...stuck.answered.keys(), ...after.answered.keys()].filter((id) => !closed.has(id));
    // A few of the lost records may be of others: the scrapes of this test.
    expect(counted - missing.length).toBeGreaterThanOrEqual(0);
    expect(counted - missing.length).toBeLessThan(20);
    expect(missing.every((id) => stuck.answered.has(id) || after.answered.has(id))).toBe(true);
  });
});
