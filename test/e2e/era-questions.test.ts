import { beforeAll, describe, expect, it } from 'vitest';
import { connectFull } from '../conformance/full-client.ts';
import { everythingOverStdio, sdkServerOverHttp } from './peer-servers.ts';
import { keyEntry, makeKey, rpc, startGateway, toolText, waitUntil } from './harness.ts';
import type { Gateway, HttpAnswer, TestKey } from './harness.ts';
import { MODERN, modernHeaders, modernMeta } from './modern.ts';
import { startSessionUpstream } from './session-upstream.ts';

const PREFIX = 'io.modelcontextprotocol/';
const alice = makeKey();
const mallory = makeKey();
const ABLE = { elicitation: { form: {} }, sampling: {}, roots: {} };
/** Calls of one caller that may wait for answers, and rounds of questions in one. */
const MAX_WAITING = 16;
const MAX_ROUNDS = 32;

interface Asked {
  readonly requests: Readonly<Record<string, { readonly method: string; readonly params: { readonly message: string } }>>;
  readonly state: string;
}

let url: string;
let gateway: Gateway;
/** The same for everybody. */
let open: Gateway;

async function inFront(upstream: object, workers = 1): Promise<Gateway> {
  const api_keys = [keyEntry('alice', alice), keyEntry('mallory', mallory)];
  const config = { server: { workers }, auth: { api_keys }, rate_limit: { enabled: false }, upstream };
  return await startGateway({ config });
}

function quiz(args: object, more: object = {}, capabilities: object = ABLE, id: string | number = 1): object {
  const meta = modernMeta({ [`${PREFIX}clientCapabilities`]: capabilities });
  return { jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'quiz', arguments: args, ...more, _meta: meta } };
}

async function call(message: object, who: TestKey = alice, mcp: string = gateway.mcp): Promise<HttpAnswer> {
  return await rpc(mcp, message, { key: who.key, headers: modernHeaders('tools/call', 'quiz') });
}

/** What an answer asks for. */
function asked({ json }: HttpAnswer): Asked {
  const result = json['result'] as unknown as { resultType: string; inputRequests: Asked['requests']; requestState: string };
  expect(result.resultType).toBe('input_required');
  return { requests: result.inputRequests, state: result.requestState };
}

/** Answers every question with this name. */
function answers({ requests, state }: Asked, name: string): object {
  const inputResponses = Object.fromEntries(Object.keys(requests).map((key) => [key, { action: 'accept', content: { name } }]));
  return { inputResponses, requestState: state };
}

const textOf = (content: unknown): string => String((content as readonly { readonly text: string }[])[0]?.text);
const refused = ({ status, json }: HttpAnswer): unknown[] => [status, json['error']?.['code']];

beforeAll(async () => {
  url = await sdkServerOverHttp('sessions');
  const upstream = { transport: 'http', url, allow_private_networks: true, modern_clients: 'bridge' };
  gateway = await inFront(upstream);
  open = await startGateway({ config: { auth: { allow_anonymous: true }, rate_limit: { enabled: false }, upstream } });
});

describe('a server of older revisions that asks within a call, and a client of revision 2026-07-28', () => {
  it.each([
    ['HTTP', 'quiz', () => ({ transport: 'http', url, allow_private_networks: true })],
    ['stdio', 'trigger-elicitation-request', () => ({ ...everythingOverStdio(), isolation: 'session' })],
  ])('row 230: over %s: the client answers and gets the result of its one call', async (_name, tool, upstream) => {
    const own = await startGateway({
      config: { auth: { allow_anonymous: true }, rate_limit: { enabled: false }, upstream: { ...upstream(), modern_clients: 'bridge' } },
    });
    const { client, errors } = await connectFull(own.mcp, { pin: MODERN });
    const result = await client.callTool({ name: tool, arguments: { rounds: 2 } });
    const said = JSON.stringify(result);
    expect(result.isError ?? false).toBe(false);
    if (tool === 'quiz') {
      expect(JSON.parse(textOf(result.content))).toMatchObject({
        answers: [{ name: 'my name' }, { name: 'my name' }],
        roots: [{ uri: 'file:///one' }, { uri: 'file:///two' }],
        content: { text: 'a sampled answer' },
      });
    } else expect(said).toContain('my name');
    expect(errors).toEqual([]);
  });

  it('row 230: the question is the answer of the call, and each round has a state of its own', async () => {
    const first = await call(quiz({ rounds: 2, isShort: true }, {}, ABLE, 'one'));
    expect([first.status, first.json['id']]).toEqual([200, 'one']);
    const question = asked(first);
    expect(Object.values(question.requests)).toMatchObject([{ method: 'elicitation/create', params: { message: 'round 1' } }]);
    const second = asked(await call(quiz({ rounds: 2, isShort: true }, answers(question, 'Ada'), ABLE, 'two')));
    expect(Object.values(second.requests)).toMatchObject([{ params: { message: 'round 2' } }]);
    expect(second.state).not.toBe(question.state);
    const last = await call(quiz({ isShort: true, rounds: 2 }, answers(second, 'Bob'), ABLE, 'three'));
    expect(last.json).toMatchObject({ id: 'three', result: { resultType: 'complete' } });
    expect(JSON.parse(toolText(last))).toEqual({ answers: [{ name: 'Ada' }, { name: 'Bob' }] });
  });

  it('row 235: also as a member of a virtual server, which speaks the revision when its members do or are bridged', async () => {
    const bridged = { allow_private_networks: true, modern_clients: 'bridge' };
    const place = await inFront(
      {
        servers: [
          { name: 'old', url, ...bridged },
          { name: 'new', url: await sdkServerOverHttp('modern'), allow_private_networks: true },
          { name: 'unbridged', url: await sdkServerOverHttp('sessions'), allow_private_networks: true },
        ],
        virtual: [
          { name: 'both', servers: ['old', 'new'] },
          { name: 'mixed', servers: ['old', 'unbridged'] },
        ],
      },
      3,
    );
    const { client, errors } = await connectFull(`${place.mcp}/both`, { pin: MODERN }, alice.key);
    const { tools } = await client.listTools();
    expect(new Set(tools.map(({ name }) => name.split('__')[0]))).toContain('old');
    expect(client.getServerCapabilities()).toMatchObject({ tools: { listChanged: true } });
    const result = await client.callTool({ name: 'old__quiz', arguments: { rounds: 2 } });
    expect(JSON.parse(textOf(result.content))).toMatchObject({ answers: [{ name: 'my name' }, { name: 'my name' }] });
    expect(await client.callTool({ name: 'new__add', arguments: { a: 1, b: 2 } })).toMatchObject({ structuredContent: { sum: 3 } });
    expect(errors).toEqual([]);
    // A call that waits for answers is none of another caller's, and of no other tool's.
    const meta = modernMeta({ [`${PREFIX}clientCapabilities`]: ABLE });
    const ask = async (name: string, who: TestKey, more: object = {}): Promise<HttpAnswer> =>
      await rpc(
        `${place.mcp}/both`,
        { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: { isShort: true }, ...more, _meta: meta } },
        { key: who.key, headers: modernHeaders('tools/call', name) },
      );
    const question = asked(await ask('old__quiz', alice));
    expect(refused(await ask('old__quiz', mallory, answers(question, 'Mallory')))).toEqual([400, -32_602]);
    expect(refused(await ask('old__add', alice, answers(question, 'Ada')))).toEqual([400, -32_602]);
    expect(JSON.parse(toolText(await ask('old__quiz', alice, answers(question, 'Ada'))))).toEqual({ answers: [{ name: 'Ada' }] });
    const list = { jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta: modernMeta() } };
    const mixed = await rpc(`${place.mcp}/mixed`, list, { key: alice.key, headers: modernHeaders('tools/list') });
    expect(refused(mixed)).toEqual([400, -32_601]);
  });

  it('is asked again for what it left out, and not for what it cannot do', async () => {
    const args = { rounds: 1, isShort: true };
    const question = asked(await call(quiz(args)));
    const again = asked(await call(quiz(args, { requestState: question.state, inputResponses: { other: {} } })));
    expect(again.requests).toEqual(question.requests);
    const last = await call(quiz(args, answers(again, 'Eve')));
    expect(JSON.parse(toolText(last))).toEqual({ answers: [{ name: 'Eve' }] });
    const unable = await call(quiz(args, {}, { sampling: {} }));
    expect(unable.json).not.toHaveProperty('result.inputRequests');
    expect(JSON.stringify(unable.json)).toMatch(/elicitation|not found/i);
  });

  it('row 230: served by several workers: the answer finds its call from whichever it comes to', async () => {
    const own = await inFront({ transport: 'http', url, allow_private_networks: true, modern_clients: 'bridge' }, 3);
    const args = { rounds: 3, isShort: true };
    const run = async (name: string): Promise<unknown> => {
      let answer = await call(quiz(args), alice, own.mcp);
      for (let round = 0; round < 3; round += 1) answer = await call(quiz(args, answers(asked(answer), name)), alice, own.mcp);
      return JSON.parse(toolText(answer));
    };
    const names = Array.from({ length: 12 }, (_, index) => `name ${index}`);
    expect(await Promise.all(names.map(run))).toEqual(names.map((name) => ({ answers: [{ name }, { name }, { name }] })));
  });

  it('that leaves a call which runs cancels it at the server', async () => {
    const { client } = await connectFull(open.mcp, { pin: MODERN });
    const quit = new AbortController();
    const called = client.callTool({ name: 'wait', arguments: { ms: 20_000, mark: 'asking' } }, { signal: quit.signal });
    await waitUntil(async () => (await open.auditLines()).some((line) => line['tool'] === 'wait'), { what: 'the call' });
    quit.abort(new Error('enough'));
    await expect(called).rejects.toThrow('enough');
    const aborted = async (): Promise<string> => textOf((await client.callTool({ name: 'aborted' })).content);
    await waitUntil(async () => (await aborted()).includes('asking'), { what: 'the server to know' });
  });

  it('whose server has forgotten the session that it was lent gets another, and notices nothing', async () => {
    const upstream = await startSessionUpstream();
    const own = await inFront({ transport: 'http', url: upstream.url, allow_private_networks: true, modern_clients: 'bridge' });
    for (let turn = 1; turn <= 3; turn += 1) {
      const answer = await call(quiz({ turn }), alice, own.mcp);
      expect(JSON.parse(toolText(answer))).toEqual({ name: 'quiz', arguments: { turn } });
      expect(upstream.sessionsOf('tester')).toHaveLength(1);
      for (const id of upstream.sessionsOf('tester')) upstream.forget(id);
    }
  });
});

describe('whoever is not asked', () => {
  const args = { rounds: 1, isShort: true };

  it('cannot answer for the one who is, and nothing is lost by the attempt', async () => {
    const question = asked(await call(quiz(args)));
    expect(refused(await call(quiz(args, answers(question, 'Mallory')), mallory))).toEqual([400, -32602]);
    expect(JSON.parse(toolText(await call(quiz(args, answers(question, 'Ada')))))).toEqual({ answers: [{ name: 'Ada' }] });
  });

  it('cannot answer twice, with a made up or changed state, without any, or for another call', async () => {
    const question = asked(await call(quiz(args)));
    const { state } = question;
    const changed = (at: number): string => state.slice(0, at) + (state[at] === 'A' ? 'B' : 'A') + state.slice(at + 1);
    const made = [changed(0), changed(30), changed(state.length - 2), '', 'x', 'A'.repeat(state.length), `${state}=`, 'x'.repeat(100_000)];
    for (const requestState of made) {
      const forged = { ...answers(question, 'x'), requestState };
      expect(refused(await call(quiz(args, forged)))).toEqual([400, -32602]);
    }
    expect(refused(await call(quiz(args, { inputResponses: { 'question-1': { action: 'accept' } } })))).toEqual([400, -32602]);
    expect(refused(await call(quiz({ ...args, rounds: 2 }, answers(question, 'x'))))).toEqual([400, -32602]);
    expect((await call(quiz(args, answers(question, 'Ada')))).json).toMatchObject({ result: { resultType: 'complete' } });
    expect(refused(await call(quiz(args, answers(question, 'Ada'))))).toEqual([400, -32602]);
  });
});

describe('a flood', () => {
  it('of calls that wait for answers is one caller’s own matter', async () => {
    const own = await inFront({ transport: 'http', url, allow_private_networks: true, modern_clients: 'bridge' });
    const args = { rounds: 1, isShort: true };
    const flood = await Promise.all(Array.from({ length: MAX_WAITING + 8 }, (_, id) => call(quiz(args, {}, ABLE, id), mallory, own.mcp)));
    expect(flood.filter(({ status }) => status === 200)).toHaveLength(MAX_WAITING);
    expect(new Set(flood.filter(({ status }) => status !== 200).map(({ status }) => status))).toEqual(new Set([503]));
    const question = asked(await call(quiz(args), alice, own.mcp));
    expect((await call(quiz(args, answers(question, 'Ada')), alice, own.mcp)).json).toMatchObject({ result: { resultType: 'complete' } });
  });

  it('of questions ends: a server that never has enough is given up', { timeout: 60_000 }, async () => {
    const args = { rounds: 1000, isShort: true };
    let answer = await call(quiz(args));
    let rounds = 0;
    for (; answer.status === 200; rounds += 1) answer = await call(quiz(args, answers(asked(answer), 'x')));
    expect([answer.status, rounds]).toEqual([502, MAX_ROUNDS]);
  });
});
