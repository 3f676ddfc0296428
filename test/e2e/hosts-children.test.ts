import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { connectFull } from '../conformance/full-client.ts';
import { startNginxInTurn } from '../listener/hostile/front.ts';
import { type Gateway, makeKey, rpc, rpcStream, tempDir, toolText, waitUntil, type HttpAnswer } from './harness.ts';
import { MODERN, modernHeaders, modernMeta } from './modern.ts';
import { everythingOverStdio, sdkServerOverHttp } from './peer-servers.ts';
import { startHosts, type TwoHosts } from './two-hosts.ts';

/** What one host's processes and sessions have, used by way of the other. */

const alice = makeKey();
const mallory = makeKey();
const keys = { alice, mallory };
const PREFIX = 'io.modelcontextprotocol/';
const ABLE = { elicitation: { form: {} }, sampling: {}, roots: {}, extensions: { [`${PREFIX}tasks`]: {} } };
const INVALID = [400, -32_602];
const ERAS = join(import.meta.dirname, 'fixtures', 'eras-stdio.ts');
const TASKS = join(import.meta.dirname, 'fixtures', 'task-stdio.ts');
const PROCESSES = ['plain', 'pool', 'own'];

let place: TwoHosts;

async function hosts(): Promise<TwoHosts> {
  const folder = await tempDir();
  const program = (...args: string[]): object => ({ command: process.execPath, args: ['--disable-warning=ExperimentalWarning', ...args] });
  const pool = { min: 2, max: 2, queue_secs: 20 };
  const kinds = (name: string, ...args: string[]): object[] => [
    { name: `${name}-plain`, ...program(...args) },
    { name: `${name}-pool`, ...program(...args), pool },
    { name: `${name}-own`, ...program(...args), isolation: 'principal', pool: { max: 4, queue_secs: 20 } },
  ];
  const servers = [
    ...kinds('asks', ERAS, 'both', join(folder, 'asks')),
    ...kinds('tasks', TASKS, join(folder, 'tasks')),
    { name: 'old', transport: 'http', url: await sdkServerOverHttp('sessions'), allow_private_networks: true, modern_clients: 'bridge' },
    { name: 'old-program', ...everythingOverStdio(), isolation: 'session', modern_clients: 'bridge' },
  ];
  return await startHosts({ keys, more: { upstream: { servers } } });
}

beforeAll(async () => {
  place = await hosts();
});

interface Ask {
  readonly at: Gateway;
  readonly server: string;
  readonly method?: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly key?: string;
}

async function ask({ at, server, method = 'tools/call', params, key = alice.key }: Ask): Promise<HttpAnswer> {
  const _meta = modernMeta({ [`${PREFIX}clientCapabilities`]: ABLE });
  const headers = modernHeaders(method, String(params['taskId'] ?? params['name']));
  return await rpc(`${at.url}/mcp/${server}`, { jsonrpc: '2.0', id: 1, method, params: { ...params, _meta } }, { key, headers });
}

/** What an answer asks for, answered. */
function brought({ status, json }: HttpAnswer, name = 'Ada'): object {
  const result = json?.['result'] as unknown as { resultType: string; inputRequests: object; requestState: string };
  expect([status, result.resultType]).toEqual([200, 'input_required']);
  const answers = Object.keys(result.inputRequests).map((key) => [key, { action: 'accept', content: { name } }]);
  return { requestState: result.requestState, inputResponses: Object.fromEntries(answers) };
}

const refused = ({ status, json }: HttpAnswer): unknown[] => [status, json?.['error']?.['code']];
const said = (answer: HttpAnswer): Record<string, unknown> => JSON.parse(toolText(answer)) as Record<string, unknown>;
const statusOf = ({ json }: HttpAnswer): unknown => json?.['result']?.['status'] ?? json?.['error']?.['code'];

async function begin(at: Gateway, server: string): Promise<string> {
  const { json } = await ask({ at, server, params: { name: 'job', arguments: {} } });
  expect(json?.['result']?.['resultType']).toBe('task');
  return String(json?.['result']?.['taskId']);
}

describe('a call of an older server that waits at one host for what its client is asked', () => {
  const params = { name: 'quiz', arguments: { rounds: 3, isShort: true } };

  it('row 230: is answered by way of the other, round after round, and nobody else answers it there', async () => {
    const [near, far] = [place.near.gateway, place.far.gateway];
    for (let turn = 0; turn < 6; turn += 1) {
      let answers = brought(await ask({ at: far, server: 'old', params }));
      for (const at of [near, far]) {
        const foreign = await ask({ at, server: 'old', params: { ...params, ...answers }, key: mallory.key });
        expect(refused(foreign)).toEqual(INVALID);
      }
      for (const at of [near, far]) {
        const next = await ask({ at, server: 'old', params: { ...params, ...answers } });
        // A state is good once, at whatever host.
        for (const other of [near, far]) {
          expect(refused(await ask({ at: other, server: 'old', params: { ...params, ...answers } }))).toEqual(INVALID);
        }
        answers = brought(next);
      }
      const last = await ask({ at: near, server: 'old', params: { ...params, ...answers } });
      expect(said(last)).toEqual({ answers: [{ name: 'Ada' }, { name: 'Ada' }, { name: 'Ada' }] });
    }
  });

  it.each([
    ['old', 'quiz', 'my name'],
    ['old-program', 'trigger-elicitation-request', 'my name'],
  ])('row 230: behind nginx, which sends each request to the next host, the server "%s"', async (server, tool, text) => {
    const front = await startNginxInTurn([place.near.gateway.port, place.far.gateway.port]);
    const url = `http://127.0.0.1:${front.port}/mcp/${server}`;
    const { client, errors } = await connectFull(url, { pin: MODERN }, alice.key);
    for (let turn = 0; turn < 4; turn += 1) {
      const result = await client.callTool({ name: tool, arguments: { rounds: 2 } });
      expect([result.isError ?? false, JSON.stringify(result).includes(text)]).toEqual([false, true]);
    }
    expect(errors).toEqual([]);
    await client.close();
    await front.stop();
  });
});

describe.each(PROCESSES)('what a process of one host has, by way of the other (%s)', (kind) => {
  it('is a question, which is answered to the process that asked, with its own state', async () => {
    const server = `asks-${kind}`;
    for (let turn = 0; turn < 6; turn += 1) {
      const answers = brought(await ask({ at: place.far.gateway, server, params: { name: 'ask', arguments: {} } }));
      const params = { name: 'ask', arguments: {}, ...answers };
      expect(refused(await ask({ at: place.near.gateway, server, params, key: mallory.key }))).toEqual(INVALID);
      expect(said(await ask({ at: place.near.gateway, server, params }))).toMatchObject({ isSame: true });
    }
  });

  it('is a task, which is looked at, answered, told of and cancelled, by its caller and nobody else', async () => {
    const server = `tasks-${kind}`;
    const [near, far] = [place.near.gateway, place.far.gateway];
    for (let turn = 0; turn < 4; turn += 1) {
      const taskId = await begin(far, server);
      const about = async (method: string, more: object = {}, key = alice.key): Promise<HttpAnswer> =>
        await ask({ at: near, server, method, params: { taskId, ...more }, key });
      expect(statusOf(await about('tasks/get'))).toBe('working');
      for (const method of ['tasks/get', 'tasks/update', 'tasks/cancel']) {
        expect(statusOf(await about(method, { inputResponses: {} }, mallory.key))).toBe(-32_602);
      }
      const _meta = modernMeta({ [`${PREFIX}clientCapabilities`]: ABLE });
      const listen = {
        jsonrpc: '2.0',
        id: 'mine',
        method: 'subscriptions/listen',
        params: { notifications: { taskIds: [taskId] }, _meta },
      };
      const headers = modernHeaders('subscriptions/listen');
      const stream = await rpcStream(`${near.url}/mcp/${server}`, listen, { key: alice.key, headers });
      await stream.awaitEvents(1);
      expect(stream.events()[0]?.['params']?.['notifications']).toEqual({ taskIds: [taskId] });
      await about('tasks/update', { inputResponses: { ask: {} } });
      expect(statusOf(await about('tasks/get'))).toBe('input_required');
      await about('tasks/cancel');
      const [, ...told] = await stream.awaitEvents(3);
      expect(told.map(({ params }) => [params?.['taskId'], params?.['status']])).toEqual([
        [taskId, 'input_required'],
        [taskId, 'cancelled'],
      ]);
      expect(stream.text()).not.toContain('upstream-task');
      stream.leave();
    }
  });
});

describe('a host that ends in order', () => {
  it('does not wait for who listens to its tasks by way of another, whose subscription goes on', async () => {
    const own = await hosts();
    const [near, far] = [own.near.gateway, own.far.gateway];
    const [there, here] = [await begin(far, 'tasks-pool'), await begin(near, 'tasks-pool')];
    const _meta = modernMeta({ [`${PREFIX}clientCapabilities`]: ABLE });
    const message = { jsonrpc: '2.0', id: 1, method: 'subscriptions/listen', params: { notifications: { taskIds: [there, here] }, _meta } };
    const headers = modernHeaders('subscriptions/listen');
    const stream = await rpcStream(`${near.url}/mcp/tasks-pool`, message, { key: alice.key, headers });
    await stream.awaitEvents(1);
    const startMs = performance.now();
    expect(await far.stop()).toMatchObject({ code: 0 });
    expect(performance.now() - startMs).toBeLessThan(6000);
    await ask({ at: near, server: 'tasks-pool', method: 'tasks/cancel', params: { taskId: here } });
    const [, told] = await stream.awaitEvents(2);
    expect(told?.['params']).toMatchObject({ taskId: here, status: 'cancelled' });
    stream.leave();
    await near.stop();
  });
});

describe('a host that is lost', () => {
  it('takes tasks along; questions of its processes are answered to others, where their servers understand the state', async () => {
    const own = await hosts();
    const [near, far] = [own.near.gateway, own.far.gateway];
    const taskId = await begin(far, 'tasks-pool');
    const params = { name: 'ask', arguments: {} };
    const answers = brought(await ask({ at: far, server: 'asks-pool', params }));
    expect(statusOf(await ask({ at: near, server: 'tasks-pool', method: 'tasks/get', params: { taskId } }))).toBe('working');
    await far.stop('SIGKILL');
    const get = async (): Promise<unknown> =>
      statusOf(await ask({ at: near, server: 'tasks-pool', method: 'tasks/get', params: { taskId } }));
    await waitUntil(async () => (await get()) === -32_602, { what: 'its task to be unknown' });
    const answer = await ask({ at: near, server: 'asks-pool', params: { ...params, ...answers } });
    expect(said(answer)).toMatchObject({ isSame: false });
    await near.stop();
  });
});
