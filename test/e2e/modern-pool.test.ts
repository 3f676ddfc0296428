import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  http,
  isAlive,
  keyEntry,
  makeKey,
  rpc,
  rpcStream,
  scrape,
  sleep,
  startGateway,
  tempDir,
  toolCall,
  toolText,
  waitUntil,
} from './harness.ts';
import type { Gateway, HttpAnswer } from './harness.ts';
import { modernHeaders, modernMeta, modernRequest } from './modern.ts';
import type { RpcStream } from './rpc-stream.ts';

const FIXTURE = join(import.meta.dirname, 'fixtures', 'eras-stdio.ts');
const ALICE = makeKey();
const BOB = makeKey();
const ADMIN = makeKey();
const MANY = Array.from({ length: 12 }, (_, index) => ({ id: `many-${index}`, key: makeKey() }));
const WORKERS = 3;

interface Seen {
  readonly pid: number;
  readonly id?: number;
  readonly method: string;
  readonly params?: { readonly requestId?: number };
}

interface Pool {
  readonly gateway: Gateway;
  seen(method?: string): Promise<Seen[]>;
  /** Processes of the server that are alive. */
  alive(): Promise<number[]>;
}

interface Settings {
  readonly isolation?: string;
  readonly mode?: 'both' | 'modern' | 'legacy';
  readonly workers?: number;
  readonly more?: object;
}

async function start(pool: object, { isolation = 'shared', mode = 'both', workers = WORKERS, more = {} }: Settings = {}): Promise<Pool> {
  const file = join(await tempDir(), 'seen');
  const args = ['--disable-warning=ExperimentalWarning', FIXTURE, mode, file];
  const keys = [keyEntry('alice', ALICE), keyEntry('bob', BOB), keyEntry('root', ADMIN, { roles: ['admin'] })];
  const gateway = await startGateway({
    config: {
      server: { workers },
      auth: { api_keys: [...keys, ...MANY.map(({ id, key }) => keyEntry(id, key))] },
      rate_limit: { enabled: false },
      upstream: { name: 'eras', command: process.execPath, args, isolation, pool, ...more },
    },
  });
  const seen = async (method?: string): Promise<Seen[]> => {
    const text = await readFile(file, 'utf8').catch(() => '');
    const all = text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Seen]));
    return all.filter((one) => method === undefined || one.method === method);
  };
  const alive = async (): Promise<number[]> => [...new Set((await seen()).map(({ pid }) => pid))].filter(isAlive);
  return { gateway, seen, alive };
}

interface Call {
  readonly key?: string;
  readonly id?: string | number;
  readonly args?: object;
  readonly params?: object;
  readonly meta?: object;
  readonly signal?: AbortSignal;
}

/** In revision 2026-07-28, on a connection of its own: any worker may get it. */
async function modern(gateway: Gateway, name: string, more: Call = {}): Promise<HttpAnswer> {
  const { key = ALICE.key, id = 1, args = {}, params = {}, meta = {}, signal } = more;
  const message = { ...modernRequest('tools/call', {}, id), params: { name, arguments: args, ...params, _meta: modernMeta({ ...meta }) } };
  return await rpc(gateway.mcp, message, { key, headers: modernHeaders('tools/call', name), ...(signal !== undefined && { signal }) });
}

async function legacy(gateway: Gateway, name: string, key = ALICE.key): Promise<HttpAnswer> {
  return await rpc(gateway.mcp, toolCall(name), { key });
}

function said(answer: HttpAnswer): Record<string, unknown> {
  expect(answer.status, answer.body).toBe(200);
  return JSON.parse(toolText(answer)) as Record<string, unknown>;
}

const pidOf = (answer: HttpAnswer): number => Number(said(answer)['pid']);

async function listen(gateway: Gateway, filter: object, key = ALICE.key): Promise<RpcStream> {
  const message = modernRequest('subscriptions/listen', { notifications: filter }, 'mine');
  const stream = await rpcStream(gateway.mcp, message, { key, headers: modernHeaders('subscriptions/listen') });
  await stream.awaitEvents(1);
  return stream;
}

const told = (stream: RpcStream): unknown[] =>
  stream.events().map(({ method, params }) => [method, params?.['uri']].filter(Boolean).join(' '));

describe('a pool of shared children in revision 2026-07-28', () => {
  it('serves clients of all workers by at most max children, each with the ids of its own', async () => {
    const { gateway, seen, alive } = await start({ max: 2, child_calls: 2, queue_secs: 20 });
    const answers = await Promise.all(
      Array.from({ length: 40 }, async (_, id) => await modern(gateway, 'sleep', { id, args: { ms: 20 } })),
    );
    expect(answers.map(({ json }) => json?.['id'])).toEqual(answers.map((_, id) => id));
    expect(new Set(answers.map((answer) => said(answer)['era']))).toEqual(new Set(['modern']));
    expect(new Set(answers.map(pidOf)).size).toBeLessThanOrEqual(2);
    expect((await alive()).length).toBeLessThanOrEqual(2);
    expect(await scrape(gateway, 'mcp_guard_upstream_relayed_total{server="eras"}', ADMIN.key)).toBeGreaterThan(0);
    // One worker found out for all; each child is asked once, when it begins.
    const asked = await seen('server/discover');
    expect(new Set(asked.map(({ pid }) => pid)).size).toBe(asked.length);
    const { body } = await http('GET', `${gateway.url}/metrics`, { key: ADMIN.key });
    expect(body.split('\n').filter((line) => line.startsWith('mcp_guard_child_calls{server="eras"')).length).toBeGreaterThan(0);
    await gateway.stop();
    expect(await alive()).toEqual([]);
  });

  it('gives the seat of an idle child of the one kind to a call of the other: with a single seat both are served, one child at a time', async () => {
    const { gateway, alive } = await start({ min: 1, max: 1, queue_secs: 20 });
    for (let turn = 0; turn < 3; turn++) {
      expect(said(await legacy(gateway, 'whoami'))['era']).toBe('legacy');
      expect((await alive()).length).toBe(1);
      expect(said(await modern(gateway, 'whoami'))['era']).toBe('modern');
      expect((await alive()).length).toBe(1);
    }
    const both = await Promise.all(
      Array.from({ length: 8 }, async (_, index) => await (index % 2 === 0 ? legacy : modern)(gateway, 'whoami')),
    );
    expect(both.map((answer) => said(answer)['era'])).toEqual(both.map((_, index) => (index % 2 === 0 ? 'legacy' : 'modern')));
    await gateway.stop();
  });

  it('is found out where the server takes no handshake, whose clients of older revisions are served as well', async () => {
    const { gateway, alive } = await start({ min: 2, max: 2, queue_secs: 20 }, { mode: 'modern' });
    expect((await http('GET', `${gateway.url}/ready`)).status).toBe(200);
    expect(said(await modern(gateway, 'whoami'))['era']).toBe('modern');
    expect(said(await legacy(gateway, 'whoami'))['era']).toBe('modern');
    await waitUntil(async () => (await alive()).length === 2, { what: 'those that are kept' });
    await gateway.stop();
  });

  it('tells clients that the server knows older revisions only, or bridges, and asks it once', async () => {
    const plain = await start({ max: 1, queue_secs: 20 }, { mode: 'legacy' });
    for (let turn = 0; turn < 6; turn++) {
      const answer = await modern(plain.gateway, 'whoami');
      expect([answer.status, answer.json?.['error']?.['code']]).toEqual([400, -32601]);
    }
    expect(said(await legacy(plain.gateway, 'whoami'))['era']).toBe('legacy');
    expect((await plain.seen('server/discover')).length).toBe(1);
    await plain.gateway.stop();
    const bridged = await start({ max: 1, queue_secs: 20 }, { mode: 'legacy', more: { modern_clients: 'bridge' } });
    for (let turn = 0; turn < 4; turn++) expect(said(await modern(bridged.gateway, 'whoami'))['era']).toBe('legacy');
    await bridged.gateway.stop();
  });

  it('has progress come to who asked, and tells the child when a client leaves, from whatever worker', async () => {
    const { gateway, seen } = await start({ max: 1, child_calls: 1, queue_secs: 20 });
    const streams = await Promise.all(
      Array.from({ length: 6 }, async (_, index) => await modern(gateway, 'steps', { id: index, meta: { progressToken: `t-${index}` } })),
    );
    for (const [index, { events }] of streams.entries()) {
      expect(events.map((event) => event['params']?.['progressToken'] ?? event['id'])).toEqual([`t-${index}`, `t-${index}`, index]);
    }
    for (let turn = 1; turn <= 4; turn++) {
      const quit = new AbortController();
      const left = modern(gateway, 'sleep', { args: { ms: 60_000 }, signal: quit.signal });
      const isThere = async (): Promise<boolean> => (await seen('tools/call')).length === 6 + 2 * turn - 1;
      await waitUntil(isThere, { what: 'the call' });
      quit.abort();
      await expect(left).rejects.toThrow('abort');
      await waitUntil(async () => (await seen('notifications/cancelled')).length === turn, { what: 'the child is told' });
      // The child works on one call at a time: this one would wait for a minute.
      expect(said(await modern(gateway, 'whoami'))['era']).toBe('modern');
    }
    await gateway.stop();
  });

  it('replaces worn and crashed children; calls at one that dies are told at once', async () => {
    const { gateway, seen } = await start({ max: 1, child_calls: 4, recycle_calls: 5, queue_secs: 20 });
    const pids = await Promise.all(Array.from({ length: 20 }, async (_, id) => pidOf(await modern(gateway, 'whoami', { id }))));
    expect(new Set(pids).size).toBeGreaterThanOrEqual(4);
    const waiting = modern(gateway, 'sleep', { args: { ms: 60_000 } });
    const before = (await seen('tools/call')).length;
    await waitUntil(async () => (await seen('tools/call')).length > before - 1, { what: 'the call' });
    expect((await modern(gateway, 'exit')).status).toBe(502);
    expect((await waiting).status).toBe(502);
    await waitUntil(async () => (await modern(gateway, 'whoami')).status === 200, { what: 'another child' });
    await gateway.stop();
  });

  it('tells subscribers of every worker what any child says, once, through replaced children, and nobody who did not ask', async () => {
    const { gateway } = await start({ max: 3, child_calls: 1, recycle_calls: 6, queue_secs: 20 });
    await modern(gateway, 'whoami');
    const filter = { toolsListChanged: true, promptsListChanged: true, resourceSubscriptions: ['test://one'] };
    const streams = await Promise.all(Array.from({ length: 9 }, async () => await listen(gateway, filter)));
    const other = await listen(gateway, { resourceSubscriptions: ['test://two'] }, BOB.key);
    // What the server cannot tell is not promised.
    expect(streams[0]?.events()[0]?.['params']).toEqual({
      notifications: { toolsListChanged: true, resourceSubscriptions: ['test://one'] },
      _meta: { 'io.modelcontextprotocol/subscriptionId': 'mine' },
    });
    await sleep(500);
    const acknowledged = 'notifications/subscriptions/acknowledged';
    const expected = [acknowledged];
    for (let turn = 0; turn < 12; turn++) {
      // Children that are started meanwhile subscribe a moment later.
      await Promise.all([0, 1, 2].map(async () => await modern(gateway, 'sleep', { args: { ms: 50 } })));
      await sleep(400);
      await modern(gateway, turn % 2 === 0 ? 'change' : 'update', { args: { uri: 'test://one' } });
      expected.push(turn % 2 === 0 ? 'notifications/tools/list_changed' : 'notifications/resources/updated test://one');
      await waitUntil(() => streams.every((stream) => told(stream).length === expected.length), {
        what: `news ${turn}`,
        describe: () => JSON.stringify(streams.map(told)),
      });
    }
    for (const stream of streams) expect(told(stream)).toEqual(expected);
    expect(told(other)).toEqual([acknowledged]);
    for (const stream of [...streams, other]) stream.leave();
    await gateway.stop();
  });

  it('does not let one caller take all that can be subscribed to', async () => {
    const { gateway } = await start({ max: 1, queue_secs: 20 });
    const uris = Array.from({ length: 2000 }, (_, index) => `!test://${index}`);
    const greedy = await listen(gateway, { resourceSubscriptions: uris });
    const granted = greedy.events()[0]?.['params']?.['notifications'] as unknown as { resourceSubscriptions: string[] };
    expect(granted.resourceSubscriptions.length).toBeLessThan(100);
    const other = await listen(gateway, { resourceSubscriptions: ['test://one'] }, BOB.key);
    await sleep(500);
    await modern(gateway, 'update', { args: { uri: 'test://one' } });
    const news = await waitUntil(() => told(other).length === 2 && told(other)[1], { what: 'the news' });
    expect(news).toBe('notifications/resources/updated test://one');
    greedy.leave();
    other.leave();
    await gateway.stop();
  });

  it('makes lists old that are kept when a child says so', async () => {
    const { gateway } = await start({ max: 1, queue_secs: 20 }, { more: { tool_cache_ttl_secs: 600 } });
    const lists = async (): Promise<Set<string>> => {
      const ask = async (): Promise<HttpAnswer> =>
        await rpc(gateway.mcp, modernRequest('tools/list'), { key: ALICE.key, headers: modernHeaders('tools/list') });
      const answers = await Promise.all(Array.from({ length: 20 }, ask));
      return new Set(answers.map(({ body }) => /"description":"([^"]+)"/.exec(body)?.[1] ?? body));
    };
    const stream = await listen(gateway, { toolsListChanged: true });
    const before = await waitUntil(async () => ((await lists()).size === WORKERS ? await lists() : null), { what: 'all to be asked' });
    await modern(gateway, 'change');
    await waitUntil(() => told(stream).length === 2, { what: 'the news' });
    const after = await waitUntil(
      async () => {
        const all = await lists();
        return [...all].every((one) => !before.has(one)) ? all : null;
      },
      { what: 'all to be asked again' },
    );
    expect(after.size).toBeGreaterThan(0);
    stream.leave();
    await gateway.stop();
  });
});

describe('a child for each principal in revision 2026-07-28', () => {
  it('is never shared by two principals, of whatever revision, from whatever worker, and neither is what it tells', async () => {
    const { gateway, seen } = await start({}, { isolation: 'principal' });
    const of = async (key: string): Promise<Set<number>> =>
      new Set(await Promise.all(Array.from({ length: 20 }, async (_, id) => pidOf(await modern(gateway, 'whoami', { key, id })))));
    const [alice, bob] = await Promise.all([of(ALICE.key), of(BOB.key)]);
    const older = new Set(await Promise.all([ALICE, BOB].map(async ({ key }) => pidOf(await legacy(gateway, 'whoami', key)))));
    expect([alice.size, bob.size, older.size, new Set([...alice, ...bob, ...older]).size]).toEqual([1, 1, 2, 4]);
    const filter = { toolsListChanged: true, resourceSubscriptions: ['test://one'] };
    const [hers, his] = await Promise.all([listen(gateway, filter), listen(gateway, filter, BOB.key)]);
    for (const name of ['change', 'update']) await modern(gateway, name, { args: { uri: 'test://one' } });
    await waitUntil(() => told(hers).length === 3, { what: 'her news', describe: () => JSON.stringify(told(hers)) });
    await sleep(300);
    expect(told(his)).toEqual(['notifications/subscriptions/acknowledged']);
    const [child = 0] = alice;
    hers.leave();
    await waitUntil(async () => (await seen('notifications/cancelled')).some(({ pid }) => pid === child), { what: 'its child is told' });
    his.leave();
    await gateway.stop();
  });

  it('gets back what its server asked for, with the state as it was given out, from whatever worker', async () => {
    const { gateway } = await start({}, { isolation: 'principal' });
    for (let turn = 0; turn < 6; turn++) {
      const asked = await modern(gateway, 'ask', { id: `ask-${turn}` });
      const result = asked.json?.['result'];
      expect([asked.status, result?.['resultType']]).toEqual([200, 'input_required']);
      const requestState = result?.['requestState'];
      const inputResponses = { name: { action: 'accept', content: {} } };
      const answered = await modern(gateway, 'ask', { id: `answer-${turn}`, params: { requestState, inputResponses } });
      expect(said(answered)).toMatchObject({ isSame: true });
    }
    await gateway.stop();
  });

  it('is one of max, however many principals come at once in both revisions, and listening keeps nobody out', async () => {
    const { gateway, alive } = await start({ max: 3, queue_secs: 30 }, { isolation: 'principal' });
    await modern(gateway, 'whoami');
    const streams = await Promise.all(MANY.slice(0, 3).map(async ({ key }) => await listen(gateway, { toolsListChanged: true }, key.key)));
    let isOver = false;
    let most = 0;
    const watching = (async () => {
      while (!isOver) {
        most = Math.max(most, (await alive()).length);
        await sleep(20);
      }
    })();
    const answers = await Promise.all(
      MANY.flatMap(({ key }) => [modern(gateway, 'sleep', { key: key.key, args: { ms: 50 } }), legacy(gateway, 'whoami', key.key)]),
    );
    isOver = true;
    await watching;
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(most).toBeLessThanOrEqual(3);
    const byOwner = new Map<number, Set<string>>();
    for (const [index, answer] of answers.entries()) {
      const pid = pidOf(answer);
      byOwner.set(pid, (byOwner.get(pid) ?? new Set()).add(MANY[Math.floor(index / 2)]?.id ?? ''));
    }
    for (const owners of byOwner.values()) expect(owners.size).toBe(1);
    for (const stream of streams) stream.leave();
    await gateway.stop();
  });

  it('is given up when its worker dies: calls there are told at once, and the next ones are served', async () => {
    const { gateway } = await start({}, { isolation: 'principal' });
    const pid = pidOf(await modern(gateway, 'whoami'));
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
    const worker = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    const pending = Array.from(
      { length: 9 },
      async (_, id) => await modern(gateway, 'sleep', { id, args: { ms: 60_000 } }).catch(() => null),
    );
    await sleep(500);
    process.kill(worker, 'SIGKILL');
    const answers = await Promise.all(pending);
    expect([...new Set(answers.map((answer) => answer?.status ?? 0))].every((status) => status === 0 || status === 502)).toBe(true);
    await waitUntil(async () => (await modern(gateway, 'whoami').catch(() => null))?.status === 200, {
      what: 'another child',
      timeoutMs: 15_000,
    });
    await gateway.stop();
  });
});
