import { request } from 'node:http';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  keyEntry,
  makeKey,
  rpcRequest,
  scrape,
  startGateway,
  startHttpUpstream,
  stdioUpstream,
  toolCall,
  waitUntil,
  type Gateway,
} from './harness.ts';
import type { UpstreamAnswer } from './http-upstream.ts';
import { everythingOverHttp, everythingOverStdio } from './peer-servers.ts';
import { rpcStream, type RpcStream } from './rpc-stream.ts';
import { listen, openSession, type OpenSession, type StandingStream } from './sessions.ts';
import { startStreamUpstream } from './stream-upstream.ts';
import { newSecret, startHosts } from './two-hosts.ts';
import type { JsonValue } from './http.ts';
import { sleep } from './wait.ts';
import { childrenOf } from './worker-processes.ts';

const alice = makeKey();
const bob = makeKey();
const REVISION = '2025-03-26';

async function start(
  upstream: object,
  server: object = { workers: 4 },
  session: object = {},
  rateLimit: object = { enabled: false },
): Promise<Gateway> {
  return await startGateway({
    config: {
      server: { admin: { port: 0 }, ...server },
      auth: { api_keys: [{ ...keyEntry('alice', alice), denied_tools: ['get-env'] }, keyEntry('bob', bob)] },
      rate_limit: rateLimit,
      session,
      upstream,
    },
  });
}

async function open(place: Gateway, key = alice.key): Promise<OpenSession> {
  return await openSession(place.mcp, { key, revision: REVISION, client: 'batches' });
}

async function post(place: Gateway, session: OpenSession, batch: readonly object[]): Promise<RpcStream> {
  return await rpcStream(place.mcp, batch, { key: alice.key, headers: session.headers });
}

/** On a connection of its own: any worker may have it. */
async function resume(place: Gateway, session: OpenSession, lastEventId: string, key = alice.key): Promise<StandingStream> {
  return await listen(place.mcp, key, session.id, { 'last-event-id': lastEventId });
}

/** What a stream brought, with its id, in order. */
function events(text: string): readonly { readonly id: string; readonly message: JsonValue }[] {
  return text
    .slice(0, text.lastIndexOf('\n\n') + 2)
    .split('\n\n')
    .map((event) => ({ id: /^id: (.+)$/m.exec(event)?.[1] ?? '', data: /^data: (.+)$/m.exec(event)?.[1] ?? '' }))
    .filter(({ data }) => data !== '')
    .map(({ id, data }) => ({ id, message: JSON.parse(data) as JsonValue }));
}

async function rest(place: Gateway, session: OpenSession, lastEventId: string): Promise<readonly JsonValue[]> {
  const stream = await resume(place, session, lastEventId);
  expect([stream.status, await stream.ended]).toEqual([200, 'complete']);
  return events(stream.text()).map(({ message }) => message);
}

function work(id: string, steps: number, duration: number): object {
  const params = { name: 'trigger-long-running-operation', arguments: { steps, duration }, _meta: { progressToken: id } };
  return rpcRequest('tools/call', params, id);
}

/** Two calls that say something on the way, one that is answered at once, and three answers of the gateway's own. */
const BATCH = [
  work('slow', 4, 1.2),
  work('fast', 3, 0.6),
  toolCall('echo', { message: 'at once' }, 'echo'),
  toolCall('get-env', {}, 'denied'),
  rpcRequest('ping', {}, 'ping'),
  { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'nobody' } },
  rpcRequest('vendor/run', {}, 'unknown'),
];
const IDS = ['slow', 'fast', 'echo', 'denied', 'ping', 'unknown'];

/** Whose messages these are: each answer once, each progress once and in order. */
function expectWhole(messages: readonly JsonValue[]): void {
  const answers = messages.filter((message) => 'id' in message).map((message) => String(message['id']));
  expect(answers.toSorted()).toEqual(IDS.toSorted());
  for (const [token, steps] of [
    ['slow', 4],
    ['fast', 3],
  ] as const) {
    const own = messages.filter(({ params, id }) => String(params?.['progressToken']) === token || String(id) === token);
    const order = own.map(({ params, id }) => id ?? params?.['progress']) as unknown[];
    // This server may send the last step behind the answer, without a gateway too.
    expect(order.filter((one) => one !== token)).toEqual(Array.from({ length: steps }, (_, step) => step + 1));
    expect(order.indexOf(token)).toBeGreaterThanOrEqual(steps - 1);
  }
}

describe.each(['stdio', 'http'] as const)('the stream of a batch of a server over %s, with four workers', (transport) => {
  let gateway: Gateway;
  beforeAll(async () => {
    const upstream =
      transport === 'stdio'
        ? { transport, ...everythingOverStdio(), isolation: 'session' }
        : { transport, url: await everythingOverHttp(), allow_private_networks: true };
    gateway = await start(upstream);
  });

  /** Nothing is in progress but the question itself. */
  async function isIdle(): Promise<void> {
    await waitUntil(async () => (await scrape(gateway, 'mcp_guard_requests_in_flight')) <= 1, { what: 'no request in progress' });
  }

  it('row 41: has an id at every event, and is gone on with behind any of them: the first, one in the middle, the last', async () => {
    const session = await open(gateway);
    const stream = await post(gateway, session, BATCH);
    expect(await stream.ended).toBe('complete');
    const all = events(stream.text());
    expectWhole(all.map(({ message }) => message));
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
    for (const { id } of all) expect(id).toMatch(/^[A-Za-z0-9_-]{40,}$/);
    for (const at of [0, Math.floor(all.length / 2), all.length - 1]) {
      expect(await rest(gateway, session, all[at]?.id ?? '')).toEqual(all.slice(at + 1).map(({ message }) => message));
    }
  });

  it('row 41: brings a client that left in the middle all that it has not seen of every message, as often as it comes back', async () => {
    const session = await open(gateway);
    const stream = await post(gateway, session, BATCH);
    await waitUntil(() => stream.text().includes('"progress":1'), { what: 'a first step' });
    stream.leave();
    const seen = events(stream.text());
    const last = seen.at(-1)?.id ?? '';
    const came = await rest(gateway, session, last);
    expectWhole([...seen.map(({ message }) => message), ...came]);
    for (let count = 0; count < 8; count++) expect(await rest(gateway, session, last)).toEqual(came);
    await isIdle();
  });

  it('is read by one connection: the one that came last has everything from there on, the older one nothing', async () => {
    const session = await open(gateway);
    const stream = await post(gateway, session, BATCH);
    await waitUntil(() => stream.text().includes('"progress":1'), { what: 'a first step' });
    const first = events(stream.text())[0]?.id ?? '';
    const came = await rest(gateway, session, first);
    expect(await stream.ended).toBe('complete');
    const seen = events(stream.text()).map(({ message }) => message);
    expectWhole([...seen.slice(0, 1), ...came]);
    expect(seen.filter((message) => 'id' in message && ['slow', 'fast'].includes(String(message['id'])))).toEqual([]);
  });

  it('row 41: is for the caller and the session that it was begun in, and for ids that were given out', async () => {
    const [session, other, foreign] = [await open(gateway), await open(gateway), await open(gateway, bob.key)];
    const stream = await post(gateway, session, BATCH);
    await stream.ended;
    const id = events(stream.text())[0]?.id ?? '';
    const statuses = [
      (await resume(gateway, session, id, bob.key)).status,
      (await resume(gateway, other, id)).status,
      (await resume(gateway, foreign, id, bob.key)).status,
      (await resume(gateway, session, `${id}A`)).status,
    ];
    expect(statuses).toEqual([404, 404, 404, 404]);
    expect((await rest(gateway, session, id)).length).toBeGreaterThan(3);
  });

  it('that broke before anything had an id is lost, and harms neither its calls nor its session', async () => {
    const session = await open(gateway);
    const stream = await post(gateway, session, [
      rpcRequest('tools/call', { ...silent }, 'a'),
      rpcRequest('tools/call', { ...silent }, 'b'),
    ]);
    stream.leave();
    expect(events(stream.text())).toEqual([]);
    expect((await session.post(toolCall('echo', { message: 'later' }, 'later'))).body).toContain('Echo: later');
    await isIdle();
  });

  it('ends with the session, also one that is still going on, and nothing is kept of it', async () => {
    const session = await open(gateway);
    const stream = await post(gateway, session, BATCH);
    await waitUntil(() => stream.text().includes('"progress":1'), { what: 'a first step' });
    stream.leave();
    const id = events(stream.text()).at(-1)?.id ?? '';
    const going = await resume(gateway, session, id);
    await fetch(gateway.mcp, { method: 'DELETE', headers: { ...session.headers, authorization: `Bearer ${alice.key}` } });
    await going.ended;
    expect((await resume(gateway, session, id)).status).toBe(404);
  });
});

const silent = { name: 'trigger-long-running-operation', arguments: { steps: 1, duration: 0.5 } };

describe('what is kept of batches', () => {
  it('goes with its session, to the last byte', async () => {
    const place = await start({ ...stdioUpstream(), isolation: 'session' });
    const session = await open(place);
    const stream = await post(place, session, [toolCall('progress', { steps: 9, ms: 50 }, 'p'), toolCall('sleep', { ms: 900 }, 's')]);
    await stream.awaitEvents(1).catch(() => undefined);
    expect(await scrape(place, 'mcp_guard_session_events')).toBeGreaterThan(0);
    await fetch(place.mcp, { method: 'DELETE', headers: { ...session.headers, authorization: `Bearer ${alice.key}` } });
    await stream.ended;
    await waitUntil(async () => (await scrape(place, 'mcp_guard_session_event_bytes')) === 0, { what: 'nothing to be kept' });
    expect(await scrape(place, 'mcp_guard_session_events')).toBe(0);
  });

  it('is bounded: the oldest events give way, and a batch whose end is gone is not found', async () => {
    const place = await start({ ...stdioUpstream(), isolation: 'session' }, { workers: 1 }, { replay_messages: 3 });
    const session = await open(place);
    const streams: RpcStream[] = [];
    for (const name of ['first', 'second']) {
      const stream = await post(
        place,
        session,
        ['a', 'b', 'c', 'd'].map((id) => toolCall('echo', { name }, `${name}-${id}`)),
      );
      await stream.ended;
      streams.push(stream);
    }
    const [first = '', second = ''] = streams.map((stream) => events(stream.text())[0]?.id ?? '');
    expect((await resume(place, session, first)).status).toBe(404);
    expect(await rest(place, session, second)).toHaveLength(3);
    expect(await scrape(place, 'mcp_guard_session_events')).toBeLessThanOrEqual(6);
  });

  it('is nothing when the configuration says so', async () => {
    const place = await start({ ...stdioUpstream(), isolation: 'session' }, { workers: 2 }, { replay_messages: 0 });
    const session = await open(place);
    const stream = await post(place, session, [toolCall('echo', { n: 1 }, 1), toolCall('echo', { n: 2 }, 2)]);
    await stream.ended;
    expect(events(stream.text()).map(({ id, message }) => [id, message['id']])).toEqual([
      ['', 1],
      ['', 2],
    ]);
  });

  it('is lost with the worker that kept it, and that alone: the session of an HTTP server goes on', async () => {
    const place = await start({ transport: 'http', url: await everythingOverHttp(), allow_private_networks: true }, { workers: 2 });
    const session = await open(place);
    const stream = await post(place, session, BATCH);
    await stream.ended;
    const id = events(stream.text())[0]?.id ?? '';
    for (const pid of await childrenOf(place.pid)) process.kill(pid, 'SIGKILL');
    const status = async (): Promise<number> => (await resume(place, session, id)).status;
    await waitUntil(async () => (await status().catch(() => 0)) === 404, { what: 'workers that know nothing of it', timeoutMs: 15_000 });
    expect((await session.post(toolCall('echo', { message: 'still there' }, 'later'))).body).toContain('still there');
  });
});

describe('a batch whose client left', () => {
  it('keeps the places of its calls until they are over: leaving makes no room for more', async () => {
    const place = await start({ ...stdioUpstream(), isolation: 'session' }, { workers: 2 }, {}, { max_in_flight: 3 });
    const session = await open(place);
    const stream = await post(place, session, [toolCall('progress', { steps: 30, ms: 80 }, 'p'), toolCall('echo', {}, 'e')]);
    await stream.awaitEvents(1);
    stream.leave();
    const ask = async (): Promise<number[]> => {
      const both = [1, 2, 3].map(async (id) => await session.post(toolCall('sleep', { ms: 300 }, id)));
      return (await Promise.all(both)).map(({ status }) => status).toSorted();
    };
    expect(await ask()).toEqual([200, 200, 429]);
    const id = events(stream.text())[0]?.id ?? '';
    expect((await rest(place, session, id)).map((message) => String(message['id']))).toEqual(['p']);
    await waitUntil(async () => (await ask()).at(-1) === 200, { what: 'all places' });
  });
});

describe('a batch in which an HTTP server closes the stream of a call before its answer', () => {
  it('has that answer as well, and nothing that would let its client see the server’s positions', async () => {
    const upstream = await startStreamUpstream();
    const place = await start({ transport: 'http', url: upstream.url, allow_private_networks: true });
    const session = await open(place);
    const stream = await post(place, session, [toolCall('poll', {}, 'p'), toolCall('cut', {}, 'c'), rpcRequest('ping', {}, 'ping')]);
    expect(await stream.ended).toBe('complete');
    const all = events(stream.text());
    expect(all.map(({ message }) => String(message['id'])).toSorted()).toEqual(['c', 'p', 'ping']);
    expect(await rest(place, session, all[0]?.id ?? '')).toEqual(all.slice(1).map(({ message }) => message));
    expect(stream.text()).not.toContain('upstream-event');
  });
});

describe('a batch whose first connection nobody reads any more', () => {
  it('is gone on with by the next at once, though the server was held back for that one', async () => {
    const STEPS = 150;
    const flood = (id: unknown): UpstreamAnswer => {
      const step = (progress: number): object => ({ progressToken: id, progress, message: 'x'.repeat(100_000) });
      const said = Array.from({ length: STEPS }, (_, index) => ({
        jsonrpc: '2.0',
        method: 'notifications/progress',
        params: step(index + 1),
      }));
      return { events: [...said, { jsonrpc: '2.0', id, result: { content: [] } }] };
    };
    const begun = { protocolVersion: REVISION, capabilities: { tools: {} }, serverInfo: { name: 'flood', version: '1' } };
    const upstream = await startHttpUpstream({
      answer: ({ message: { id, method } }) => {
        if (method === 'tools/call') return flood(id);
        return method === 'initialize' ? { headers: { 'mcp-session-id': 's' }, body: { jsonrpc: '2.0', id, result: begun } } : undefined;
      },
    });
    const place = await start({ transport: 'http', url: upstream.url, allow_private_networks: true }, { workers: 1 });
    const session = await open(place);
    const body = JSON.stringify([toolCall('flood', {}, 'f', { progressToken: 'f' })]);
    const headers = { ...session.headers, authorization: `Bearer ${alice.key}`, 'content-type': 'application/json' };
    const sent = request(place.mcp, {
      method: 'POST',
      agent: false,
      headers: { ...headers, accept: 'application/json, text/event-stream' },
    });
    const first = await new Promise<string>((resolve, reject) => {
      sent.on('error', reject);
      sent.on('response', (response) => {
        response.on('error', () => undefined);
        response.once('data', (piece: Buffer) => {
          response.pause();
          resolve(piece.toString());
        });
      });
      sent.end(body);
    });
    const id = /^id: (.+)$/m.exec(first)?.[1] ?? '';
    await sleep(1500);
    const begunMs = Date.now();
    const came = await rest(place, session, id);
    expect([came.at(-1)?.['id'], Date.now() - begunMs < 6000]).toEqual(['f', true]);
    sent.destroy();
  });
});

describe('a batch that was begun at another host', () => {
  it('is gone on with there', async () => {
    const { near, far } = await startHosts({ keys: { alice, bob }, more: { session: { seal_keys: [newSecret()] } } });
    const session = await open(near.gateway);
    const stream = await post(near.gateway, session, [
      toolCall('progress', { steps: 4, ms: 150 }, 'p'),
      toolCall('echo', { n: 1 }, 'e'),
      rpcRequest('ping', {}, 'ping'),
    ]);
    await waitUntil(() => events(stream.text()).length > 1, { what: 'a first event' });
    stream.leave();
    const [first] = events(stream.text());
    const came = await rest(far.gateway, session, first?.id ?? '');
    const ids = [first?.message, ...came].map((message) => String(message?.['id'])).toSorted();
    expect(ids).toEqual(['e', 'p', 'ping']);
    expect((await resume(far.gateway, session, first?.id ?? '', bob.key)).status).toBe(404);
  });
});
