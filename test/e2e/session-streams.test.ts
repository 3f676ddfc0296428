import { beforeAll, describe, expect, it } from 'vitest';
import {
  http,
  keyEntry,
  makeKey,
  rpc,
  rpcRequest,
  rpcStream,
  scrape,
  sleep,
  startGateway,
  toolCall,
  waitUntil,
  type Gateway,
} from './harness.ts';
import { listen, openSession, type OpenSession } from './sessions.ts';
import { childrenOf } from './worker-processes.ts';
import { startStreamUpstream, type StreamUpstream } from './stream-upstream.ts';

const alice = makeKey();
const bob = makeKey();
const narrow = makeKey();
const HEARTBEAT_MS = 15_000;

let upstream: StreamUpstream;
let gateway: Gateway;
let quiet: Promise<string>;

function config(server: object, session: object = {}): Record<string, unknown> {
  const entries = [keyEntry('alice', alice), keyEntry('bob', bob), { ...keyEntry('narrow', narrow), denied_tools: ['secret'] }];
  return {
    server: { workers: 2, admin: { port: 0 }, ...server },
    auth: { api_keys: entries.map((entry) => ({ ...entry, rate_limit: 10_000, burst: 10_000 })) },
    session,
    upstream: { transport: 'http', url: upstream.url, allow_private_networks: true },
  };
}

beforeAll(async () => {
  upstream = await startStreamUpstream();
  gateway = await startGateway({ config: config({}) });
  quiet = heartbeat();
});

/** What a stream shows on which nothing is said for longer than proxies wait. */
async function heartbeat(): Promise<string> {
  const stream = await listen(gateway.mcp, alice.key, (await open('quiet')).id);
  await sleep(HEARTBEAT_MS + 1500);
  stream.leave();
  return stream.text();
}

async function open(client: string, key: string = alice.key, place: Gateway = gateway): Promise<OpenSession> {
  return await openSession(place.mcp, { key, client, capabilities: { elicitation: {} } });
}

const changed = (n: number): object => ({ jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri: `test://${n}` } });

describe.each(['uws', 'node'])('a GET stream, engine %s', (engine) => {
  let place: Gateway;

  beforeAll(async () => {
    place = engine === 'uws' ? gateway : await startGateway({ config: config({ engine }) });
  });

  it('row 38: relays what the server says to this client, and to no other', async () => {
    const [one, two] = [await open(`one ${engine}`, alice.key, place), await open(`two ${engine}`, alice.key, place)];
    const [first, second] = [await listen(place.mcp, alice.key, one.id), await listen(place.mcp, alice.key, two.id)];
    expect([first.status, first.headers['content-type'], first.headers['x-accel-buffering']]).toEqual([200, 'text/event-stream', 'no']);
    const question = { jsonrpc: '2.0', id: 7, method: 'roots/list' };
    for (const message of [changed(1), question, changed(2)]) upstream.say(`one ${engine}`, message);
    upstream.say(`two ${engine}`, changed(3));
    await Promise.all([first.awaits('test://2'), second.awaits('test://3')]);
    expect(first.messages()).toEqual([changed(1), question, changed(2)]);
    expect(second.messages()).toEqual([changed(3)]);
    await one.post({ jsonrpc: '2.0', id: 7, result: { roots: [] } });
    await waitUntil(() => upstream.sessionOf(`one ${engine}`)?.responses.has('7'), { what: 'the answer upstream' });
    upstream.hangUp(`one ${engine}`);
    expect(await first.ended).toBe('complete');
    second.leave();
  });

  it('row 38: lets go of the upstream when its client leaves, so that it can come back', async () => {
    const session = await open(`back ${engine}`, alice.key, place);
    const stream = await listen(place.mcp, alice.key, session.id);
    stream.leave();
    await waitUntil(() => upstream.sessionOf(`back ${engine}`)?.stream === null, { what: 'the end of the stream upstream' });
    const again = await listen(place.mcp, alice.key, session.id);
    upstream.say(`back ${engine}`, changed(1));
    await again.awaits('test://1');
    expect((await listen(place.mcp, alice.key, session.id)).status).toBe(409);
    again.leave();
  });
});

describe('who may have a stream', () => {
  it('row 38: trap 11: not another principal, nor one without a session, nor one that takes no events', async () => {
    const session = await open('guarded');
    const statusOf = async (key: string, headers: Record<string, string | undefined>): Promise<number> =>
      (await http('GET', gateway.mcp, { key, headers: { accept: 'text/event-stream', 'mcp-session-id': session.id, ...headers } })).status;
    expect(await statusOf(bob.key, {})).toBe(404);
    expect(await statusOf(alice.key, { 'mcp-session-id': 'made-up' })).toBe(404);
    expect(await statusOf(alice.key, { 'mcp-session-id': undefined })).toBe(405);
    expect(await statusOf(alice.key, { accept: 'application/json' })).toBe(406);
    expect(await statusOf(alice.key, { 'mcp-protocol-version': '2025-03-26' })).toBe(400);
    expect(await statusOf('nobody', {})).toBe(401);
    expect(
      upstream.seen.filter(({ method, headers }) => method === 'GET' && headers['mcp-session-id'] === upstream.sessionOf('guarded')?.id),
    ).toEqual([]);
  });

  it('row 38: no more than a caller may have sessions, in each worker', async () => {
    const few = await startGateway({ config: config({ workers: 1 }, { max_per_principal: 2 }) });
    const sessions = [await open('few 1', alice.key, few), await open('few 2', alice.key, few)];
    const streams = [];
    for (const { id } of sessions) streams.push(await listen(few.mcp, alice.key, id));
    expect((await listen(few.mcp, alice.key, sessions[0]?.id ?? '')).status).toBe(429);
    streams[0]?.leave();
    await waitUntil(() => upstream.sessionOf('few 1')?.stream === null, { what: 'the stream to be gone' });
    expect((await listen(few.mcp, alice.key, sessions[0]?.id ?? '')).status).toBe(200);
  });
});

describe('a key that expires', () => {
  it.each(['uws', 'node'])('ends the streams that were opened with it, engine %s', async (engine) => {
    const brief = makeKey();
    const expiresMs = Date.now() + 8000;
    const entry = keyEntry('brief', brief, { expires_at: new Date(expiresMs).toISOString(), rate_limit: 1000, burst: 1000 });
    const place = await startGateway({ config: { ...config({ engine }), auth: { api_keys: [entry] } } });
    const stream = await listen(place.mcp, brief.key, (await open(`brief ${engine}`, brief.key, place)).id);
    expect(stream.status).toBe(200);
    expect(await stream.ended).toBe('complete');
    expect(Date.now()).toBeGreaterThanOrEqual(expiresMs);
  });
});

describe('the end of a session', () => {
  it('row 40: DELETE ends it here and upstream, with its streams, and from then on its id is unknown to every worker', async () => {
    const session = await open('deleted');
    const stream = await listen(gateway.mcp, alice.key, session.id);
    const headers = { 'mcp-session-id': session.id };
    expect((await http('DELETE', gateway.mcp, { key: bob.key, headers })).status).toBe(404);
    expect((await http('DELETE', gateway.mcp, { key: alice.key, headers })).status).toBe(200);
    expect(upstream.sessionOf('deleted')).toBeUndefined();
    expect(await stream.ended).toBe('complete');
    const later = await Promise.all(Array.from({ length: 20 }, async () => (await session.post(toolCall('x'))).status));
    expect(new Set(later)).toEqual(new Set([404]));
    expect((await http('DELETE', gateway.mcp, { key: alice.key, headers })).status).toBe(404);
    expect((await listen(gateway.mcp, alice.key, session.id)).status).toBe(404);
    const lines = await waitUntil(
      async () => {
        const all = (await gateway.auditLines()).filter((line) => String(line['event_type']).startsWith('session_'));
        const ended = all.find(({ reason }) => reason === 'deleted')?.['session'];
        // Another worker may have begun it, whose record then comes by itself.
        return all.filter(({ session: name }) => name === ended).length === 2 ? all : null;
      },
      { what: 'the records of beginning and end' },
    );
    const end = lines.find(({ reason }) => reason === 'deleted');
    expect(end).toMatchObject({ event_type: 'session_close', identity: 'alice', server: 'default' });
    const types = lines.filter(({ session: name }) => name === end?.['session']).map((line) => line['event_type']);
    expect(new Set(types)).toEqual(new Set(['session_open', 'session_close']));
  });

  it('comes when nobody uses it, on every worker, while one in use goes on', async () => {
    const brief = await startGateway({ config: config({}, { idle_ttl_secs: 2 }) });
    const [idle, used, heard] = [
      await open('idle', alice.key, brief),
      await open('used', alice.key, brief),
      await open('heard', alice.key, brief),
    ];
    const stream = await listen(brief.mcp, alice.key, heard.id);
    for (let round = 0; round < 8; round++) {
      expect((await used.post(toolCall('x'))).status).toBe(200);
      await sleep(500);
    }
    const statuses = async (session: OpenSession): Promise<Set<number>> =>
      new Set(await Promise.all(Array.from({ length: 10 }, async () => (await session.post(toolCall('x'))).status)));
    expect([await statuses(idle), await statuses(used), await statuses(heard)]).toEqual([new Set([404]), new Set([200]), new Set([200])]);
    expect([upstream.sessionOf('idle'), upstream.sessionOf('used')?.client]).toEqual([undefined, 'used']);
    stream.leave();
    await waitUntil(async () => (await scrape(brief, 'mcp_guard_sessions')) === 0, { what: 'no session to be left', timeoutMs: 10_000 });
    expect(await scrape(brief, 'mcp_guard_sessions_closed_total{server="default",reason="expired"}')).toBe(3);
    expect(await scrape(brief, 'mcp_guard_sessions_opened_total{server="default"}')).toBe(3);
  });

  it('comes to the one unused longest, when a caller has too many; those of others stay', async () => {
    const few = await startGateway({ config: config({ workers: 1 }, { max_per_principal: 2 }) });
    const [stays, goes] = [await open('bob stays', bob.key, few), await open('goes', alice.key, few)];
    const kept = [await open('kept 1', alice.key, few), await open('kept 2', alice.key, few)];
    expect((await goes.post(toolCall('x'))).status).toBe(404);
    for (const session of [stays, ...kept]) expect((await session.post(toolCall('x'))).status).toBe(200);
    await waitUntil(() => upstream.sessionOf('goes') === undefined, { what: 'its end upstream' });
  });

  it('does not come with the end of a worker: the one that takes its place serves it', async () => {
    const place = await startGateway({ config: config({ workers: 1 }) });
    const session = await open('survives', alice.key, place);
    const [pid] = (await waitUntil(async () => await childrenOf(place.pid), { what: 'the worker' })) as number[];
    process.kill(pid ?? 0, 'SIGKILL');
    await waitUntil(async () => (await session.post(toolCall('x')).catch(() => null))?.status === 200, {
      what: 'to be served',
      timeoutMs: 10_000,
    });
  });
});

describe('what a server asks', () => {
  it('row 35: reaches its client in the stream of the call, and the answer comes back through any worker', async () => {
    const session = await open('asked');
    for (let round = 0; round < 4; round++) {
      upstream.sessionOf('asked')?.responses.clear();
      const headers = { 'mcp-session-id': session.id };
      const stream = await rpcStream(gateway.mcp, toolCall('ask', {}, `call ${round}`), { key: alice.key, headers });
      const [question] = await stream.awaitEvents(1);
      expect(question).toMatchObject({ id: 'question', method: 'elicitation/create' });
      await session.post({ jsonrpc: '2.0', id: 'question', result: { action: 'accept', content: { name: `n${round}` } } });
      const [, reply] = await stream.awaitEvents(2);
      expect(reply).toMatchObject({ id: `call ${round}`, result: { content: [{ text: expect.stringContaining(`n${round}`) as string }] } });
    }
  });

  it('is answered also by a client whose places are all in use: the call that asks holds one', async () => {
    const place = await startGateway({ config: { ...config({}), rate_limit: { max_in_flight: 1 } } });
    const session = await open('has one place', alice.key, place);
    const headers = { 'mcp-session-id': session.id };
    const stream = await rpcStream(place.mcp, toolCall('ask', {}, 'the call'), { key: alice.key, headers });
    await stream.awaitEvents(1);
    expect((await session.post(toolCall('x', {}, 'one too many'))).status).toBe(429);
    expect((await session.post({ jsonrpc: '2.0', id: 'question', result: { action: 'accept', content: { name: 'n' } } })).status).toBe(202);
    const [, reply] = await stream.awaitEvents(2);
    expect(reply).toMatchObject({ id: 'the call', result: { content: [{ text: expect.stringContaining('n') as string }] } });
  });

  it('is taken back through any worker: the call ends at once, wherever it is under way', async () => {
    const session = await open('takes back');
    for (let round = 0; round < 6; round++) {
      const call = session.post(toolCall('wait', {}, `wait ${round}`));
      await waitUntil(() => upstream.seen.some(({ message }) => message['id'] === `wait ${round}`), { what: 'the call' });
      const cancelled = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: `wait ${round}` } };
      expect((await session.post(cancelled)).status).toBe(202);
      expect(await call).toMatchObject({ status: 200, body: '' });
    }
    const told = (): unknown[] => {
      const all = upstream.seen.filter(({ message }) => message['method'] === 'notifications/cancelled');
      return all.map(({ message }) => (message['params'] as { requestId: string }).requestId);
    };
    await waitUntil(() => told().length === 6, { what: 'the upstream to know of all' });
    expect(told()).toEqual(Array.from({ length: 6 }, (_, round) => `wait ${round}`));
  });
});

describe('a stream that ends before its answer', () => {
  const idOf = (text: string): string => /^id: (.+)$/m.exec(text)?.[1] ?? '';

  it('row 41: goes on behind an event id of the gateway, at any worker, and shows no id of the upstream', async () => {
    const session = await open('polls');
    for (let round = 0; round < 4; round++) {
      const first = await session.post(toolCall('poll', {}, `poll ${round}`));
      expect([first.status, first.json]).toEqual([200, undefined]);
      expect(first.body).toMatch(/^id: [A-Za-z0-9_-]{40,}\nretry: 70\ndata: \n\n$/);
      const rest = await listen(gateway.mcp, alice.key, session.id, { 'last-event-id': idOf(first.body) });
      expect(await rest.ended).toBe('complete');
      expect(rest.messages()).toMatchObject([{ id: `poll ${round}`, result: { content: [{ text: 'poll was called' }] } }]);
      expect(idOf(rest.text())).not.toBe(idOf(first.body));
      expect(first.body + rest.text()).not.toContain('upstream-');
    }
  });

  it('row 41: trap 11: does not go on for another session or principal, nor behind an id that was not given out', async () => {
    const [session, other, foreign] = [await open('mine'), await open('other'), await open('foreign', bob.key)];
    const id = idOf((await session.post(toolCall('poll'))).body);
    const statusOf = async (key: string, held: OpenSession, lastEventId: string): Promise<number> =>
      (await listen(gateway.mcp, key, held.id, { 'last-event-id': lastEventId })).status;
    expect(await statusOf(bob.key, session, id)).toBe(404);
    expect(await statusOf(alice.key, other, id)).toBe(404);
    expect(await statusOf(bob.key, foreign, id)).toBe(404);
    for (const made of [`${id}A`, id.slice(1), 'upstream-event-1', '1']) expect(await statusOf(alice.key, session, made)).toBe(404);
    expect(await statusOf(alice.key, session, id)).toBe(200);
  });

  it('shows no more tools in the rest than in a list that came at once', async () => {
    const session = await open('narrow', narrow.key);
    const first = await session.post(rpcRequest('tools/list', { cursor: 'later' }));
    const rest = await listen(gateway.mcp, narrow.key, session.id, { 'last-event-id': idOf(first.body) });
    await rest.ended;
    expect(rest.text()).toContain('"poll"');
    expect(rest.text()).not.toContain('secret');
  });
});

describe('a call whose stream was left before its answer', () => {
  const one = { rate_limit: { max_in_flight: 1 } };
  const idOf = (text: string): string => /^id: (.+)$/m.exec(text)?.[1] ?? '';

  async function isServed(session: OpenSession): Promise<boolean> {
    return (await session.post(toolCall('x'))).status === 200;
  }

  it.each(['hold', 'poll'])('keeps its place until the answer was fetched, through whatever worker: %s', async (tool) => {
    const place = await startGateway({ config: { ...config({}), ...one } });
    const session = await open(`leaves ${tool}`, alice.key, place);
    for (let round = 0; round < 4; round++) {
      const stream = await rpcStream(place.mcp, toolCall(tool, {}, `left ${round}`), {
        key: alice.key,
        headers: { 'mcp-session-id': session.id },
      });
      const id = await waitUntil(() => idOf(stream.text()) || null, { what: 'a position' });
      stream.leave();
      await sleep(200);
      expect((await session.post(toolCall('x'))).status).toBe(429);
      const rest = await listen(place.mcp, alice.key, session.id, { 'last-event-id': id });
      await rest.awaits(`left ${round}`);
      await waitUntil(async () => await isServed(session), { what: 'the place' });
    }
  });

  it('keeps the place at its server too, until its client takes it back', async () => {
    const upstreamConfig = { ...(config({})['upstream'] as object), max_concurrency: 1 };
    const place = await startGateway({ config: { ...config({}), upstream: upstreamConfig } });
    const session = await open('leaves the server', alice.key, place);
    const stream = await rpcStream(place.mcp, toolCall('hold', {}, 'left'), { key: alice.key, headers: { 'mcp-session-id': session.id } });
    await waitUntil(() => idOf(stream.text()) || null, { what: 'a position' });
    stream.leave();
    await sleep(200);
    expect((await session.post(toolCall('x'))).status).toBe(503);
    await session.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'left' } });
    await waitUntil(async () => await isServed(session), { what: 'the place' });
  });

  it('gives the place back with the end of its session', async () => {
    const place = await startGateway({ config: { ...config({ workers: 1 }), ...one } });
    const session = await open('ends it', alice.key, place);
    await session.post(toolCall('poll', {}, 'unfetched at the end'));
    expect((await session.post(toolCall('x'))).status).toBe(429);
    expect((await http('DELETE', place.mcp, { key: alice.key, headers: { 'mcp-session-id': session.id } })).status).toBe(200);
    const next = await open('comes after', alice.key, place);
    expect((await next.post(toolCall('x'))).status).toBe(200);
  });

  it('gives the place back, and takes the call back, at its hard deadline; its server is not taken for dead', async () => {
    const upstreamConfig = { ...(config({})['upstream'] as object), timeout_secs: 1, timeout_max_secs: 3, breaker: { failures: 1 } };
    const place = await startGateway({ config: { ...config({}), ...one, upstream: upstreamConfig } });
    const session = await open('never fetches', alice.key, place);
    await session.post(toolCall('poll', {}, 'unfetched'));
    expect((await session.post(toolCall('x'))).status).toBe(429);
    await waitUntil(async () => await isServed(session), { what: 'the place', timeoutMs: 10_000 });
    const isTold = ({ message }: { readonly message: Readonly<Record<string, unknown>> }): boolean =>
      (message['params'] as { requestId?: string } | undefined)?.requestId === 'unfetched';
    await waitUntil(() => upstream.seen.some(isTold), { what: 'the upstream to know' });
  });
});

describe('a stream on which nothing is said', () => {
  it('shows itself at once, and every fifteen seconds', async () => {
    expect(await quiet).toBe(':\n\n:\n\n');
  });

  it('ends in order when the gateway drains, which does not wait for it', async () => {
    const place = await startGateway({ config: config({}) });
    const stream = await listen(place.mcp, alice.key, (await open('drained', alice.key, place)).id);
    const begun = place.stop();
    expect(await stream.ended).toBe('complete');
    expect((await begun).code).toBe(0);
    expect((await rpc(gateway.mcp, rpcRequest('ping'), { key: alice.key })).status).toBe(200);
  });
});
