import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  http,
  isAlive,
  keyEntry,
  makeKey,
  readRecord,
  rpc,
  runCli,
  sleep,
  startGateway,
  startHttpUpstream,
  stdioUpstream,
  tempDir,
  toolCall,
  toolText,
  waitUntil,
  wildUpstream,
  type Gateway,
} from './harness.ts';
import { openSession } from './sessions.ts';

const KEY = makeKey();
const ADMIN = makeKey();
const auth = { api_keys: [keyEntry('alice', KEY), keyEntry('root', ADMIN, { roles: ['admin'] })] };
const rate_limit = { enabled: false };

async function workersOf(gateway: Gateway): Promise<readonly number[]> {
  const text = await readFile(`/proc/${gateway.pid}/task/${gateway.pid}/children`, 'utf8');
  return text.trim().split(' ').filter(Boolean).map(Number);
}

/** Children of a worker: its stdio servers. */
async function childrenOf(pid: number): Promise<readonly number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text.trim().split(' ').filter(Boolean).map(Number);
}

interface Sent {
  readonly startMs: number;
  readonly endMs: number;
  /** The process that answered; 0 when nobody did. */
  readonly pid: number;
  readonly failure: string;
}

/** Clients that call one after the other, each on a new connection, until `stop`. */
function startLoad(gateway: Gateway, clients: number): { readonly sent: readonly Sent[]; stop(): Promise<void> } {
  const sent: Sent[] = [];
  let isOver = false;
  const client = async (): Promise<void> => {
    while (!isOver) {
      const startMs = performance.now();
      const { pid, failure } = await rpc(gateway.mcp, toolCall('whoami'), { key: KEY.key }).then(
        (answer) => {
          const text = answer.status === 200 ? toolText(answer) : '{"pid":0}';
          return {
            pid: (JSON.parse(text) as { pid: number }).pid,
            failure: answer.status === 200 ? '' : `HTTP ${answer.status} ${answer.body}`,
          };
        },
        (error: NodeJS.ErrnoException) => ({ pid: 0, failure: error.code ?? error.message }),
      );
      sent.push({ startMs, endMs: performance.now(), pid, failure });
    }
  };
  const running = Array.from({ length: clients }, client);
  return {
    sent,
    stop: async () => {
      isOver = true;
      await Promise.all(running);
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const CLIENT_LAG_MS = 50;

describe('a worker that is killed under load', () => {
  it('costs only its requests in flight; within 2 s another one serves, and its stdio children are gone', async () => {
    const recordFile = join(await tempDir(), 'record');
    const gateway = await startGateway({
      config: { server: { workers: 2 }, auth, rate_limit, upstream: stdioUpstream({ recordFile, isStubborn: true }) },
    });
    const [victim = 0, survivor = 0] = await workersOf(gateway);
    const [orphan = 0] = await childrenOf(victim);
    const [kept = 0] = await childrenOf(survivor);
    const load = startLoad(gateway, 8);
    await waitUntil(() => [orphan, kept].every((pid) => load.sent.some((one) => one.pid === pid)), { what: 'both workers answer' });

    const killedMs = performance.now();
    process.kill(victim, 'SIGKILL');
    await waitUntil(() => !isAlive(victim), { what: 'the worker is dead' });
    const deadMs = performance.now();
    await waitUntil(() => !isAlive(orphan), { what: 'its child is gone', timeoutMs: 3000 });
    const fresh = await waitUntil(() => load.sent.find(({ pid }) => pid !== 0 && pid !== orphan && pid !== kept), {
      what: 'another worker answers',
      timeoutMs: 10_000,
    });
    await sleep(300);
    await load.stop();

    const failed = load.sent.filter(({ failure }) => failure !== '');
    expect(failed.length).toBeLessThanOrEqual(8);
    for (const one of failed) {
      expect(one.failure).toMatch(/ECONNRESET|socket hang up|ECONNREFUSED/);
      // A client learns of the dead connection a moment after the process is gone, and may have used it once more.
      expect(one.startMs - deadMs).toBeLessThan(CLIENT_LAG_MS);
      expect(one.endMs).toBeGreaterThanOrEqual(killedMs);
    }
    expect(fresh.endMs - killedMs).toBeLessThan(2000);
    expect(isAlive(kept)).toBe(true);
    expect(new Set(load.sent.filter(({ startMs }) => startMs > fresh.endMs).map(({ pid }) => pid)).has(0)).toBe(false);
    expect((await http('GET', `${gateway.url}/ready`)).status).toBe(200);
    expect(gateway.stderr()).toMatch(/worker ended \(SIGKILL\), starting another/);
    await gateway.stop();
    expect((await readRecord(recordFile)).pids.filter(isAlive)).toEqual([]);
  });

  it('takes a child along that was just restarted and has not answered yet', async () => {
    const dir = await tempDir();
    const recordFile = join(dir, 'record');
    const gateway = await startGateway({
      config: {
        server: { workers: 1 },
        auth,
        rate_limit,
        upstream: { required: false, ...wildUpstream({ recordFile, isStubborn: true, failsOnceFile: join(dir, 'failed') }) },
      },
    });
    await waitUntil(async () => (await readRecord(recordFile)).messages.length >= 1, { what: 'the second child was asked' });
    const pids = (await readRecord(recordFile)).pids;
    const [worker = 0] = await workersOf(gateway);
    expect(pids.filter(isAlive)).toHaveLength(1);
    process.kill(worker, 'SIGKILL');
    await waitUntil(() => !pids.some(isAlive), { what: 'the child is gone', timeoutMs: 3000 });
    await gateway.stop();
    expect((await readRecord(recordFile)).pids.filter(isAlive)).toEqual([]);
  });

  it('takes the child of a session along', async () => {
    const recordFile = join(await tempDir(), 'record');
    const upstream = { required: false, ...wildUpstream({ recordFile, isStubborn: true }), isolation: 'session' };
    const gateway = await startGateway({ config: { server: { workers: 1 }, auth, rate_limit, upstream } });
    await openSession(gateway.mcp, { key: KEY.key });
    const { pids } = await readRecord(recordFile);
    expect(pids.filter(isAlive)).toHaveLength(2);
    const [worker = 0] = await workersOf(gateway);
    process.kill(worker, 'SIGKILL');
    await waitUntil(() => !pids.some(isAlive), { what: 'both children are gone', timeoutMs: 3000 });
    await gateway.stop();
  });

  it('that dies again and again is replaced with pauses, while the others serve', async () => {
    const gateway = await startGateway({ config: { server: { workers: 2 }, auth, rate_limit, upstream: stdioUpstream() } });
    const [first = 0, other = 0] = await workersOf(gateway);
    let victim = first;
    for (let round = 0; round < 2; round++) {
      process.kill(victim, 'SIGKILL');
      const dead = victim;
      victim = await waitUntil(async () => (await workersOf(gateway)).find((pid) => pid !== other && pid !== dead), {
        what: 'another is started',
      });
      expect((await rpc(gateway.mcp, toolCall('echo'), { key: KEY.key })).status).toBe(200);
    }
    expect(isAlive(other)).toBe(true);
    await gateway.stop();
  });
});

describe.each([
  ['two workers', { workers: 2 }],
  ['no worker', { workers: 0 }],
])('a primary with %s that is killed', (_shape, server) => {
  it('leaves no worker, no child and no port behind, and another gateway takes its place', async () => {
    const recordFile = join(await tempDir(), 'record');
    // Without a worker nobody is left to end a child that ignores the end of its input.
    const isStubborn = server.workers > 0;
    const config = { server, auth, rate_limit, upstream: wildUpstream({ recordFile, isStubborn, hasGrandchild: isStubborn }) };
    const gateway = await startGateway({ config });
    expect((await rpc(gateway.mcp, toolCall('self'), { key: KEY.key })).status).toBe(200);
    const workers = server.workers > 0 ? await workersOf(gateway) : [];
    const { pids } = await readRecord(recordFile);
    expect([...workers, ...pids].every(isAlive)).toBe(true);
    process.kill(gateway.pid, 'SIGKILL');
    await waitUntil(() => ![...workers, ...pids].some(isAlive), { what: 'workers and children are gone', timeoutMs: 3000 });
    const next = await startGateway({ config, args: ['--port', String(gateway.port)] });
    expect(next.port).toBe(gateway.port);
    expect((await rpc(next.mcp, toolCall('self'), { key: KEY.key })).status).toBe(200);
    await next.stop();
    expect((await readRecord(recordFile)).pids.filter(isAlive)).toEqual([]);
  });
});

describe('two gateways on one port', () => {
  it('the second exits 1 with the remedy and disturbs nothing, whatever its workers and engine', async () => {
    const recordFile = join(await tempDir(), 'record');
    const gateway = await startGateway({ config: { server: { workers: 2 }, auth, rate_limit, upstream: stdioUpstream() } });
    for (const env of [{ MCP_GUARD_SERVER_WORKERS: '2' }, { MCP_GUARD_SERVER_WORKERS: '0' }, { MCP_GUARD_SERVER_ENGINE: 'node' }]) {
      const config = { server: { port: gateway.port }, auth, upstream: stdioUpstream({ recordFile }) };
      const second = startGateway({ config, env, args: ['--port', String(gateway.port)] });
      await expect(second).rejects.toThrow(new RegExp(`"code":1[\\s\\S]*port ${gateway.port}[\\s\\S]*--port`));
    }
    expect((await readRecord(recordFile)).pids).toEqual([]);
    expect((await rpc(gateway.mcp, toolCall('echo'), { key: KEY.key })).status).toBe(200);
    await gateway.stop();
  });

  it('started at the same moment: exactly one of them serves', async () => {
    const port = String(await freePort());
    const config = { server: { workers: 1 }, auth, rate_limit, upstream: stdioUpstream() };
    const both = await Promise.allSettled([1, 2].map(() => startGateway({ config, args: ['--port', port] })));
    const served = both.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const refused = both.flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : []));
    expect([served.length, refused.length]).toEqual([1, 1]);
    expect(refused[0]).toMatch(/"code":1/);
    expect(refused[0]).toContain(port);
    await served[0]?.stop();
  });

  it('a busy admin port is refused as well, before anything is started', async () => {
    const upstream = await startHttpUpstream();
    const recordFile = join(await tempDir(), 'record');
    const server = { admin: { port: upstream.port } };
    await expect(startGateway({ config: { server, auth, upstream: stdioUpstream({ recordFile }) } })).rejects.toThrow(
      new RegExp(`"code":1[\\s\\S]*${upstream.port}`),
    );
    expect((await readRecord(recordFile)).pids).toEqual([]);
  });
});

describe('server.workers = 0', () => {
  it('serves everything in one process: MCP, health, routes and metrics', async () => {
    const gateway = await startGateway({ config: { server: { workers: 0 }, auth, rate_limit, upstream: stdioUpstream() } });
    const answer = await rpc(gateway.mcp, toolCall('whoami'), { key: KEY.key });
    const { pid } = JSON.parse(toolText(answer)) as { pid: number };
    expect(await workersOf(gateway)).toEqual([pid]);
    expect((await http('GET', `${gateway.url}/ready`)).status).toBe(200);
    const routes = await http('GET', `${gateway.url}/routes`, { key: ADMIN.key });
    expect(routes.json?.['routes']?.[0]).toMatchObject({ name: 'default', health: 'ready' });
    const metrics = await http('GET', `${gateway.url}/metrics`, { key: ADMIN.key });
    expect(metrics.body).toMatch(/mcp_guard_requests_total\{method="tools\/call",status="200"\} 1\n/);
    expect(await gateway.stop()).toEqual({ code: 0, signal: null });
    expect(isAlive(pid)).toBe(false);
    expect((await gateway.auditLines()).some((line) => line['event_type'] === 'tool_response')).toBe(true);
  });
});

describe('the start', () => {
  it('is over in a moment: from spawning run to the first /ready 200', async () => {
    const config = { server: { workers: 2 }, auth, upstream: stdioUpstream() };
    const begin = performance.now();
    const gateway = await startGateway({ config });
    expect(performance.now() - begin).toBeLessThan(10_000);
    await gateway.stop();
  });

  it('fails plainly when the audit file cannot be opened, and leaves nothing running', async () => {
    const recordFile = join(await tempDir(), 'record');
    const dir = await tempDir();
    const config = { auth, audit: { file: '/proc/nonexistent.jsonl' }, upstream: stdioUpstream({ recordFile }) };
    await expect(startGateway({ dir, config })).rejects.toThrow(/"code":1/);
    expect((await runCli(['run', '-c', 'mcp-guard.json'], { cwd: dir })).stderr).toContain('audit');
    expect((await readRecord(recordFile)).pids).toEqual([]);
  });
});
