import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Gateway,
  http,
  keyEntry,
  makeKey,
  rpcRequest,
  sleep,
  startGateway,
  stdioUpstream,
  toolCall,
  toolText,
  type UpstreamAnswer,
  type UpstreamRequest,
  waitUntil,
} from './harness.ts';
import { type SessionUpstream, startSessionUpstream } from './session-upstream.ts';
import { listen, openSession, type OpenSession } from './sessions.ts';

const CHANGING = join(import.meta.dirname, 'fixtures', 'changing-stdio.ts');
const key = makeKey();
const NAMES = ['a', 'b'] as const;
const servers = new Map<string, SessionUpstream>();
let gateway: Gateway;

const server = (name: string): SessionUpstream => servers.get(name) as SessionUpstream;
/** The session that the gateway has with a member for a client. */
const sessionOf = (name: string, client: string): string | undefined => server(name).sessionsOf(client).at(-1);

/** Takes subscriptions and levels; what has no resource says so. */
function answerOf(name: string, { method, message, headers }: UpstreamRequest): UpstreamAnswer | undefined {
  const { id } = message;
  const { uri = '' } = (message['params'] ?? {}) as { readonly uri?: string };
  switch (message['method']) {
    case 'resources/subscribe':
      return uri.includes(`only-${name}`) || uri.includes('both')
        ? { body: { jsonrpc: '2.0', id, result: {} } }
        : { body: { jsonrpc: '2.0', id, error: { code: -32_002, message: 'Resource not found' } } };
    case 'resources/unsubscribe':
    case 'logging/setLevel':
      return { body: { jsonrpc: '2.0', id, result: {} } };
    default: {
      if (method !== 'GET') return undefined;
      const news = { jsonrpc: '2.0', method: 'notifications/resources/updated' };
      const events = ['only-a', 'both', 'hidden'].map((part) => ({ ...news, params: { uri: `x://${part}`, at: name } }));
      return { events: [...events, { ...news, params: { uri: 'x://last', of: headers['mcp-session-id'] } }], isKeptOpen: true };
    }
  }
}

async function begin(more: object = {}, session: object = {}): Promise<Gateway> {
  return await startGateway({
    config: {
      server: { workers: 3 },
      auth: { api_keys: [keyEntry('tester', key)] },
      rate_limit: { enabled: false },
      session,
      upstream: {
        servers: NAMES.map((name) => ({ name, url: server(name).url, allow_private_networks: true })),
        aggregate: { enabled: true, list_timeout_secs: 2 },
        virtual: [{ name: 'chosen', resources: ['x://only-*', 'x://both'] }],
        ...more,
      },
    },
  });
}

beforeAll(async () => {
  for (const name of NAMES) servers.set(name, await startSessionUpstream({ answer: (request) => answerOf(name, request) }));
  gateway = await begin();
});

async function open(client: string, url = gateway.mcp): Promise<OpenSession> {
  return await openSession(url, { key: key.key, client });
}

const subscribe = (uri: string, method = 'resources/subscribe'): object => rpcRequest(method, { uri }, `s-${uri}`);
const requestsIn = (name: string, method: string, session: string | undefined): readonly UpstreamRequest[] =>
  server(name)
    .of(method)
    .filter(({ headers }) => headers['mcp-session-id'] === session);

describe('the members of a session at a virtual server', () => {
  it('row 235: each have a session of their own, introduced as the client, and every request goes there', async () => {
    const session = await open('first');
    const ids = NAMES.map((name) => sessionOf(name, 'first'));
    expect(new Set([...ids, session.id]).size).toBe(ids.every((id) => id !== undefined) ? new Set(ids).size + 1 : 0);
    for (const name of NAMES) {
      expect(toolText(await session.post(toolCall(`${name}__echo`, { to: name })))).toContain('echo');
      await session.post(rpcRequest('tools/list'));
      expect(requestsIn(name, 'tools/call', sessionOf(name, 'first'))).toHaveLength(1);
      expect(requestsIn(name, 'tools/list', sessionOf(name, 'first')).length).toBeGreaterThan(0);
      expect(requestsIn(name, 'notifications/initialized', sessionOf(name, 'first'))).toHaveLength(1);
    }
    await session.post({ jsonrpc: '2.0', method: 'notifications/roots/list_changed' });
    for (const name of NAMES) {
      const isTold = (): boolean => requestsIn(name, 'notifications/roots/list_changed', sessionOf(name, 'first')).length === 1;
      await waitUntil(isTold, { what: 'the news at each' });
    }
  });

  it('row 235: which have forgotten it are begun with anew, with the level and the subscriptions that the client has set', async () => {
    const session = await open('forgotten');
    await session.post(rpcRequest('logging/setLevel', { level: 'debug' }));
    await session.post(subscribe('x://only-a'));
    const old = sessionOf('a', 'forgotten');
    server('a').forget(old ?? '');
    expect(toolText(await session.post(toolCall('a__echo', { mark: 'once' })))).toContain('once');
    const renewed = sessionOf('a', 'forgotten');
    expect(renewed).not.toBe(old);
    const calls = requestsIn('a', 'tools/call', renewed);
    expect(calls).toHaveLength(1);
    for (const method of ['notifications/initialized', 'logging/setLevel', 'resources/subscribe']) {
      await waitUntil(() => requestsIn('a', method, renewed).length === 1, { what: method });
    }
    // The other one noticed nothing.
    expect(requestsIn('b', 'logging/setLevel', sessionOf('b', 'forgotten'))).toHaveLength(1);
    expect(
      server('b')
        .of('initialize')
        .filter(({ body }) => body.includes('"forgotten"')),
    ).toHaveLength(1);
  });

  it('row 235: are subscribed to where they have the resource; who has none is no reason to refuse, and all are', async () => {
    const session = await open('subscriber');
    const errorOf = async (message: object): Promise<unknown> => (await session.post(message)).json?.['error']?.['code'];
    expect(await errorOf(subscribe('x://only-a'))).toBeUndefined();
    expect(await errorOf(subscribe('x://neither'))).toBe(-32_002);
    await session.post(subscribe('x://only-a', 'resources/unsubscribe'));
    expect(requestsIn('a', 'resources/unsubscribe', sessionOf('a', 'subscriber'))).toHaveLength(1);
    expect(requestsIn('b', 'resources/unsubscribe', sessionOf('b', 'subscriber'))).toHaveLength(0);
    expect(await errorOf(subscribe('x://never', 'resources/unsubscribe'))).toBeUndefined();
  });

  it('row 235: tell of resources that the client subscribed to there, and that the virtual server shows', async () => {
    const session = await open('listener', `${gateway.mcp}/chosen`);
    expect((await session.post(subscribe('x://only-a'))).json['error']).toBeUndefined();
    expect((await session.post(subscribe('x://hidden'))).json['error']).toMatchObject({ code: -32_002 });
    expect(requestsIn('a', 'resources/subscribe', sessionOf('a', 'listener'))).toHaveLength(1);
    const stream = await listen(`${gateway.mcp}/chosen`, key.key, session.id);
    await stream.awaits('x://both');
    const told = stream.messages().map((message) => message['params'] as unknown as { uri: string; at?: string });
    expect(told.map(({ uri }) => uri)).toEqual(['x://only-a', 'x://both']);
    expect(told.map(({ at }) => at)).toEqual(['a', 'a']);
    stream.leave();
  });

  it('row 235: get the messages of a batch each, and answer it as one', async () => {
    const session = await openSession(gateway.mcp, { key: key.key, client: 'batcher', revision: '2025-03-26' });
    const calls = NAMES.map((name) => toolCall(`${name}__echo`, { to: name }, name));
    const { status, body } = await session.post([...calls, toolCall('none__echo', {}, 'none')]);
    expect([status, NAMES.every((name) => body.includes(`{\\"to\\":\\"${name}\\"}`))]).toEqual([200, true]);
    expect(body).toContain('-32602');
    for (const name of NAMES) expect(requestsIn(name, 'tools/call', sessionOf(name, 'batcher'))).toHaveLength(1);
  });

  it('row 235: hear of the end of the session', async () => {
    const session = await open('leaver');
    expect(NAMES.map((name) => server(name).sessionsOf('leaver').length)).toEqual([1, 1]);
    expect((await http('DELETE', gateway.mcp, { key: key.key, headers: session.headers })).status).toBe(200);
    await waitUntil(() => NAMES.every((name) => server(name).sessionsOf('leaver').length === 0), { what: 'their ends' });
    expect((await session.post(toolCall('a__echo'))).status).toBe(404);
  });

  it('row 235: hear of it when nobody uses it any more, and when the gateway stops', async () => {
    const brief = await begin({}, { idle_ttl_secs: 1 });
    await open('idler', brief.mcp);
    await waitUntil(() => NAMES.every((name) => server(name).sessionsOf('idler').length === 0), { what: 'their ends', timeoutMs: 10_000 });
    await open('last', brief.mcp);
    expect(NAMES.map((name) => server(name).sessionsOf('last').length)).toEqual([1, 1]);
    await brief.stop();
    expect(NAMES.map((name) => server(name).sessionsOf('last').length)).toEqual([0, 0]);
  });

  it('row 235: that cannot be reached at first are left out, and take part when they are there', async () => {
    const late = await startSessionUpstream();
    const { port } = late;
    await late.close();
    const place = await begin({
      servers: [
        { name: 'a', url: server('a').url, allow_private_networks: true },
        { name: 'late', url: `http://127.0.0.1:${port}/mcp`, allow_private_networks: true, required: false },
      ],
      virtual: [],
    });
    const session = await open('patient', place.mcp);
    expect(toolText(await session.post(toolCall('a__echo', { mark: 'there' })))).toContain('there');
    const list = await session.post(rpcRequest('tools/list'));
    expect(JSON.stringify(list.json['result']?.['_meta'])).toContain('late');
    const back = await startSessionUpstream({ port });
    await waitUntil(async () => (await session.post(toolCall('late__echo'))).status === 200, { what: 'the late one', timeoutMs: 20_000 });
    expect((await session.post(rpcRequest('tools/list'))).body).toContain('late__echo');
    expect(back.sessionsOf('patient')).toHaveLength(1);
  });

  it('row 235: that all clients share tell of changed lists, too', async () => {
    const place = await begin({
      servers: [
        { name: 'a', url: server('a').url, allow_private_networks: true },
        { name: 'changing', command: process.execPath, args: ['--disable-warning=ExperimentalWarning', CHANGING] },
        { name: 'quiet', ...stdioUpstream() },
      ],
      virtual: [{ name: 'quiet-ones', servers: ['a', 'quiet'] }],
    });
    const session = await open('sharer', place.mcp);
    expect(session.answer.json['result']?.['capabilities']).toMatchObject({ tools: { listChanged: true } });
    const other = await open('other', `${place.mcp}/quiet-ones`);
    const streams = [await listen(place.mcp, key.key, session.id), await listen(`${place.mcp}/quiet-ones`, key.key, other.id)] as const;
    // Each worker has a child of its own, whose news are those of the sessions there.
    const isTold = async (): Promise<boolean> => {
      await session.post(toolCall('changing__change'));
      return streams[0].text().includes('notifications/tools/list_changed');
    };
    await waitUntil(isTold, { what: 'the news' });
    await session.post(toolCall('quiet__raw', { text: '{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}\n' }));
    await sleep(200);
    for (const stream of streams) {
      expect(stream.text()).not.toContain('prompts');
      stream.leave();
    }
    expect(streams[1].messages()).toEqual([]);
  });
});
