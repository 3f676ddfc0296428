import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Bench } from '../../perf/lib/bench.ts';
import { loadByTurns } from '../../perf/lib/by-turns.ts';
import { echoCall } from '../../perf/lib/plan.ts';
import type { Program } from '../../perf/lib/process.ts';
import type { Target } from '../../perf/lib/target.ts';
import { waitUntil } from '../e2e/wait.ts';

interface Call {
  readonly id: number;
  readonly params: { readonly arguments: { readonly text: string } };
}

const plan = echoCall('echo', 'text');
/** This process, without the generators that it starts. */
const program = { name: 'test', child: { pid: process.pid }, output: () => '', isOwn: () => false } as unknown as Program;

async function bench(): Promise<Bench> {
  const dir = await mkdtemp(join(tmpdir(), 'mcp-guard-turns-'));
  onTestFinished(async () => await rm(dir, { recursive: true }));
  return { dir } as Bench;
}

/** A server that tells of each request, and answers it with the text that was sent or with another. */
async function serve(name: string, seen: (name: string) => void, text?: string): Promise<Target> {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      seen(name);
      const { id, params } = JSON.parse(body) as Call;
      const reply = `{"jsonrpc":"2.0","id":${id},"result":{"content":[{"type":"text","text":"${text ?? params.arguments.text}"}]}}`;
      response.writeHead(200, { 'content-length': Buffer.byteLength(reply) }).end(reply);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { name, url: `http://127.0.0.1:${port}/mcp`, callers: [[]], program, isForeign: false };
}

async function commands(): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  return await Promise.all(pids.map(async (pid) => await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
}

describe('load by turns', () => {
  it('gives each target turns of its own, in which the others stand still', async () => {
    const requests: string[] = [];
    const note = (name: string): void => void requests.push(name);
    const targets = [await serve('one', note), await serve('two', note), await serve('three', note)];
    const figures = await loadByTurns(await bench(), targets, plan, 2, 1);
    const changes = requests.filter((name, at) => name !== requests[at - 1]).length;
    // Twenty turns, three beginnings and three ends; a request that was under way when its generator stopped comes among those of the next.
    expect(changes).toBeGreaterThan(9);
    expect(changes).toBeLessThan(requests.length / 10);
    for (const [at, { name }] of targets.entries()) {
      expect(requests.filter((each) => each === name).length).toBeGreaterThan(100);
      expect(figures[at]?.['requestsPerSec']).toBeGreaterThan(100);
      expect(figures[at]?.['errors']).toBe(0);
    }
  });

  it('fails for an answer that is wrong, whoever gave it, and leaves no generator behind', async () => {
    const targets: readonly [Target, Target] = [
      await serve('two', () => undefined, 'nonce-1234567890'),
      await serve('one', () => undefined),
    ];
    await expect(loadByTurns(await bench(), targets, plan, 1)).rejects.toThrow(/two: .* wrong answers/);
    const isGone = async (): Promise<boolean> =>
      !(await commands()).some((command) => command.startsWith('wrk\0') && command.includes(targets[1].url));
    await waitUntil(isGone, { what: 'the end of the other generator' });
  });
});
