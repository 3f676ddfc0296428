import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isAlive, keyEntry, makeKey, rpc, rpcRequest, rpcStream, startGateway, tempDir, toolCall, waitUntil } from './harness.ts';
import type { Gateway, HttpAnswer } from './harness.ts';
import { modernHeaders, modernMeta, modernRequest } from './modern.ts';

const key = makeKey();
const other = makeKey();
const FIXTURE = join(import.meta.dirname, 'fixtures', 'modern-stdio.ts');
const SUBSCRIPTION = 'io.modelcontextprotocol/subscriptionId';

interface Seen {
  readonly pid: number;
  readonly id?: number;
  readonly method: string;
  readonly params?: { readonly requestId?: number; readonly _meta?: Readonly<Record<string, unknown>> };
}

interface Place {
  readonly gateway: Gateway;
  /** What all children of the server got so far. */
  seen(): Promise<Seen[]>;
}

async function place(mode: 'modern' | 'exits' | 'silent', settings: object = {}): Promise<Place> {
  const file = join(await tempDir(), 'seen');
  const args = ['--disable-warning=ExperimentalWarning', FIXTURE, mode, file];
  const gateway = await startGateway({
    config: {
      auth: { api_keys: [keyEntry('one', key), keyEntry('two', other)] },
      rate_limit: { enabled: false },
      upstream: { command: process.execPath, args, ...settings },
    },
  });
  const seen = async (): Promise<Seen[]> => {
    const text = await readFile(file, 'utf8').catch(() => '');
    return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Seen]));
  };
  return { gateway, seen };
}

async function call(gateway: Gateway, name: string, id: string | number = 1, who = key, meta: object = {}): Promise<HttpAnswer> {
  const message = { ...modernRequest('tools/call', {}, id), params: { name, arguments: {}, _meta: modernMeta({ ...meta }) } };
  return await rpc(gateway.mcp, message, { key: who.key, headers: modernHeaders('tools/call', name) });
}

describe('a stdio server that speaks revision 2026-07-28 only', () => {
  it('is found out, becomes ready and serves, each client with its own ids', async () => {
    const { gateway, seen } = await place('modern');
    const answers = await Promise.all([call(gateway, 'a', 'x'), call(gateway, 'b', 'x', other), call(gateway, 'c', 7)]);
    expect(answers.map(({ status, json }) => [status, json?.['id']])).toEqual([
      [200, 'x'],
      [200, 'x'],
      [200, 7],
    ]);
    for (const [index, name] of ['a', 'b', 'c'].entries()) expect(answers[index]?.body).toContain(`\\"name\\":\\"${name}\\"`);
    expect((await call(gateway, 'missing')).status).toBe(200);
    const unknown = await rpc(gateway.mcp, modernRequest('prompts/list'), { key: key.key, headers: modernHeaders('prompts/list') });
    expect([unknown.status, unknown.json?.['error']?.['code']]).toEqual([404, -32601]);
    const calls = (await seen()).filter(({ method }) => method === 'tools/call');
    expect(new Set(calls.map(({ id }) => id)).size).toBe(calls.length);
    await gateway.stop();
    for (const { pid } of await seen()) await waitUntil(() => !isAlive(pid), { what: 'the children to end' });
  });

  it('has its progress relayed to who asked, and its log messages to who asked for them', async () => {
    const { gateway } = await place('modern');
    const quiet = await call(gateway, 'q', 1, key, { progressToken: 'mine' });
    expect(quiet.events.map((event) => [event['method'], event['params']?.['progressToken']])).toEqual([
      ['notifications/progress', 'mine'],
      [undefined, undefined],
    ]);
    const told = await call(gateway, 't', 2, key, { 'io.modelcontextprotocol/logLevel': 'info' });
    expect(told.events[0]).toMatchObject({ method: 'notifications/message', params: { data: 'about t' } });
  });

  it('row 151: trap 6: is told when a client leaves, by the id that it knows the call by, and the place of the call is free', async () => {
    const { gateway, seen } = await place('modern', { max_concurrency: 1 });
    const quit = new AbortController();
    const message = modernRequest('tools/call', { name: 'never' }, 'mine');
    const called = rpc(gateway.mcp, message, { key: key.key, headers: modernHeaders('tools/call', 'never'), signal: quit.signal });
    const sent = await waitUntil(async () => (await seen()).find(({ method }) => method === 'tools/call'), { what: 'the call' });
    quit.abort();
    await expect(called).rejects.toThrow('abort');
    const told = await waitUntil(async () => (await seen()).find(({ method }) => method === 'notifications/cancelled'), {
      what: 'the end',
    });
    expect(told.params?.requestId).toBe(sent.id);
    expect((await call(gateway, 'next')).status).toBe(200);
  });

  it('trap 7: has its subscriptions kept apart, though all share one pipe', async () => {
    const { gateway, seen } = await place('modern');
    const headers = modernHeaders('subscriptions/listen');
    const filter = { notifications: { toolsListChanged: true } };
    const open = async (id: string, who = key): ReturnType<typeof rpcStream> =>
      await rpcStream(gateway.mcp, modernRequest('subscriptions/listen', filter, id), { key: who.key, headers });
    const streams = [await open('same'), await open('same', other)];
    for (const stream of streams) {
      const events = await stream.awaitEvents(2);
      expect(events.map(({ method, params }) => [method, params?.['_meta']?.[SUBSCRIPTION]])).toEqual([
        ['notifications/subscriptions/acknowledged', 'same'],
        ['notifications/tools/list_changed', 'same'],
      ]);
    }
    const ids = (await seen()).filter(({ method }) => method === 'subscriptions/listen').map(({ id }) => id);
    expect(new Set(ids).size).toBe(2);
    streams[0]?.leave();
    await waitUntil(
      async () => (await seen()).some(({ method, params }) => method === 'notifications/cancelled' && params?.requestId === ids[0]),
      {
        what: 'the subscription to be cancelled',
      },
    );
    expect(streams[1]?.events()).toHaveLength(2);
    streams[1]?.leave();
  });
});

describe.each(['exits', 'silent'] as const)('an older stdio server that %s on what it does not expect', (mode) => {
  it('is asked in a process of its own, once, and keeps serving in the revisions that it knows', async () => {
    const { gateway, seen } = await place(mode);
    const before = new Set((await seen()).map(({ pid }) => pid));
    expect(before.size).toBe(1);
    for (const id of [1, 2]) {
      const answer = await call(gateway, 'a', id);
      expect([answer.status, answer.json?.['error']?.['code'], answer.json?.['id']]).toEqual([400, -32601, id]);
    }
    expect((await rpc(gateway.mcp, toolCall('a'), { key: key.key })).status).toBe(200);
    expect((await rpc(gateway.mcp, rpcRequest('ping'), { key: key.key })).status).toBe(200);
    const probes = (await seen()).filter(({ method }) => method === 'server/discover');
    expect(probes).toHaveLength(1);
    expect(before.has(probes[0]?.pid ?? 0)).toBe(false);
    await waitUntil(() => !isAlive(probes[0]?.pid ?? 0), { what: 'the process that was asked to end' });
    expect([...before].every((pid) => isAlive(pid))).toBe(true);
  });
});
