import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  http,
  keyEntry,
  makeKey,
  rpc,
  rpcRequest,
  rpcStream,
  startGateway,
  startHttpUpstream,
  toolCall,
  toolText,
  waitUntil,
} from './harness.ts';
import type { Gateway, HttpAnswer, HttpUpstream, RpcStream, TestKey, UpstreamAnswer, UpstreamRequest } from './harness.ts';
import { discoverResult, MODERN, modernAnswers } from './modern.ts';
import { listen, openSession, type OpenSession, type StandingStream } from './sessions.ts';

const PREFIX = 'io.modelcontextprotocol/';
const alice = makeKey();
const mallory = makeKey();
const ABLE = { elicitation: { form: {} }, sampling: {} };
const MAX_ROUNDS = 32;
const CAPABILITIES = { tools: { listChanged: true }, resources: { subscribe: true, listChanged: true }, logging: {} };

let script: (request: UpstreamRequest) => UpstreamAnswer | undefined = () => undefined;
let upstream: HttpUpstream;
let gateway: Gateway;
const streams: (RpcStream | StandingStream)[] = [];

const result = ({ message }: UpstreamRequest, body: object): UpstreamAnswer => ({
  body: { jsonrpc: '2.0', id: message['id'], result: body },
});
const paramsOf = ({ message }: UpstreamRequest): Record<string, unknown> => message['params'] as Record<string, unknown>;
const QUESTION = { method: 'elicitation/create', params: { message: 'Who?', requestedSchema: { type: 'object', properties: {} } } };

/** A server that wants to know `rounds` times who calls, and then says what it was told. */
function asking(rounds: number): (request: UpstreamRequest) => UpstreamAnswer | undefined {
  return (request) => {
    if (request.message['method'] !== 'tools/call') return undefined;
    const { requestState = '', inputResponses = {} } = paramsOf(request) as { requestState?: string; inputResponses?: object };
    const told = [...requestState.split('|').filter(Boolean), ...Object.values(inputResponses).map((one) => JSON.stringify(one))];
    if (told.length >= rounds) return result(request, { resultType: 'complete', content: [{ type: 'text', text: told.join(' ') }] });
    const state = told.length === 0 ? {} : { requestState: told.join('|') };
    return result(request, { resultType: 'input_required', inputRequests: { who: QUESTION }, ...state });
  };
}

beforeAll(async () => {
  upstream = await startHttpUpstream({
    answer: modernAnswers((request) =>
      request.message['method'] === 'server/discover' ? result(request, discoverResult(CAPABILITIES)) : script(request),
    ),
  });
  const api_keys = [keyEntry('alice', alice), keyEntry('mallory', mallory)];
  const config = { server: { workers: 3 }, auth: { api_keys }, rate_limit: { enabled: false } };
  gateway = await startGateway({
    config: { ...config, upstream: { transport: 'http', url: upstream.url, allow_private_networks: true } },
  });
});
afterAll(() => {
  for (const stream of streams) stream.leave();
});

async function open(who: TestKey = alice, capabilities: object = ABLE): Promise<OpenSession> {
  return await openSession(gateway.mcp, { key: who.key, capabilities });
}

/** A call in a session, whose answer is followed as it comes. */
async function begin({ id }: OpenSession, message: object): Promise<RpcStream> {
  const headers = { 'mcp-session-id': id, 'mcp-protocol-version': '2025-11-25' };
  const stream = await rpcStream(gateway.mcp, message, { key: alice.key, headers });
  streams.push(stream);
  return stream;
}

/** What the stream brought beside positions. */
const said = (stream: RpcStream): readonly Record<string, unknown>[] => stream.events() as unknown as Record<string, unknown>[];

async function question(stream: RpcStream, count = 1): Promise<Record<string, unknown>> {
  const asked = (): Record<string, unknown>[] => said(stream).filter((event) => event['method'] === 'elicitation/create');
  await waitUntil(() => asked().length >= count, { what: 'a question', describe: () => stream.text() });
  return asked()[count - 1] as Record<string, unknown>;
}

const answerTo = (asked: Record<string, unknown>, content: object): object => ({
  jsonrpc: '2.0',
  id: asked['id'],
  result: { action: 'accept', content },
});

async function ended(stream: RpcStream): Promise<Record<string, unknown>> {
  await stream.ended;
  return said(stream).at(-1) as Record<string, unknown>;
}

describe('a client of an older revision in front of a server of 2026-07-28 only', () => {
  it('row 230: has a session: the server learns with every request what the client said once, from whichever worker', async () => {
    script = () => undefined;
    const session = await open();
    expect(session.answer.json['result']).toMatchObject({
      protocolVersion: '2025-11-25',
      capabilities: { resources: { subscribe: true } },
    });
    for (let turn = 0; turn < 6; turn += 1) expect(toolText(await session.post(toolCall('echo', { turn }, turn)))).toContain(`${turn}`);
    const seen = upstream.of('tools/call').at(-1) as UpstreamRequest;
    expect(paramsOf(seen)['_meta']).toEqual({
      [`${PREFIX}protocolVersion`]: MODERN,
      [`${PREFIX}clientCapabilities`]: ABLE,
      [`${PREFIX}clientInfo`]: { name: 'tester', version: '9' },
    });
    expect(seen.headers['mcp-session-id']).toBeUndefined();
    await session.post(rpcRequest('logging/setLevel', { level: 'warning' }));
    await session.post(toolCall('echo'));
    expect(paramsOf(upstream.of('tools/call').at(-1) as UpstreamRequest)['_meta']).toMatchObject({ [`${PREFIX}logLevel`]: 'warning' });
    expect(upstream.of('logging/setLevel')).toEqual([]);
    expect((await session.post(rpcRequest('logging/setLevel', { level: 'loud' }))).json['error']?.['code']).toBe(-32602);
  });

  it('row 230: is asked in the stream of its call, and answers at any worker', async () => {
    script = asking(2);
    const session = await open();
    const runs = Array.from({ length: 8 }, async (_, id) => {
      const stream = await begin(session, toolCall('echo', {}, id));
      for (let round = 1; round <= 2; round += 1) {
        expect((await session.post(answerTo(await question(stream, round), { id, round }))).status).toBe(202);
      }
      return await ended(stream);
    });
    for (const [id, last] of (await Promise.all(runs)).entries()) {
      expect(last).toMatchObject({ id, result: { content: [{ text: expect.stringContaining(`"id":${id},"round":2`) as string }] } });
      expect(last['result']).not.toHaveProperty('resultType');
    }
  });

  it('row 230: is told of what it subscribed to, and of changed lists, on its standing stream', async () => {
    const filters: unknown[] = [];
    script = (request) => {
      if (request.message['method'] !== 'subscriptions/listen') return undefined;
      const { notifications } = paramsOf(request);
      filters.push(notifications);
      const _meta = { [`${PREFIX}subscriptionId`]: request.message['id'] };
      const ack = { jsonrpc: '2.0', method: 'notifications/subscriptions/acknowledged', params: { notifications, _meta } };
      const uris = (notifications as { resourceSubscriptions?: string[] }).resourceSubscriptions ?? [];
      const news = [
        { jsonrpc: '2.0', method: 'notifications/tools/list_changed', params: { _meta } },
        ...uris.map((uri) => ({ jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri, _meta } })),
      ];
      return { events: [ack, ...news], isKeptOpen: true };
    };
    const session = await open();
    const standing = await listen(gateway.mcp, alice.key, session.id, { 'mcp-protocol-version': '2025-11-25' });
    streams.push(standing);
    await standing.awaits('notifications/tools/list_changed');
    expect((await session.post(rpcRequest('resources/subscribe', { uri: 'test://a' }))).json['result']).toEqual({});
    await standing.awaits('test://a');
    expect(standing.text()).not.toContain('subscriptionId');
    await session.post(rpcRequest('resources/unsubscribe', { uri: 'test://a' }));
    await waitUntil(() => filters.length === 3, { what: 'the server to know' });
    const lists = { toolsListChanged: true, resourcesListChanged: true };
    expect(filters).toEqual([lists, { ...lists, resourceSubscriptions: ['test://a'] }, lists]);
    const last = upstream.of('subscriptions/listen').at(-1) as UpstreamRequest;
    standing.leave();
    await waitUntil(() => upstream.isGone(last.connection), { what: 'the subscription to end' });
  });

  it('takes a call back, also one that waits for its answer; a session that it ended is unknown', async () => {
    script = asking(1);
    const session = await open();
    const stream = await begin(session, toolCall('echo', {}, 'mine'));
    const asked = await question(stream);
    await session.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'mine' } });
    expect(await stream.ended).toBe('complete');
    expect(said(stream).some((event) => 'result' in event || 'error' in event)).toBe(false);
    expect((await session.post(answerTo(asked, {}))).status).toBe(202);
    const ending = await http('DELETE', gateway.mcp, { key: alice.key, headers: { 'mcp-session-id': session.id } });
    expect(ending.status).toBe(200);
    expect((await session.post(toolCall('echo'))).status).toBe(404);
  });
});

describe('whoever is not asked', () => {
  it('cannot answer for another, nor invent a question', async () => {
    script = asking(1);
    const session = await open();
    const stream = await begin(session, toolCall('echo', {}, 1));
    const asked = await question(stream);
    const foreign: HttpAnswer = await rpc(gateway.mcp, answerTo(asked, { name: 'mallory' }), {
      key: mallory.key,
      headers: { 'mcp-session-id': session.id },
    });
    expect(foreign.status).toBe(404);
    const own = await open(mallory);
    expect((await own.post(answerTo(asked, { name: 'mallory' }))).status).toBe(202);
    for (const id of ['ask-0', 'ask-999', 1, null]) await session.post(answerTo({ id }, { name: 'nobody' }));
    await session.post(answerTo(asked, { name: 'alice' }));
    expect(JSON.stringify(await ended(stream))).toContain('alice');
    expect(stream.text()).not.toMatch(/mallory|nobody/);
    // The second answer to one question is nobody's.
    const calls = upstream.of('tools/call').length;
    expect((await session.post(answerTo(asked, { name: 'again' }))).status).toBe(202);
    expect(upstream.of('tools/call')).toHaveLength(calls);
  });
});

describe('a server that asks', () => {
  it('without end is given up', async () => {
    script = asking(Number.POSITIVE_INFINITY);
    const session = await open();
    const stream = await begin(session, toolCall('echo', {}, 1));
    for (let round = 1; round <= MAX_ROUNDS; round += 1) await session.post(answerTo(await question(stream, round), {}));
    expect(await ended(stream)).toMatchObject({ id: 1, error: { code: expect.any(Number) as number } });
    expect(upstream.of('tools/call').filter(({ body }) => body.includes('requestState')).length).toBeGreaterThanOrEqual(MAX_ROUNDS - 1);
  });

  it('what the client did not declare gets no answer, and the client an error', async () => {
    script = asking(1);
    const session = await open(alice, { sampling: {} });
    const answer = await session.post(toolCall('echo', {}, 1));
    expect([answer.status, answer.json['id']]).toEqual([502, 1]);
    expect(answer.body).not.toContain('elicitation');
  });

  it('is told that the user gave no answer when the client has none, and to be asked again is not to ask', async () => {
    let calls = 0;
    script = (request) => {
      if (request.message['method'] !== 'tools/call') return undefined;
      const { requestState } = paramsOf(request);
      calls += 1;
      return calls === 1
        ? result(request, { resultType: 'input_required', requestState: 'later "é"' })
        : asking(1)(
            requestState === 'later "é"' && paramsOf(request)['inputResponses'] === undefined
              ? { ...request, message: { ...request.message, params: {} } }
              : request,
          );
    };
    const session = await open();
    const stream = await begin(session, toolCall('echo', {}, 1));
    const asked = await question(stream);
    await session.post({ jsonrpc: '2.0', id: asked['id'], error: { code: -1, message: 'no' } });
    expect(JSON.stringify(await ended(stream))).toContain('cancel');
    expect(upstream.of('tools/call').some((request) => paramsOf(request)['requestState'] === 'later "é"')).toBe(true);
  });
});
