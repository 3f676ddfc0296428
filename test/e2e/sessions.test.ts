import { beforeAll, describe, expect, it } from 'vitest';
import { http, keyEntry, makeKey, rpc, rpcRequest, startGateway, startHttpUpstream, toolCall, waitUntil, type Gateway } from './harness.ts';
import { startSessionUpstream, type SessionUpstream } from './session-upstream.ts';
import { initialize, openSession } from './sessions.ts';

const alice = makeKey();
const bob = makeKey();
const SEAL_KEY = 'of both gateways, and as long as 256 bits need it';
const entries = [keyEntry('alice', alice), keyEntry('bob', bob)].map((entry) => ({ ...entry, rate_limit: 10_000, burst: 10_000 }));

let upstream: SessionUpstream;
let gateway: Gateway;
let elsewhere: Gateway;

function config(url: string, name = 'one', seal = SEAL_KEY): object {
  const servers = [name, `${name}-too`].map((server) => ({ name: server, transport: 'http', url, allow_private_networks: true }));
  return { server: { workers: 2 }, auth: { api_keys: entries }, session: { seal_keys: [seal] }, upstream: { servers } };
}

beforeAll(async () => {
  upstream = await startSessionUpstream();
  const start = async (seal?: string): Promise<Gateway> => await startGateway({ config: config(upstream.url, 'one', seal) as never });
  [gateway, elsewhere] = await Promise.all([start(), start()]);
});

const at = (path = 'one', place: Gateway = gateway): string => `${place.mcp}/${path}`;
const asAlice = { key: alice.key };

describe('a session of the client', () => {
  it('row 39: gets an id of the gateway, and neither answer nor header shows that of the upstream', async () => {
    const before = upstream.given.length;
    const session = await openSession(at(), { ...asAlice, client: 'row 39' });
    expect(session.id).toMatch(/^[A-Za-z0-9_-]{60,400}$/);
    expect(upstream.given.length).toBe(before + 1);
    const answers = [session.answer, await session.post(rpcRequest('tools/list')), await session.post(toolCall('echo'))];
    for (const answer of answers) {
      expect(answer.status).toBe(200);
      expect(JSON.stringify(answer.headers) + answer.body + Buffer.from(session.id, 'base64url').toString('latin1')).not.toContain(
        'upstream-session',
      );
    }
  });

  it('is refused to a client with endless things to say of itself, which the gateway would have to keep', async () => {
    const before = upstream.given.length;
    const clientInfo = { name: 'x'.repeat(10_000), version: '1' };
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo };
    const answer = await rpc(at(), { jsonrpc: '2.0', id: 1, method: 'initialize', params }, asAlice);
    expect([answer.status, answer.json?.['error']]).toMatchObject([400, { code: -32602 }]);
    expect(answer.headers['mcp-session-id']).toBeUndefined();
    expect(upstream.given.length).toBe(before);
  });

  it('sends the upstream what the real client declared, in a session of its own, and only there', async () => {
    const capabilities = { roots: { listChanged: true }, sampling: { tools: {} }, tasks: { list: {} }, experimental: { x: {} } };
    const session = await openSession(at(), { ...asAlice, client: 'declares', capabilities, revision: '2025-06-18' });
    const sent = upstream.requests.findLast(({ message }) => message['method'] === 'initialize')?.message['params'];
    expect(sent).toEqual({
      protocolVersion: '2025-06-18',
      capabilities: { roots: { listChanged: true }, sampling: { tools: {} } },
      clientInfo: { name: 'declares', version: '9' },
    });
    expect(session.answer.json).toEqual({
      jsonrpc: '2.0',
      id: 'init',
      result: {
        protocolVersion: '2025-06-18',
        capabilities: { tools: { listChanged: true }, logging: {}, resources: { subscribe: true } },
        serverInfo: { name: 'session-upstream', version: '1.2.3' },
      },
    });
    const own = upstream.sessionsOf('declares');
    await session.post(toolCall('echo', { mark: 'declares' }));
    const calls = upstream.of('tools/call').filter(({ body }) => body.includes('declares'));
    expect(calls.map(({ headers }) => headers['mcp-session-id'])).toEqual(own);
    const initialized = upstream.requests.filter(
      ({ message, headers }) => message['method'] === 'notifications/initialized' && headers['mcp-session-id'] === own[0],
    );
    expect(initialized.length).toBe(1);
  });

  it('is served by every worker of every gateway with the same key, on a fresh connection for each request', async () => {
    const session = await openSession(at(), { ...asAlice, client: 'wanders' });
    const calls = Array.from({ length: 60 }, async (_, n) => {
      const url = at('one', n % 2 === 0 ? gateway : elsewhere);
      return await rpc(url, toolCall('echo', { n }, n), { ...asAlice, headers: { 'mcp-session-id': session.id } });
    });
    const answers = await Promise.all(calls);
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(answers.map(({ json }) => json['id'])).toEqual(answers.map((_, n) => n));
    const workers = async (place: Gateway): Promise<unknown[]> =>
      (await place.auditLines()).filter(({ event_type: type }) => type === 'tool_response').map(({ worker }) => worker);
    await waitUntil(async () => new Set(await workers(gateway)).size === 2, { what: 'both workers to have served' });
    const lines = [...(await gateway.auditLines()), ...(await elsewhere.auditLines())];
    const named = new Set(lines.filter(({ event_type: type }) => type === 'tool_response').map(({ session: name }) => name));
    expect(named.size).toBeGreaterThan(0);
    expect(JSON.stringify(lines)).not.toContain(session.id);
  });

  it('row 39: trap 11: is unknown, with 404, to another principal, at another server, and in any other spelling', async () => {
    const session = await openSession(at(), asAlice);
    const call = async (url: string, key: string, id: string): Promise<number> =>
      (await rpc(url, toolCall('echo', { mark: 'stolen' }), { key, headers: { 'mcp-session-id': id } })).status;
    const flipped = (at: number): string => session.id.slice(0, at) + (session.id[at] === 'A' ? 'B' : 'A') + session.id.slice(at + 1);
    const tampered = Array.from({ length: session.id.length }, (_, index) => flipped(index));
    expect(await call(at(), bob.key, session.id)).toBe(404);
    expect(await call(at('one-too'), alice.key, session.id)).toBe(404);
    for (const id of [
      ...tampered,
      `${session.id}=`,
      `${session.id}A`,
      session.id.slice(1),
      'x',
      'a'.repeat(6000),
      ...upstream.given.slice(-1),
    ])
      expect(await call(at(), alice.key, id)).toBe(404);
    expect(upstream.requests.filter(({ body }) => body.includes('stolen'))).toEqual([]);
    expect(await call(at(), alice.key, session.id)).toBe(200);
  });

  it('answers 404 as a JSON-RPC error with the id of the request', async () => {
    const answer = await rpc(at(), toolCall('echo', {}, 'mine'), { ...asAlice, headers: { 'mcp-session-id': 'none' } });
    expect(answer.json).toMatchObject({
      id: 'mine',
      error: { code: -31404, message: 'Session not found', data: { error_id: expect.any(String) as string } },
    });
  });

  it('does not outlive the keys that sealed its id', async () => {
    const session = await openSession(at(), asAlice);
    const other = await startGateway({ config: config(upstream.url, 'one', `${SEAL_KEY}, newly made`) as never });
    const answer = await rpc(at('one', other), toolCall('echo'), { ...asAlice, headers: { 'mcp-session-id': session.id } });
    expect(answer.status).toBe(404);
  });

  it('passes 404 on when the upstream has forgotten it, and runs nothing twice', async () => {
    const session = await openSession(at(), { ...asAlice, client: 'forgotten' });
    for (const id of upstream.sessionsOf('forgotten')) upstream.forget(id);
    const answer = await session.post(toolCall('echo', { mark: 'once' }));
    expect(answer.status).toBe(404);
    expect(upstream.of('tools/call').filter(({ body }) => body.includes('once')).length).toBe(1);
  });

  it('is not made where the upstream keeps none: then every POST goes the shared way', async () => {
    const plain = await startHttpUpstream();
    const own = await startGateway({ config: config(plain.url) as never });
    const answer = await rpc(at('one', own), initialize(), asAlice);
    expect([answer.status, answer.headers['mcp-session-id']]).toEqual([200, undefined]);
    expect(answer.json['result']).toMatchObject({ capabilities: { tools: {} }, protocolVersion: '2025-11-25' });
    expect((await rpc(at('one', own), toolCall('echo'), asAlice)).status).toBe(200);
  });

  it('is not needed: a POST without one keeps going the shared way', async () => {
    const answer = await rpc(at(), toolCall('echo', { mark: 'shared' }), asAlice);
    expect(answer.status).toBe(200);
    const [call] = upstream.of('tools/call').filter(({ body }) => body.includes('shared'));
    expect(upstream.sessionsOf('mcp-guard')).toContain(call?.headers['mcp-session-id']);
  });
});

describe('the protocol version of a session', () => {
  it('row 42: trap 9: is checked against what was agreed, and the upstream gets what it agreed to', async () => {
    const session = await openSession(at(), { ...asAlice, revision: '2025-03-26', client: 'old' });
    const ask = async (version: string | undefined): Promise<number> =>
      (await session.post(toolCall('echo', { mark: 'old' }), { headers: { 'mcp-protocol-version': version } })).status;
    expect([await ask(undefined), await ask('2025-03-26'), await ask('2025-06-18'), await ask('2025-11-25'), await ask('1.0')]).toEqual([
      200, 200, 400, 400, 400,
    ]);
    const versions = upstream.of('tools/call').filter(({ body }) => body.includes('"old"'));
    expect(versions.map(({ headers }) => headers['mcp-protocol-version'])).toEqual(['2025-03-26', '2025-03-26']);
  });

  it('row 42: is what the upstream chose, where it cannot do what the client asked for', async () => {
    const old = { protocolVersion: '2024-11-05', capabilities: {}, serverInfo: { name: 'old', version: '1' } };
    const stubborn = await startHttpUpstream({
      answer: ({ message, body }) =>
        message['method'] === 'initialize' && body.includes('tester')
          ? { headers: { 'mcp-session-id': 'only-old' }, body: { jsonrpc: '2.0', id: message['id'], result: old } }
          : undefined,
    });
    const own = await startGateway({ config: config(stubborn.url) as never });
    const session = await openSession(at('one', own), { ...asAlice, revision: '2025-11-25' });
    expect(session.answer.json['result']?.['protocolVersion']).toBe('2024-11-05');
    for (const version of [undefined, '2024-11-05']) {
      const answer = await session.post(toolCall('echo'), { headers: { 'mcp-protocol-version': version } });
      expect(answer.status).toBe(200);
    }
    const calls = stubborn.of('tools/call').map(({ headers }) => [headers['mcp-session-id'], headers['mcp-protocol-version']]);
    expect(calls).toEqual([
      ['only-old', '2024-11-05'],
      ['only-old', '2024-11-05'],
    ]);
  });

  it('row 42: trap 9: is that of each upstream, where one client calls several that agreed to different ones', async () => {
    const versions = ['2025-03-26', '2025-06-18', '2025-11-25'];
    const upstreams = await Promise.all(
      versions.map(async (protocolVersion) => {
        const result = { protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'chooses', version: '1' } };
        return await startHttpUpstream({
          answer: ({ message: { id, method } }) => (method === 'initialize' ? { body: { jsonrpc: '2.0', id, result } } : undefined),
        });
      }),
    );
    const servers = upstreams.map(({ url }, index) => ({ name: `s${index}`, transport: 'http', url, allow_private_networks: true }));
    const own = await startGateway({ config: { ...config(''), upstream: { servers } } as never });
    for (const [index, { of }] of upstreams.entries()) {
      for (const version of versions) {
        const answer = await rpc(at(`s${index}`, own), toolCall('echo'), { ...asAlice, headers: { 'mcp-protocol-version': version } });
        expect(answer.status).toBe(200);
      }
      expect(of('tools/call').map(({ headers }) => headers['mcp-protocol-version'])).toEqual(versions.map(() => versions[index]));
    }
  });
});

describe('what a session carries', () => {
  it('relays what sets something for one client: log level and subscriptions', async () => {
    const session = await openSession(at(), { ...asAlice, client: 'sets' });
    const [own] = upstream.sessionsOf('sets');
    for (const method of ['logging/setLevel', 'resources/subscribe', 'resources/unsubscribe', 'completion/complete'])
      expect((await session.post(rpcRequest(method, { level: 'debug', uri: 'test://a' }))).json['result']).toBeDefined();
    const methods = upstream.requests.filter(({ headers }) => headers['mcp-session-id'] === own).map(({ message }) => message['method']);
    expect(methods).toEqual([
      'notifications/initialized',
      'logging/setLevel',
      'resources/subscribe',
      'resources/unsubscribe',
      'completion/complete',
    ]);
    const shared = await rpc(at(), rpcRequest('logging/setLevel', { level: 'debug' }), asAlice);
    expect(shared.json['error']?.['code']).toBe(-32601);
  });

  it('row 35: delivers a response to the upstream of its session only, and drops one that nobody asked for', async () => {
    const session = await openSession(at(), { ...asAlice, client: 'responds' });
    const [own] = upstream.sessionsOf('responds');
    const response = { jsonrpc: '2.0', id: 'asked-7', result: { roots: [] } };
    const answer = await session.post(response);
    expect([answer.status, answer.body]).toEqual([202, '']);
    const delivered = (): readonly unknown[] => upstream.requests.filter(({ body }) => body.includes('asked-7'));
    await waitUntil(() => delivered().length === 1, { what: 'the response upstream' });
    expect(upstream.requests.find(({ body }) => body.includes('asked-7'))).toMatchObject({
      message: response,
      headers: { 'mcp-session-id': own },
    });
    expect((await rpc(at(), response, asAlice)).status).toBe(202);
    expect((await rpc(at(), response, { key: bob.key, headers: { 'mcp-session-id': session.id } })).status).toBe(404);
    expect(delivered().length).toBe(1);
  });

  it('row 34: trap 10: answers notifications with 202 and nothing else, though the upstream answers none', async () => {
    const deaf = await startSessionUpstream({
      answer: ({ message, headers }) =>
        String(message['method']).startsWith('notifications/') && deaf.sessionsOf('tester').includes(String(headers['mcp-session-id']))
          ? { isSilent: true }
          : undefined,
    });
    const own = await startGateway({ config: config(deaf.url) as never });
    const session = await openSession(at('one', own), asAlice);
    for (const method of ['notifications/initialized', 'notifications/roots/list_changed', 'notifications/x']) {
      const { status, body } = await session.post({ jsonrpc: '2.0', method });
      expect([method, status, body]).toEqual([method, 202, '']);
      await waitUntil(() => deaf.of(method).some(({ headers }) => deaf.sessionsOf('tester').includes(String(headers['mcp-session-id']))), {
        what: method,
      });
    }
    expect((await session.post(toolCall('echo'))).status).toBe(200);
  });

  it('decides about tools as everywhere: what is denied is not called in a session either', async () => {
    const key = makeKey();
    const limited = { ...keyEntry('limited', key), allowed_tools: ['echo'], rate_limit: 1000, burst: 1000 };
    const own = await startGateway({ config: { ...config(upstream.url), auth: { api_keys: [limited] } } as never });
    const session = await openSession(at('one', own), { key: key.key });
    expect((await session.post(toolCall('delete_file', { mark: 'denied' }))).status).toBe(403);
    expect((await session.post(rpcRequest('tools/list'))).json['result']?.['tools']).toHaveLength(1);
    expect(upstream.requests.filter(({ body }) => body.includes('denied'))).toEqual([]);
    expect((await http('GET', own.url + '/health')).status).toBe(200);
  });
});
