import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  type Gateway,
  http,
  type HttpAnswer,
  isAlive,
  keyEntry,
  makeKey,
  readRecord,
  rpc,
  rpcStream,
  scrape,
  startGateway,
  stdioUpstream,
  tempDir,
  toolCall,
  toolText,
  waitUntil,
} from './harness.ts';

const ALICE = makeKey();
const BOB = makeKey();
const ADMIN = makeKey();
const auth = { api_keys: [keyEntry('alice', ALICE), keyEntry('bob', BOB), keyEntry('root', ADMIN, { roles: ['admin'] })] };
const rate_limit = { enabled: false };
const WORKERS = 4;

interface Pool {
  readonly gateway: Gateway;
  /** Process ids of all children that were ever started, the oldest first. */
  started(): Promise<readonly number[]>;
}

async function start(
  pool: object,
  more: { workers?: number; isolation?: string; server?: object; startDelayMs?: number } = {},
): Promise<Pool> {
  const { workers = WORKERS, isolation = 'shared', server = {}, startDelayMs } = more;
  const recordFile = join(await tempDir(), 'record');
  const behaviour = stdioUpstream({ recordFile, ...(startDelayMs === undefined ? {} : { startDelayMs }) });
  const upstream = { ...behaviour, name: 'fs', isolation, pool };
  const gateway = await startGateway({ config: { server: { workers, ...server }, auth, rate_limit, upstream } });
  return { gateway, started: async () => (await readRecord(recordFile)).pids };
}

/** On a connection of its own: any worker may get it. */
function call(gateway: Gateway, name: string, args: object = {}, key = ALICE.key, id: string | number = 1): Promise<HttpAnswer> {
  return rpc(gateway.mcp, toolCall(name, args, id), { key });
}

const pidOf = (answer: HttpAnswer): number => (JSON.parse(toolText(answer)) as { pid: number }).pid;

async function pids(gateway: Gateway, count: number, key = ALICE.key): Promise<Set<number>> {
  const answers = await Promise.all(Array.from({ length: count }, () => call(gateway, 'whoami', {}, key)));
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  return new Set(answers.map(pidOf));
}

async function parentOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}

/** Waits until one child works on so many calls. */
async function atWork(gateway: Gateway, count: number): Promise<void> {
  const isThere = async (): Promise<boolean> => {
    const { body } = await http('GET', `${gateway.url}/metrics`, { key: ADMIN.key });
    return body.split('\n').some((line) => line.startsWith('mcp_guard_child_in_flight{') && line.endsWith(` ${count}`));
  };
  await waitUntil(isThere, { what: `${count} calls at a child` });
}

const relayedCalls = (gateway: Gateway): Promise<number> => scrape(gateway, 'mcp_guard_upstream_relayed_total{server="fs"}', ADMIN.key);

describe('row 153: a pool of shared children', () => {
  it('row 153: as many children as the pool says serve all workers, and calls are relayed to those that hold them', async () => {
    const { gateway, started } = await start({ min: 2, max: 2, child_calls: 0 });
    const seen = await pids(gateway, 60);
    expect([seen.size, new Set(await started())]).toEqual([2, seen]);
    expect(new Set(await Promise.all([...seen].map(parentOf))).size).toBe(2);
    expect(await relayedCalls(gateway)).toBeGreaterThan(0);
    const { body } = await http('GET', `${gateway.url}/metrics`, { key: ADMIN.key });
    expect(body).toContain('mcp_guard_children{server="fs",state="ready"} 2');
    const perChild = body.split('\n').filter((line) => line.startsWith('mcp_guard_child_calls{server="fs",worker="'));
    expect(perChild.length).toBe(2);
    expect(perChild.reduce((sum, line) => sum + Number(line.split(' ')[1]), 0)).toBe(60);
    await gateway.stop();
    expect([...seen].filter(isAlive)).toEqual([]);
  });

  it('row 153: a child works on one call at a time, the next ones wait for it, and after queue_secs they are refused', async () => {
    const { gateway, started } = await start({ max: 1, queue_secs: 1 });
    const long = call(gateway, 'sleep', { ms: 2500 });
    await atWork(gateway, 1);
    const waited = await Promise.all(Array.from({ length: 6 }, (_, id) => call(gateway, 'whoami', {}, BOB.key, `late-${id}`)));
    expect(waited.map(({ status }) => status)).toEqual(waited.map(() => 503));
    expect(waited[0]?.json['error']).toMatchObject({ data: { reason: 'upstream_busy', retry_after: 1 } });
    expect((await long).status).toBe(200);
    const served = await pids(gateway, 12);
    expect([served.size, (await started()).length]).toEqual([1, 1]);
    await gateway.stop();
  });

  it('row 153: children are started when they are needed, and those above min are ended when idle', async () => {
    const { gateway, started } = await start({ min: 1, max: 3, idle_secs: 1, queue_secs: 20 });
    expect((await started()).length).toBe(1);
    await Promise.all(Array.from({ length: 3 }, () => call(gateway, 'sleep', { ms: 1000 })));
    expect((await started()).length).toBe(3);
    await waitUntil(async () => (await started()).filter(isAlive).length === 1, { what: 'two are ended' });
    expect((await pids(gateway, 1)).size).toBe(1);
    await gateway.stop();
  });

  it('row 153: a child is replaced after recycle_calls, and no call is lost', async () => {
    const { gateway, started } = await start({ max: 2, child_calls: 4, recycle_calls: 5, queue_secs: 20 });
    const seen = await pids(gateway, 60);
    expect(seen.size).toBeGreaterThanOrEqual(12);
    expect((await started()).length).toBeGreaterThanOrEqual(12);
    await waitUntil(async () => (await started()).filter(isAlive).length <= 2, { what: 'the worn ones are ended' });
    await gateway.stop();
  });

  it('row 153: a child is replaced when it holds more than recycle_mb', async () => {
    const { gateway } = await start({ max: 1, recycle_mb: 200 }, { workers: 2 });
    const [first] = await pids(gateway, 1);
    expect((await call(gateway, 'grow', { mib: 300 })).status).toBe(200);
    const next = await waitUntil(
      async () => {
        const [pid] = await pids(gateway, 1);
        return pid !== first && pid;
      },
      { what: 'another child' },
    );
    expect([isAlive(first ?? 0), next === first]).toEqual([false, false]);
    await gateway.stop();
  });

  it('progress comes to the right client through other workers', async () => {
    const { gateway } = await start({ max: 1, child_calls: 0 });
    const streams = await Promise.all(
      Array.from({ length: 12 }, async (_, index) => {
        const params = { name: 'progress', arguments: { steps: 3, ms: 10 }, _meta: { progressToken: `token-${index}` } };
        const stream = await rpcStream(gateway.mcp, { jsonrpc: '2.0', id: index, method: 'tools/call', params }, { key: ALICE.key });
        await stream.ended;
        return stream.events();
      }),
    );
    for (const [index, events] of streams.entries()) {
      expect(events.map((event) => event['params']?.['progressToken'] ?? event['id'])).toEqual([
        `token-${index}`,
        `token-${index}`,
        `token-${index}`,
        index,
      ]);
    }
    expect(await relayedCalls(gateway)).toBeGreaterThan(0);
    await gateway.stop();
  });
});

describe('row 152: a child that several workers use', () => {
  it('row 152: its crash is told to all of them at once, and the next call is served within two seconds', async () => {
    const { gateway } = await start({ max: 1, child_calls: 0 });
    const [pid] = await pids(gateway, 1);
    const pending = Array.from({ length: 12 }, () => call(gateway, 'sleep', { ms: 10_000 }));
    await atWork(gateway, 12);
    process.kill(pid ?? 0, 'SIGKILL');
    const answers = await Promise.all(pending);
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 502));
    const killedMs = performance.now();
    await waitUntil(async () => (await call(gateway, 'whoami')).status === 200, { what: 'another child' });
    expect(performance.now() - killedMs).toBeLessThan(2000);
    await gateway.stop();
  });

  it('row 152: the death of the worker that holds it ends its calls at once, and the next worker starts another', async () => {
    const { gateway } = await start({ max: 1, child_calls: 0 });
    const [pid = 0] = await pids(gateway, 1);
    const owner = await parentOf(pid);
    const pending = Array.from({ length: 16 }, () => call(gateway, 'sleep', { ms: 20_000 }).catch(() => null));
    await atWork(gateway, 16);
    const sinceMs = performance.now();
    process.kill(owner, 'SIGKILL');
    const answers = await Promise.all(pending);
    expect(performance.now() - sinceMs).toBeLessThan(10_000);
    // Those whose connection the dead worker had are cut off.
    expect(new Set(answers.map((answer) => answer?.status ?? 0))).toEqual(new Set([0, 502]));
    const next = await waitUntil(async () => (await call(gateway, 'whoami').catch(() => null))?.status === 200, { what: 'another child' });
    expect(next).toBe(true);
    await waitUntil(() => !isAlive(pid), { what: 'the old child is ended' });
    await gateway.stop();
  });

  it('a drain waits for calls that other workers have at the child', async () => {
    const { gateway } = await start({ max: 1, child_calls: 0 });
    const pending = Array.from({ length: 12 }, () => call(gateway, 'sleep', { ms: 1500 }));
    await atWork(gateway, 12);
    const stopped = gateway.stop();
    expect((await Promise.all(pending)).map(({ status }) => status)).toEqual(pending.map(() => 200));
    expect((await stopped).code).toBe(0);
  });
});

describe('row 153: a child for each principal', () => {
  it('row 153: every worker reaches the same child of a principal, and nobody else does', async () => {
    const { gateway } = await start({}, { isolation: 'principal' });
    const [alice, bob] = await Promise.all([pids(gateway, 24), pids(gateway, 24, BOB.key)]);
    expect([alice.size, bob.size, new Set([...alice, ...bob]).size]).toEqual([1, 1, 2]);
    expect(await relayedCalls(gateway)).toBeGreaterThan(0);
    await gateway.stop();
    expect([...alice, ...bob].filter(isAlive)).toEqual([]);
  });

  it('a cancellation that comes to any worker ends the call at the child', async () => {
    const { gateway } = await start({}, { isolation: 'principal' });
    const pending = Array.from({ length: 8 }, (_, index) => call(gateway, 'sleep', { ms: 20_000 }, ALICE.key, `c-${index}`));
    await atWork(gateway, 8);
    const cancel = (index: number, key: string): Promise<HttpAnswer> =>
      rpc(gateway.mcp, { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: `c-${index}` } }, { key });
    // Somebody else's request of the same id is nothing to bob.
    await Promise.all(pending.map((_, index) => cancel(index, BOB.key)));
    await atWork(gateway, 8);
    await Promise.all(pending.map((_, index) => cancel(index, ALICE.key)));
    const answers = await Promise.all(pending);
    expect(answers.map(({ status, events }) => [status, events])).toEqual(answers.map(() => [200, []]));
    await gateway.stop();
  });

  it('row 153: idle children are ended, and a principal that comes back gets another', async () => {
    const { gateway, started } = await start({ idle_secs: 0.5 }, { isolation: 'principal' });
    const [first = 0] = await pids(gateway, 1);
    await waitUntil(async () => (await started()).every((pid) => !isAlive(pid)), { what: 'all are ended' });
    expect((await http('GET', `${gateway.url}/ready`)).status).toBe(200);
    const [next] = await pids(gateway, 4);
    expect(next).not.toBe(first);
    await gateway.stop();
  });

  it.each([1, WORKERS])(
    'row 153: %i worker(s): there are never more than pool.max, and who needs one waits until another is idle',
    async (workers) => {
      const { gateway, started } = await start({ max: 1, queue_secs: 20 }, { isolation: 'principal', workers });
      const long = call(gateway, 'sleep', { ms: 1500 });
      await waitUntil(async () => (await started()).length >= 1, { what: 'a child of alice' });
      const bob = pids(gateway, 4, BOB.key);
      const watch = async (): Promise<number> => (await started()).filter(isAlive).length;
      let most = 0;
      let isOver = false;
      void bob.then(() => (isOver = true));
      while (!isOver) most = Math.max(most, await watch());
      expect([(await long).status, (await bob).size, most]).toEqual([200, 1, 1]);
      await gateway.stop();
    },
  );
});
