import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  cleanEnv,
  http,
  isAlive,
  keyEntry,
  MAIN,
  makeKey,
  readRecord,
  rpc,
  rpcStream,
  sleep,
  startGateway,
  stdioUpstream,
  tempDir,
  toolCall,
  toolText,
  waitUntil,
  wildUpstream,
  within,
  type Gateway,
} from './harness.ts';

const KEY = makeKey();
const auth = { api_keys: [keyEntry('alice', KEY)] };
const rate_limit = { enabled: false };

/** One process, two workers, and the other engine: what is promised about ending holds for all. */
const SHAPES = [
  ['no worker', 'SIGTERM', { workers: 0 }],
  ['two workers', 'SIGINT', { workers: 2 }],
  ['the node engine', 'SIGTERM', { workers: 1, engine: 'node' }],
] as const;

async function slowCall(gateway: Gateway, ms: number, id: string | number = 1): ReturnType<typeof rpc> {
  return await rpc(gateway.mcp, toolCall('sleep', { ms }, id), { key: KEY.key });
}

/** Resolves when this many messages of `method` have reached the upstream. */
async function reached(recordFile: string, method: string, count: number): Promise<void> {
  await waitUntil(async () => (await readRecord(recordFile)).messages.filter((one) => one['method'] === method).length >= count, {
    what: `${count} ${method} at the upstream`,
  });
}

async function statusOf(url: string, agent?: Agent): Promise<number | string> {
  return await http('GET', url, agent === undefined ? {} : { agent }).then(
    ({ status }) => status,
    (error: NodeJS.ErrnoException) => error.code ?? error.message,
  );
}

async function canBind(port: number): Promise<boolean> {
  const server = createServer();
  return await new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}

describe.each(SHAPES)('a gateway with %s', (_shape, signal, server) => {
  it(`row 155: on ${signal} is not ready, takes no new connections, lets calls in flight end, reaps its children and exits 0`, async () => {
    const recordFile = join(await tempDir(), 'record');
    const gateway = await startGateway({
      config: {
        server: { ...server, drain_delay_secs: 0.5 },
        auth,
        rate_limit,
        upstream: stdioUpstream({ recordFile }),
      },
    });
    const kept = new Agent({ keepAlive: true, maxSockets: 1 });
    expect(await statusOf(`${gateway.url}/ready`, kept)).toBe(200);
    const calls = [slowCall(gateway, 1200, 'a'), slowCall(gateway, 1200, 'b')];
    const stream = rpcStream(gateway.mcp, toolCall('progress', { steps: 4, ms: 300 }, 's', { progressToken: 1 }), { key: KEY.key });
    await reached(recordFile, 'tools/call', 3);
    const children = (await readRecord(recordFile)).pids;
    expect(children.every(isAlive)).toBe(true);

    process.kill(gateway.pid, signal);
    const ready = await waitUntil(
      async () => {
        const answer = await http('GET', `${gateway.url}/ready`);
        return answer.status === 503 ? answer : null;
      },
      { what: '/ready is 503' },
    );
    expect(ready.json).toMatchObject({ ready: false, reason: 'draining' });
    expect(await statusOf(`${gateway.url}/live`)).toBe(200);
    await waitUntil(async () => (await statusOf(`${gateway.url}/ready`)) === 'ECONNREFUSED', { what: 'no new connection is taken' });

    const answers = await Promise.all(calls);
    expect(answers.map((answer) => [answer.status, toolText(answer)])).toEqual([
      [200, 'slept'],
      [200, 'slept'],
    ]);
    const { ended, events } = await stream;
    expect(await ended).toBe('complete');
    expect(events().at(-1)).toMatchObject({ id: 's', result: { content: [{ text: 'done' }] } });
    expect(await gateway.exited).toEqual({ code: 0, signal: null });
    expect(children.filter(isAlive)).toEqual([]);
    expect(await canBind(gateway.port)).toBe(true);
    const responses = (await gateway.auditLines()).filter((line) => line['event_type'] === 'tool_response');
    expect(responses.map((line) => line['status'])).toEqual([200, 200, 200]);
    kept.destroy();
  });

  it('row 155: gives up what takes longer than the drain time: the caller is told, the child is gone, the exit is 0', async () => {
    const recordFile = join(await tempDir(), 'record');
    const gateway = await startGateway({
      config: { server: { ...server, drain_timeout_secs: 1 }, auth, rate_limit, upstream: stdioUpstream({ recordFile }) },
    });
    const call = slowCall(gateway, 20_000, 'long');
    const message = toolCall('progress', { steps: 100, ms: 200 }, 'stream', { progressToken: 1 });
    const stream = await rpcStream(gateway.mcp, message, { key: KEY.key });
    await reached(recordFile, 'tools/call', 2);
    const children = (await readRecord(recordFile)).pids;
    const begin = performance.now();
    process.kill(gateway.pid, 'SIGTERM');
    const answer = await call;
    expect([answer.status, answer.json?.['id'], answer.json?.['error']?.['code']]).toEqual([503, 'long', -31503]);
    expect(await stream.ended).toBe('complete');
    expect(stream.events().at(-1)).toMatchObject({ id: 'stream', error: { code: -31503 } });
    expect(await gateway.exited).toEqual({ code: 0, signal: null });
    const tookMs = performance.now() - begin;
    expect([tookMs > 950, tookMs < 6000]).toEqual([true, true]);
    expect(children.filter(isAlive)).toEqual([]);
    const failed = (await gateway.auditLines()).filter((line) => line['event_type'] === 'upstream_error');
    expect(failed.map((line) => `${String(line['status'])} ${String(line['reason'])}`).sort()).toEqual([
      '200 upstream_unavailable',
      '503 upstream_unavailable',
    ]);
  });

  it('row 155: a second signal forces the end at once, and no child outlives it', async () => {
    const recordFile = join(await tempDir(), 'record');
    const gateway = await startGateway({
      config: { server, auth, rate_limit, upstream: wildUpstream({ recordFile, hasGrandchild: true, isStubborn: true }) },
    });
    const call = rpc(gateway.mcp, toolCall('silence'), { key: KEY.key }).catch((error: Error) => error.message);
    await reached(recordFile, 'tools/call', 1);
    const { pids } = await readRecord(recordFile);
    expect(pids.filter(isAlive)).toEqual(pids);
    process.kill(gateway.pid, 'SIGTERM');
    await waitUntil(() => gateway.stderr().includes('draining'), { what: 'it drains' });
    // What a terminal and npm deliver twice within a moment is one signal.
    process.kill(gateway.pid, 'SIGTERM');
    await sleep(500);
    expect(isAlive(gateway.pid)).toBe(true);
    const begin = performance.now();
    process.kill(gateway.pid, 'SIGINT');
    expect(await gateway.exited).toEqual({ code: 130, signal: null });
    expect(performance.now() - begin).toBeLessThan(2500);
    // Its child ends first: there may be time to say so before the connection is cut.
    const ended = await call;
    expect(typeof ended === 'string' ? 'cut off' : ended.status).toBeOneOf(['cut off', 502]);
    await waitUntil(() => !pids.some(isAlive), { what: 'all children are gone', timeoutMs: 2000 });
    expect(await canBind(gateway.port)).toBe(true);
  });
});

describe('a signal', () => {
  it('row 155: to the whole group, as a terminal sends it, drains as well', async () => {
    const recordFile = join(await tempDir(), 'record');
    const gateway = await startGateway({ config: { server: { workers: 2 }, auth, rate_limit, upstream: stdioUpstream({ recordFile }) } });
    const call = slowCall(gateway, 700);
    await reached(recordFile, 'tools/call', 1);
    process.kill(-gateway.pid, 'SIGINT');
    expect((await call).status).toBe(200);
    expect(await gateway.exited).toEqual({ code: 0, signal: null });
    expect((await readRecord(recordFile)).pids.filter(isAlive)).toEqual([]);
  });

  it.each([200, 350, 500])('during the start, after %i ms, leaves nothing behind', async (delayMs) => {
    const dir = await tempDir();
    const recordFile = join(dir, 'record');
    const config = { server: { workers: 1 }, auth, rate_limit, upstream: stdioUpstream({ recordFile }) };
    await writeFile(join(dir, 'mcp-guard.json'), JSON.stringify(config));
    const child = spawn(process.execPath, [MAIN, 'run', '-c', 'mcp-guard.json', '--port', '0'], {
      cwd: dir,
      env: cleanEnv(),
      stdio: 'ignore',
    });
    const exited = new Promise((resolve) => child.on('exit', resolve));
    await sleep(delayMs);
    child.kill('SIGTERM');
    await within(exited, 10_000, () => 'it ends');
    const { pids } = await readRecord(recordFile);
    await waitUntil(() => !pids.some(isAlive), { what: 'no child is left', timeoutMs: 3000 });
    expect(pids.filter(isAlive)).toEqual([]);
  });
});
