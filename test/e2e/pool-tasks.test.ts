import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isAlive, keyEntry, makeKey, rpc, sleep, startGateway, tempDir, waitUntil, type Gateway, type HttpAnswer } from './harness.ts';
import { modernHeaders, modernMeta } from './modern.ts';

const FIXTURE = join(import.meta.dirname, 'fixtures', 'task-stdio.ts');
const KNOWS = { 'io.modelcontextprotocol/clientCapabilities': { extensions: { 'io.modelcontextprotocol/tasks': {} } } };
const UNKNOWN = -32_602;
const alice = makeKey();
const bob = makeKey();

interface Pool {
  readonly gateway: Gateway;
  ask(method: string, params: Record<string, unknown>, key?: string): Promise<HttpAnswer>;
  begin(name?: string, key?: string): Promise<string>;
  /** Which processes got messages with this method. */
  seenBy(method: string): Promise<number[]>;
}

async function start(pool: object): Promise<Pool> {
  const file = join(await tempDir(), 'seen');
  const gateway = await startGateway({
    config: {
      server: { workers: 2 },
      auth: { api_keys: [keyEntry('alice', alice), keyEntry('bob', bob)] },
      rate_limit: { enabled: false },
      upstream: { name: 'pool', command: process.execPath, args: ['--disable-warning=ExperimentalWarning', FIXTURE, file], pool },
    },
  });
  const ask: Pool['ask'] = async (method, params, key = alice.key) => {
    const message = { jsonrpc: '2.0', id: 1, method, params: { ...params, _meta: modernMeta(KNOWS) } };
    return await rpc(gateway.mcp, message, { key, headers: modernHeaders(method, String(params['taskId'] ?? params['name'])) });
  };
  return {
    gateway,
    ask,
    begin: async (name = 'job', key = alice.key) => {
      const { status, json } = await ask('tools/call', { name, arguments: {} }, key);
      expect([status, json?.['result']?.['resultType']]).toEqual([200, 'task']);
      return String(json?.['result']?.['taskId']);
    },
    seenBy: async (method) => {
      const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line.includes(`"method":"${method}"`));
      return lines.map((line) => (JSON.parse(line) as { pid: number }).pid);
    },
  };
}

const statusOf = ({ json }: HttpAnswer): unknown => json?.['result']?.['status'] ?? json?.['error']?.['code'];

describe('a shared child that has begun a task', () => {
  it('is not replaced for its calls before the task is finished, takes further ones meanwhile, and is replaced then', async () => {
    const { gateway, ask, begin, seenBy } = await start({ max: 1, recycle_calls: 2, queue_secs: 20 });
    const taskId = await begin();
    for (let turn = 0; turn < 6; turn += 1) {
      expect((await ask('tools/call', { name: 'plain', arguments: {} })).status).toBe(200);
      expect(statusOf(await ask('tasks/get', { taskId }))).toBe('working');
    }
    const [child = 0] = await seenBy('tools/call');
    expect(new Set(await seenBy('tools/call'))).toEqual(new Set([child]));
    await ask('tasks/update', { taskId, inputResponses: {} });
    expect(statusOf(await ask('tasks/get', { taskId }))).toBe('completed');
    await waitUntil(() => !isAlive(child), { what: 'the end of the worn child' });
    expect((await ask('tools/call', { name: 'plain', arguments: {} })).status).toBe(200);
    expect((await seenBy('tools/call')).at(-1)).not.toBe(child);
    expect(statusOf(await ask('tasks/get', { taskId }))).toBe(UNKNOWN);
    await gateway.stop();
  });

  it('is not ended for being idle before that, and is then', async () => {
    const { gateway, ask, begin, seenBy } = await start({ max: 2, idle_secs: 1, queue_secs: 20 });
    const taskId = await begin();
    const [child = 0] = await seenBy('tools/call');
    await sleep(4000);
    expect(statusOf(await ask('tasks/get', { taskId }))).toBe('working');
    await ask('tasks/cancel', { taskId });
    await waitUntil(() => !isAlive(child), { what: 'the end of the idle child', timeoutMs: 15_000 });
    await gateway.stop();
  });

  it('takes the task along when it dies: its successor is not asked, though it has a task of that name of somebody else', async () => {
    const { gateway, ask, begin, seenBy } = await start({ min: 1, max: 1, queue_secs: 20 });
    const lost = await begin('counted');
    const [child = 0] = await seenBy('tools/call');
    process.kill(child, 'SIGKILL');
    await waitUntil(() => !isAlive(child), { what: 'its end' });
    const later = await waitUntil(
      async () => {
        const { json } = await ask('tools/call', { name: 'counted', arguments: {} }, bob.key);
        return json?.['result']?.['taskId'] as string | undefined;
      },
      { what: 'the next process' },
    );
    for (const method of ['tasks/get', 'tasks/update', 'tasks/cancel']) {
      for (const [taskId, key] of [
        [lost, alice.key],
        [later, alice.key],
        [lost, bob.key],
      ] as const)
        expect(statusOf(await ask(method, { taskId, inputResponses: {} }, key))).toBe(UNKNOWN);
    }
    expect(statusOf(await ask('tasks/get', { taskId: later }, bob.key))).toBe('working');
    expect(await seenBy('tasks/cancel')).toEqual([]);
    await gateway.stop();
  });

  it('answers all who poll for their tasks at once, though it works on one call at a time', async () => {
    const { gateway, ask, begin } = await start({ max: 1, child_calls: 1, queue_secs: 20 });
    const tasks = await Promise.all(
      Array.from({ length: 12 }, async (_, index) => await begin('job', index % 2 === 0 ? alice.key : bob.key)),
    );
    const answers = await Promise.all(
      tasks.map(async (taskId, index) => await ask('tasks/get', { taskId }, index % 2 === 0 ? alice.key : bob.key)),
    );
    expect(answers.map(statusOf)).toEqual(tasks.map(() => 'working'));
    await gateway.stop();
  });
});
