import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { keyEntry, makeKey, rpc, startGateway, tempDir, toolText, waitUntil, type Gateway, type HttpAnswer } from './harness.ts';
import { modernHeaders, modernMeta, modernRequest } from './modern.ts';

const FIXTURE = join(import.meta.dirname, 'fixtures', 'eras-stdio.ts');
const alice = makeKey();
const mallory = makeKey();
const INVALID = [400, -32_602];
const inputResponses = { name: { action: 'accept', content: {} } };

let gateway: Gateway;
/** What its processes got. */
let file: string;

interface Call {
  readonly at?: Gateway;
  readonly key?: string;
  readonly path?: string;
  readonly tool?: string;
  readonly args?: object;
  readonly more?: object;
  readonly headers?: Readonly<Record<string, string>>;
  readonly meta?: Readonly<Record<string, unknown>>;
  readonly signal?: AbortSignal;
}

beforeAll(async () => {
  file = join(await tempDir(), 'seen');
  const program = { command: process.execPath, args: ['--disable-warning=ExperimentalWarning', FIXTURE, 'both', file] };
  gateway = await startGateway({
    config: {
      server: { workers: 3 },
      auth: { api_keys: [keyEntry('alice', alice), keyEntry('mallory', mallory)] },
      rate_limit: { enabled: false },
      upstream: {
        servers: [
          { name: 'pool', ...program, pool: { min: 4, max: 4, child_calls: 1, queue_secs: 20 } },
          { name: 'other', ...program, pool: { min: 2, max: 2, queue_secs: 20 } },
          // One for each worker.
          { name: 'plain', ...program },
        ],
        virtual: [{ name: 'all', servers: ['pool', 'other'] }],
      },
    },
  });
});

/** Each comes by a connection of its own, and so to any worker. */
async function call(options: Call = {}): Promise<HttpAnswer> {
  const {
    at = gateway,
    key = alice.key,
    path = '/mcp/pool',
    tool = 'ask',
    args = {},
    more = {},
    headers = {},
    meta = {},
    signal,
  } = options;
  const params = { name: tool, arguments: args, ...more, _meta: modernMeta(meta) };
  const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params };
  const about = { key, headers: { ...modernHeaders('tools/call', tool), ...headers } };
  return await rpc(at.url + path, message, { ...about, ...(signal !== undefined && { signal }) });
}

/** The state of a question. */
async function asked(options: Call = {}): Promise<string> {
  const { status, json } = await call(options);
  expect([status, json?.['result']?.['resultType']]).toEqual([200, 'input_required']);
  return String(json?.['result']?.['requestState']);
}

const brings = (requestState: string): object => ({ requestState, inputResponses });
const said = (answer: HttpAnswer): Record<string, unknown> => JSON.parse(toolText(answer)) as Record<string, unknown>;
const refused = ({ status, json }: HttpAnswer): unknown[] => [status, json?.['error']?.['code']];
/** What the fixture itself says: its state names its process. */
const ownState = (state: string): string => state.slice(state.indexOf('.') + 1);

describe('what a process of many asked', () => {
  it.each(['/mcp/pool', '/mcp/plain'])('at %s is brought to that one, with its own state unchanged, from whatever worker', async (path) => {
    const run = async (): Promise<unknown> => {
      const state = await asked({ path });
      expect(ownState(state)).toMatch(/^state "of" \d+$/);
      const answer = said(await call({ path, more: brings(state) }));
      expect(answer).toMatchObject({ isSame: true, requestState: ownState(state) });
      return answer['pid'];
    };
    const pids = await Promise.all(Array.from({ length: 24 }, run));
    expect(new Set(pids).size).toBeGreaterThan(1);
  });

  it('at a virtual server as well', async () => {
    for (let turn = 0; turn < 8; turn += 1) {
      const there = { path: '/mcp/all', tool: turn % 2 === 0 ? 'pool__ask' : 'other__ask' };
      expect(said(await call({ ...there, more: brings(await asked(there)) }))).toMatchObject({ isSame: true });
    }
  });

  it('goes to another one where it is gone, which gets the same state and decides for itself', async () => {
    const state = await asked({ path: '/mcp/other' });
    const pid = Number(ownState(state).split(' ').at(-1));
    process.kill(pid, 'SIGKILL');
    const answer = await waitUntil(
      async () => {
        const one = await call({ path: '/mcp/other', more: brings(state) });
        return one.status === 200 ? said(one) : null;
      },
      { what: 'another process' },
    );
    expect(answer).toMatchObject({ isSame: false, requestState: ownState(state) });
    expect(answer['pid']).not.toBe(pid);
  });
});

describe('the call that brings the answers', () => {
  it('has progress come to its client, from whatever worker', async () => {
    for (let turn = 0; turn < 8; turn += 1) {
      const args = { ms: 10 };
      const { events } = await call({ args, more: brings(await asked({ args })), meta: { progressToken: `t-${turn}` } });
      expect(events.map(({ id, params }) => id ?? params?.['progressToken'])).toEqual([`t-${turn}`, 1]);
    }
  });

  it('is taken back by a client that leaves: its process is told, and free again', async () => {
    const cancellations = async (): Promise<number> => (await readFile(file, 'utf8')).split('"notifications/cancelled"').length - 1;
    const calls = async (): Promise<number> => (await readFile(file, 'utf8')).split('"ms":60000').length - 1;
    for (let turn = 1; turn <= 8; turn += 1) {
      const args = { ms: 60_000 };
      const quit = new AbortController();
      const state = await asked({ args });
      const left = call({ args, more: brings(state), signal: quit.signal });
      await waitUntil(async () => (await calls()) === 2 * turn, { what: 'the call at its process' });
      quit.abort();
      await expect(left).rejects.toThrow('abort');
      await waitUntil(async () => (await cancellations()) === turn, { what: 'its process to be told' });
    }
    // Each works on one call at a time.
    const answers = await Promise.all(Array.from({ length: 8 }, async () => await call({ tool: 'whoami' })));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  });

  it('has to agree with its headers, as every call', async () => {
    for (let turn = 0; turn < 6; turn += 1) {
      const args = { region: 'eu' };
      const state = await asked({ args, headers: { 'mcp-param-region': 'eu' } });
      const wrong = await call({ args, more: brings(state), headers: { 'mcp-param-region': 'us' } });
      expect(refused(wrong)).toEqual([400, -32_020]);
      const right = await call({ args, more: brings(state), headers: { 'mcp-param-region': 'eu' } });
      expect(said(right)).toMatchObject({ isSame: true });
    }
  });

  it.each([0, 1])('is served with server.workers = %i', async (workers) => {
    const upstream = {
      name: 'pool',
      command: process.execPath,
      args: ['--disable-warning=ExperimentalWarning', FIXTURE, 'both', file],
      pool: { min: 3, max: 3, queue_secs: 20 },
    };
    const auth = { api_keys: [keyEntry('alice', alice)] };
    const own = await startGateway({ config: { server: { workers }, auth, rate_limit: { enabled: false }, upstream } });
    const run = async (): Promise<unknown> => said(await call({ at: own, more: brings(await asked({ at: own })) }))['isSame'];
    const answers = await Promise.all(Array.from({ length: 12 }, run));
    expect(answers).toEqual(answers.map(() => true));
    await own.stop();
  });
});

describe('a state', () => {
  it('is of no use to another caller, at another server, for another tool, without its seal, or changed; and is as good as before', async () => {
    const state = await asked();
    const own = ownState(state);
    const changed = (at: number): string => state.slice(0, at) + (state[at] === 'A' ? 'B' : 'A') + state.slice(at + 1);
    const other = await asked();
    const tries: Call[] = [
      { key: mallory.key, more: brings(state) },
      { path: '/mcp/other', more: brings(state) },
      { path: '/mcp/plain', more: brings(state) },
      { tool: 'whoami', more: brings(state) },
      { path: '/mcp/all', tool: 'other__ask', more: brings(state) },
      { more: brings(own) },
      { more: brings(`.${own}`) },
      { more: brings(state.slice(0, state.indexOf('.'))) },
      { more: brings(`${state}0`) },
      { more: brings(`${other.slice(0, other.indexOf('.'))}.${own}0`) },
      { more: brings(changed(3)) },
      { more: brings(changed(60)) },
      { more: brings(changed(state.length - 1)) },
      { more: brings('') },
      { more: { requestState: 1, inputResponses } },
      { more: { RequestState: own, inputResponses } },
    ];
    for (const one of tries) expect(refused(await call(one)), JSON.stringify(one)).toEqual(INVALID);
    // Escapes are read before anything is decided.
    const text = JSON.stringify(modernRequest('tools/call', { name: 'ask', arguments: {}, ...brings(own) }));
    const escaped = await rpc(`${gateway.url}/mcp/pool`, text.replace('"requestState"', String.raw`"request\u0053tate"`), {
      key: alice.key,
      headers: modernHeaders('tools/call', 'ask'),
    });
    expect(refused(escaped)).toEqual(INVALID);
    expect(said(await call({ more: brings(state) }))).toMatchObject({ isSame: true });
  });
});
