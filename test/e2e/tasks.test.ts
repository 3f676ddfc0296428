import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { keyEntry, makeKey, rpc, rpcStream, startGateway, tempDir, waitUntil, type Gateway, type HttpAnswer } from './harness.ts';
import { modernHeaders, modernMeta } from './modern.ts';
import type { RpcStream } from './rpc-stream.ts';
import { startTaskUpstream, type TaskUpstream } from './task-upstream.ts';

const alice = makeKey();
const bob = makeKey();
const EXTENSION = 'io.modelcontextprotocol/tasks';
const KNOWS = { 'io.modelcontextprotocol/clientCapabilities': { extensions: { [EXTENSION]: {} } } };
const STDIO = join(import.meta.dirname, 'fixtures', 'task-stdio.ts');

let remote: TaskUpstream;
let gateway: Gateway;
let file: string;

interface AskOptions {
  readonly key?: string;
  readonly meta?: object;
  readonly path?: string;
  readonly place?: Gateway;
}

const entries = (): object[] => [keyEntry('alice', alice), keyEntry('bob', bob)];
const server = (): object => ({ transport: 'http', url: remote.url, allow_private_networks: true });

beforeAll(async () => {
  remote = await startTaskUpstream();
  file = join(await tempDir(), 'seen');
  const program = { command: process.execPath, args: ['--disable-warning=ExperimentalWarning', STDIO, file] };
  gateway = await startGateway({
    config: {
      server: { workers: 2 },
      auth: { api_keys: entries() },
      rate_limit: { enabled: false },
      upstream: {
        servers: [
          { name: 'remote', ...server() },
          { name: 'twin', ...server() },
          { name: 'program', ...program },
          { name: 'own', ...program, args: [...program.args.slice(0, -1), `${file}-own`], isolation: 'principal', pool: { max: 4 } },
          { name: 'pool', ...program, args: [...program.args.slice(0, -1), `${file}-pool`], pool: { min: 3, max: 3, queue_secs: 20 } },
        ],
        virtual: [{ name: 'all', servers: ['remote', 'program'] }],
      },
    },
  });
});

/** Each request comes by a connection of its own, and so to any worker. */
async function ask(method: string, params: Record<string, unknown>, options: AskOptions = {}): Promise<HttpAnswer> {
  const { key = alice.key, meta = KNOWS, path = '/mcp/remote', place = gateway } = options;
  const name = params['taskId'] ?? params['name'];
  const message = { jsonrpc: '2.0', id: 1, method, params: { ...params, _meta: modernMeta({ ...meta }) } };
  return await rpc(place.url + path, message, { key, headers: modernHeaders(method, name === undefined ? undefined : String(name)) });
}

async function begin(options: AskOptions = {}, name = 'job'): Promise<string> {
  const { status, json } = await ask('tools/call', { name, arguments: {} }, options);
  expect([status, json?.['result']?.['resultType'], json?.['result']?.['status']]).toEqual([200, 'task', 'working']);
  return String(json?.['result']?.['taskId']);
}

async function listen(taskIds: readonly string[], options: AskOptions = {}): Promise<RpcStream> {
  const { key = alice.key, path = '/mcp/remote' } = options;
  const params = { notifications: { taskIds }, _meta: modernMeta(KNOWS) };
  const message = { jsonrpc: '2.0', id: 'mine', method: 'subscriptions/listen', params };
  const stream = await rpcStream(gateway.url + path, message, { key, headers: modernHeaders('subscriptions/listen') });
  await stream.awaitEvents(1);
  return stream;
}

const UNKNOWN = { code: -32_602, message: 'Unknown task' };
const errorOf = ({ json }: HttpAnswer): object => ({ code: json?.['error']?.['code'], message: json?.['error']?.['message'] });

/** A process for each worker; for each caller; three for all. */
const OF_PROCESSES = ['/mcp/program', '/mcp/own', '/mcp/pool'];

describe.each(['/mcp/remote', ...OF_PROCESSES])('tasks of revision 2026-07-28, at %s, by any of two workers', (path) => {
  it('are offered, begun, looked at, answered, and come to their end', async () => {
    const discovered = await ask('server/discover', {}, { path });
    expect(discovered.json?.['result']?.['capabilities']).toMatchObject({ extensions: { [EXTENSION]: {} } });
    for (let round = 0; round < 6; round++) {
      const taskId = await begin({ path });
      expect(taskId).not.toContain('upstream-task');
      for (let time = 0; time < 3; time++) {
        const { json } = await ask('tasks/get', { taskId }, { path });
        expect(json?.['result']).toMatchObject({ resultType: 'complete', taskId, status: 'working', pollIntervalMs: 100 });
      }
      await ask('tasks/update', { taskId, inputResponses: { ask: {} } }, { path });
      const waiting = await ask('tasks/get', { taskId }, { path });
      expect(waiting.json?.['result']).toMatchObject({ taskId, status: 'input_required', inputRequests: { name: {} } });
      const done = await ask('tasks/update', { taskId, inputResponses: { name: { content: round } } }, { path });
      expect(done.json?.['result']).toEqual({ resultType: 'complete' });
      const { json } = await ask('tasks/get', { taskId }, { path });
      const result = { content: [{ type: 'text', text: `{"name":{"content":${round}}}` }], taskId: 'of its own' };
      expect(json?.['result']).toMatchObject({ taskId, status: 'completed', result });
    }
  });

  it('are cancelled', async () => {
    const taskId = await begin({ path });
    expect((await ask('tasks/cancel', { taskId }, { path })).json?.['result']).toEqual({ resultType: 'complete' });
    expect((await ask('tasks/get', { taskId }, { path })).json?.['result']).toMatchObject({ status: 'cancelled' });
  });

  it('need the client to know of them: the server is told what the client said', async () => {
    expect((await ask('tools/call', { name: 'plain' }, { path, meta: {} })).json?.['result']).toMatchObject({ resultType: 'complete' });
    const refused = await ask('tools/call', { name: 'job' }, { path, meta: {} });
    expect([refused.status, refused.json?.['error']?.['code']]).toEqual([400, -32_021]);
    const taskId = await begin({ path });
    // Whose it is must not show first: what is missing is missing for a task of nobody as well.
    for (const id of [taskId, 'made-up']) {
      const { status, json } = await ask('tasks/get', { taskId: id }, { path, meta: {} });
      expect([status, json?.['error']?.['code']]).toEqual([400, -32_021]);
      expect(json?.['error']?.['data']?.['requiredCapabilities']).toEqual({ extensions: { [EXTENSION]: {} } });
    }
  });

  it('are at their server and nowhere else, for the caller who began them and nobody else', async () => {
    const taskId = await begin({ path });
    const elsewhere = path === '/mcp/remote' ? '/mcp/twin' : '/mcp/remote';
    for (const method of ['tasks/get', 'tasks/update', 'tasks/cancel']) {
      const tries = [
        ask(method, { taskId }, { path, key: bob.key }),
        ask(method, { taskId }, { path: elsewhere }),
        ask(method, { taskId: `${taskId.slice(0, -2)}AA` }, { path }),
        ask(method, { taskId: 'upstream-task-1' }, { path }),
      ];
      for (const answer of await Promise.all(tries)) expect([answer.status, errorOf(answer)]).toEqual([200, UNKNOWN]);
    }
    expect((await ask('tasks/get', { taskId }, { path })).json?.['result']).toMatchObject({ status: 'working' });
  });
});

describe('a server over HTTP', () => {
  it('row 151: trap 12: gets its own ids, in the message and in the header that repeats them', async () => {
    const taskId = await begin();
    await ask('tasks/get', { taskId });
    const last = remote.seen.findLast(({ message }) => message.method === 'tasks/get');
    expect(last?.message.params?.taskId).toMatch(/^upstream-task-/);
    expect(last?.headers['mcp-name']).toBe(last?.message.params?.taskId);
    const wrong = await rpc(
      `${gateway.url}/mcp/remote`,
      { jsonrpc: '2.0', id: 1, method: 'tasks/get', params: { taskId, _meta: modernMeta(KNOWS) } },
      { key: alice.key, headers: modernHeaders('tasks/get', 'another') },
    );
    expect([wrong.status, wrong.json?.['error']?.['code']]).toEqual([400, -32_020]);
  });

  it('tells subscriptions of the tasks that they asked for and that are theirs, by the names that their client knows', async () => {
    const [mine, notAsked, foreign] = [await begin(), await begin(), await begin({ key: bob.key })];
    const stream = await listen([mine, foreign, 'upstream-task-1']);
    expect(stream.events()[0]?.['params']?.['notifications']).toEqual({ taskIds: [mine] });
    await ask('tasks/cancel', { taskId: notAsked });
    await ask('tasks/cancel', { taskId: foreign }, { key: bob.key });
    await ask('tasks/cancel', { taskId: mine });
    const [, ...told] = await stream.awaitEvents(2);
    expect(told).toMatchObject([{ method: 'notifications/tasks', params: { taskId: mine, status: 'cancelled' } }]);
    expect(stream.text()).not.toContain('upstream-task');
    stream.leave();
  });

  it('is not asked for tasks by a filter in another spelling', async () => {
    const taskId = await begin();
    await ask('tasks/get', { taskId });
    const raw = String(remote.seen.findLast(({ message }) => message.method === 'tasks/get')?.message.params?.taskId);
    const listenWith = async (params: object): Promise<HttpAnswer | RpcStream> => {
      const message = { jsonrpc: '2.0', id: 's', method: 'subscriptions/listen', params: { ...params, _meta: modernMeta(KNOWS) } };
      return await rpcStream(`${gateway.url}/mcp/remote`, message, { key: bob.key, headers: modernHeaders('subscriptions/listen') });
    };
    const other = (await listenWith({ notifications: { TaskIds: [raw], taskIds: [raw] } })) as RpcStream;
    await other.awaitEvents(1);
    expect(remote.seen.findLast(({ message }) => message.method === 'subscriptions/listen')?.message.params?.notifications).toEqual({});
    other.leave();
    expect(await listenWith({ Notifications: { taskIds: [raw] }, notifications: {} })).toHaveProperty('status', 400);
  });

  it('is not believed when it begins a task without an id, or with one that no client could be given', async () => {
    for (const name of ['liar', 'endless']) {
      const { status, json } = await ask('tools/call', { name, arguments: {} });
      expect([status, json?.['error']?.['code']]).toEqual([502, -31_502]);
    }
  });
});

describe.each(OF_PROCESSES)('a subscription at %s', (path) => {
  it('hears of the tasks of its caller in whatever worker they are, by the names that its client knows, and of nobody else’s', async () => {
    const mine = await Promise.all(Array.from({ length: 8 }, async () => await begin({ path })));
    const [notAsked, foreign] = [await begin({ path }), await begin({ path, key: bob.key })];
    const streams = await Promise.all([1, 2, 3].map(async () => await listen([...mine, foreign, 'upstream-task-1'], { path })));
    const his = await listen(mine, { path, key: bob.key });
    for (const stream of streams) {
      const agreed = stream.events()[0]?.['params']?.['notifications'] as unknown as { taskIds: string[] };
      expect(new Set(agreed.taskIds)).toEqual(new Set(mine));
    }
    await ask('tasks/cancel', { taskId: notAsked }, { path });
    await ask('tasks/cancel', { taskId: foreign }, { path, key: bob.key });
    for (const taskId of mine) await ask('tasks/cancel', { taskId }, { path });
    for (const stream of streams) {
      const [, ...told] = await stream.awaitEvents(1 + mine.length);
      expect(told.map(({ method, params }) => [method, params?.['status']])).toEqual(mine.map(() => ['notifications/tasks', 'cancelled']));
      expect(new Set(told.map(({ params }) => params?.['taskId']))).toEqual(new Set(mine));
      for (const { params } of told) expect(params?.['_meta']).toEqual({ 'io.modelcontextprotocol/subscriptionId': 'mine' });
      expect(stream.text()).not.toContain('upstream-task');
      stream.leave();
    }
    expect(his.events()).toMatchObject([{ params: { notifications: {} } }]);
    his.leave();
  });
});

describe('a subscription at a virtual server', () => {
  it('hears of tasks of its members, of the caller’s own and of no others', async () => {
    const path = '/mcp/all';
    const mine = [await begin({ path }, 'remote__job'), await begin({ path }, 'program__job'), await begin({ path }, 'program__job')];
    const [foreign, elsewhere] = [await begin({ path, key: bob.key }, 'remote__job'), await begin({ path: '/mcp/pool' })];
    const stream = await listen([...mine, foreign, elsewhere], { path });
    const agreed = stream.events()[0]?.['params']?.['notifications'] as unknown as { taskIds: string[] };
    expect(new Set(agreed.taskIds)).toEqual(new Set(mine));
    await ask('tasks/cancel', { taskId: foreign }, { path, key: bob.key });
    await ask('tasks/cancel', { taskId: elsewhere }, { path: '/mcp/pool' });
    for (const taskId of mine) await ask('tasks/cancel', { taskId }, { path });
    const [, ...told] = await stream.awaitEvents(1 + mine.length);
    expect(new Set(told.map(({ params }) => params?.['taskId']))).toEqual(new Set(mine));
    expect(stream.text()).not.toContain('upstream-task');
    stream.leave();
  });
});

describe('what becomes of a task', () => {
  it('is not for whoever may not call its tool any more, and the refusal is on record', async () => {
    const seal = ['0123456789abcdef0123456789abcdef0123456789abcdef'];
    const start = async (denied: readonly string[]): Promise<Gateway> =>
      await startGateway({
        config: {
          auth: { api_keys: [keyEntry('alice', alice, { denied_tools: denied })] },
          rate_limit: { enabled: false },
          session: { seal_keys: seal },
          upstream: { servers: [{ name: 'remote', ...server() }] },
        },
      });
    const before = await start([]);
    const taskId = await begin({ place: before });
    await before.stop();
    const after = await start(['job']);
    for (const method of ['tasks/get', 'tasks/update', 'tasks/cancel']) {
      const refused = await ask(method, { taskId }, { place: after });
      expect([refused.status, refused.json?.['error']?.['code']]).toEqual([403, -31_403]);
    }
    const line = await waitUntil(async () => (await after.auditLines()).find(({ method }) => method === 'tasks/get'), {
      what: 'the record',
    });
    expect(line).toMatchObject({ identity: 'alice', server: 'remote', tool: 'job', reason: 'tool_denied' });
    await after.stop();
  });

  it('is asked for at a virtual server as well, which finds the member that has it', async () => {
    const path = '/mcp/all';
    for (const [member, name] of [
      ['remote', 'remote__job'],
      ['program', 'program__job'],
    ]) {
      const taskId = await begin({ path }, name);
      expect((await ask('tasks/get', { taskId }, { path })).json?.['result']).toMatchObject({ taskId, status: 'working' });
      expect((await ask('tasks/get', { taskId }, { path: `/mcp/${member}` })).json?.['result']).toMatchObject({ taskId });
      expect(errorOf(await ask('tasks/get', { taskId }, { path, key: bob.key }))).toEqual(UNKNOWN);
    }
  });

  it('is gone with the process that had it, whatever its successor calls its own', async () => {
    const seen = join(await tempDir(), 'seen');
    const args = ['--disable-warning=ExperimentalWarning', STDIO, seen];
    const place = await startGateway({
      config: {
        auth: { api_keys: entries() },
        rate_limit: { enabled: false },
        upstream: { servers: [{ name: 'program', command: process.execPath, args }] },
      },
    });
    const path = '/mcp/program';
    const lost = await begin({ path, place }, 'counted');
    expect((await ask('tasks/get', { taskId: lost }, { path, place })).status).toBe(200);
    const [line] = (await readFile(seen, 'utf8')).split('\n').filter((one) => one.includes('"tasks/get"'));
    const { pid, params } = JSON.parse(String(line)) as { pid: number; params: { taskId: string } };
    process.kill(pid, 'SIGKILL');
    const later = await waitUntil(
      async () => {
        const { json } = await ask('tools/call', { name: 'counted', arguments: {} }, { path, place, key: bob.key });
        return json?.['result']?.['taskId'] as string | undefined;
      },
      { what: 'the next process' },
    );
    expect((await ask('tasks/get', { taskId: later }, { path, place, key: bob.key })).json?.['result']).toMatchObject({ taskId: later });
    const known = (await readFile(seen, 'utf8')).split('\n').filter((one) => one.includes('"tasks/get"') && !one.includes(`"pid":${pid},`));
    expect(known.map((one) => (JSON.parse(one) as { params: { taskId: string } }).params.taskId)).toEqual([params.taskId]);
    expect(errorOf(await ask('tasks/get', { taskId: lost }, { path, place }))).toEqual(UNKNOWN);
    await place.stop();
  });

  it('is in the worker that began it, which others ask', async () => {
    for (let round = 0; round < 12; round++)
      await ask('tasks/get', { taskId: await begin({ path: '/mcp/program' }) }, { path: '/mcp/program' });
    const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line.includes('"tasks/get"'));
    expect(new Set(lines.map((line) => (JSON.parse(line) as { pid: number }).pid)).size).toBe(2);
  });
});
