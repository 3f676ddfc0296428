import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { autocannon } from '../../perf/lib/autocannon.ts';
import { runOpenLoop } from '../../perf/lib/open-loop.ts';
import type { OpenLoopResult } from '../../perf/lib/open-loop.ts';
import { echoCall, headsOf } from '../../perf/lib/plan.ts';
import type { Target } from '../../perf/lib/target.ts';
import { wrk } from '../../perf/lib/wrk.ts';
import { sleep, waitUntil } from '../e2e/wait.ts';

const plan = echoCall('echo', 'text');
let dir = '';
let server: Server;
let seen = 0;

interface Call {
  readonly id: number;
  readonly params: { readonly arguments: { readonly text: string } };
}

/** The answer to the call with this number of all. */
type Answer = (
  call: Call,
  number: number,
) => { readonly status?: number; readonly id: number; readonly text: string; readonly waitMs?: number };

async function serve(answer: Answer): Promise<Target> {
  seen = 0;
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const { status = 200, id, text, waitMs = 0 } = answer(JSON.parse(body) as Call, (seen += 1));
      const reply = `{"jsonrpc":"2.0","id":${id},"result":{"content":[{"type":"text","text":"${text}"}]}}`;
      const send = (): void => void response.writeHead(status, { 'content-length': Buffer.byteLength(reply) }).end(reply);
      if (waitMs === 0) send();
      else setTimeout(send, waitMs);
    });
  });
  return await listening();
}

async function listening(): Promise<Target> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    name: 'server',
    url: `http://127.0.0.1:${port}/mcp`,
    callers: [['X-Caller: a'], ['X-Caller: b']],
    isForeign: false,
  } as unknown as Target;
}

/** The process whose job lies in this folder. */
async function generatorOf(folder: string): Promise<number | null> {
  for (const pid of await readdir('/proc')) {
    const command = /^\d+$/.test(pid) ? await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '') : '';
    if (command.startsWith('luajit\0') && command.includes(folder)) return Number(pid);
  }
  return null;
}

const right: Answer = ({ id, params }) => ({ id, text: params.arguments.text });
/** Every third answer is spoilt. */
const spoilt =
  (spoil: (call: Call) => ReturnType<Answer>): Answer =>
  (call, number) =>
    number % 3 === 0 ? spoil(call) : right(call, number);

const FAULTS: readonly (readonly [string, Answer])[] = [
  ['another status', spoilt(({ id, params }) => ({ status: 500, id, text: params.arguments.text }))],
  ['the id of another request', spoilt(({ id, params }) => ({ id: id + 1_000_000, text: params.arguments.text }))],
  ['the text of another request', spoilt(({ id }) => ({ id, text: 'nonce-1234567890' }))],
];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mcp-guard-load-'));
});

afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await rm(dir, { recursive: true });
});

describe.each([
  ['wrk', wrk],
  ['autocannon', autocannon],
])('%s', (_name, generate) => {
  it('finds nothing wrong with right answers', async () => {
    const load = await generate(await serve(right), plan, dir, 4, 1);
    expect(load).toMatchObject({ wrong: 0, failed: 0, example: '' });
    expect(load.requests).toBeGreaterThan(50);
    expect(load.generatorCpuUs).toBeGreaterThan(0);
  });

  it.each(FAULTS)('counts answers with %s', async (_fault, answer) => {
    const { wrong, requests, example } = await generate(await serve(answer), plan, dir, 4, 1);
    expect(wrong / requests).toBeCloseTo(1 / 3, 1);
    expect(example).toContain('jsonrpc');
  });
});

describe('the open loop', () => {
  async function run(target: Target, perSec: number, secs: number, connections = 8, isTraced = false): Promise<OpenLoopResult> {
    const { hostname: host, port } = new URL(target.url);
    const job = { host, port: Number(port), heads: headsOf(target, plan), plan, perSec, secs, connections, isTraced };
    return await runOpenLoop(job, dir);
  }

  it('sends as many requests as the rate asks for, and finds nothing wrong with right answers', async () => {
    const result = await run(await serve(right), 200, 1);
    expect(result).toMatchObject({ requests: 200, wrong: 0, example: '' });
    expect(result.p50Ms).toBeLessThanOrEqual(result.p99Ms);
    expect(result.cpuUs).toBeGreaterThan(0);
  });

  it.each(FAULTS)('counts answers with %s', async (_fault, answer) => {
    const { wrong, requests } = await run(await serve(answer), 300, 1);
    expect([wrong, requests]).toEqual([100, 300]);
  });

  it('keeps every answer when told to, with refusals by a limit, which are not wrong then', async () => {
    const target = await serve((call, number) => ({ ...right(call, number), status: number % 3 === 0 ? 429 : 200 }));
    const startMs = Date.now();
    const { wrong, answers } = await run(target, 300, 1, 8, true);
    expect([wrong, answers.length, answers.filter(([, , status]) => status === 429).length]).toEqual([0, 300, 100]);
    for (const [dueMs, ms] of answers) expect([dueMs > startMs - 50, dueMs < Date.now(), ms > 0]).toEqual([true, true, true]);
  });

  it.each(FAULTS)('counts answers with %s also when every answer is kept', async (_fault, answer) => {
    const { wrong, answers } = await run(await serve(answer), 300, 1, 8, true);
    expect([wrong, answers.length]).toEqual([100, 300]);
  });

  it('counts the time a request had to wait because the server was slow with others', async () => {
    // One connection, 40 ms each, every 20 ms: each request comes 20 ms later than the one before it.
    const target = await serve((call, number) => ({ ...right(call, number), waitMs: 40 }));
    const { requests, maxMs, p50Ms } = await run(target, 50, 0.5, 1);
    expect(requests).toBe(25);
    expect(maxMs).toBeGreaterThan(400);
    expect(p50Ms).toBeGreaterThan(200);
  });

  it('counts no latency of the lead-in, but its answers', async () => {
    // One connection, and the first five answers take 200 ms: for a second all are late, and two seconds later none is.
    const target = await serve((call, number) => ({ ...right(call, number), waitMs: number <= 5 ? 200 : 0 }));
    const { hostname: host, port } = new URL(target.url);
    const job = { host, port: Number(port), heads: headsOf(target, plan), plan, perSec: 50, connections: 1 };
    const all = await runOpenLoop({ ...job, secs: 1 }, dir);
    expect([all.requests, all.maxMs > 700]).toEqual([50, true]);
    seen = 0;
    const { requests, maxMs, wrong } = await runOpenLoop({ ...job, leadInSecs: 3, secs: 0.5 }, dir);
    expect([requests, wrong, maxMs > 0]).toEqual([175, 0, true]);
    expect(maxMs).toBeLessThan(700);
  });

  it('takes off what it stood still itself, where every answer is kept, and says how late it was', async () => {
    const target = await serve(right);
    const running = run(target, 500, 1.5, 8, true);
    const generator = await waitUntil(async () => await generatorOf(dir), { what: 'a generator at work' });
    await waitUntil(() => seen > 100, { what: 'answers' });
    process.kill(generator, 'SIGSTOP');
    await sleep(300);
    process.kill(generator, 'SIGCONT');
    const { answers, lagP99Ms, maxMs, requests } = await running;
    expect([requests, answers.length, lagP99Ms > 200, maxMs > 200]).toEqual([750, 750, true, true]);
    expect(Math.max(...answers.map(([, ms]) => ms))).toBeLessThan(150);
  });

  it('reads answers in chunks', async () => {
    server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        const { id, params } = JSON.parse(body) as Call;
        const reply = `{"jsonrpc":"2.0","id":${id},"result":{"content":[{"type":"text","text":"${params.arguments.text}"}]}}`;
        response.writeHead(200);
        response.write(reply.slice(0, 30));
        setTimeout(() => response.end(reply.slice(30)), 5);
      });
    });
    expect(await run(await listening(), 200, 0.5)).toMatchObject({ requests: 100, wrong: 0 });
  });

  it('fails when answers have no end that it knows, and when nobody listens', async () => {
    server = createServer((_request, response) => void response.socket?.end('HTTP/1.1 200 OK\r\n\r\n'));
    const target = await listening();
    await expect(run(target, 100, 0.1)).rejects.toThrow('an answer without a length');
    await new Promise((resolve) => server.close(resolve));
    await expect(run(target, 100, 0.1)).rejects.toThrow('connect: Connection refused');
  });

  it('fails when the server closes a connection', async () => {
    const target = await serve((call, number) => {
      if (number === 20) server.closeAllConnections();
      return right(call, number);
    });
    await expect(run(target, 100, 1)).rejects.toThrow(/closed|reset|Broken pipe/);
  });
});
