import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Gateway,
  http,
  isAlive,
  keyEntry,
  makeKey,
  readRecord,
  rpc,
  rpcRequest,
  rpcStream,
  sleep,
  startGateway,
  stdioUpstream,
  tempDir,
  toolCall,
  toolText,
  waitUntil,
} from './harness.ts';
import { listen, openSession, type OpenSession, type StandingStream } from './sessions.ts';

const alice = makeKey();
const mallory = makeKey();
/** May reach the first member only. */
const narrow = makeKey();
const NAMES = ['a', 'b'] as const;
type Name = (typeof NAMES)[number];
const records = new Map<string, string>();
let gateway: Gateway;

beforeAll(async () => {
  const folder = await tempDir();
  for (const name of NAMES) records.set(name, `${folder}/${name}`);
  gateway = await start();
});

async function start(session: object = {}): Promise<Gateway> {
  return await startGateway({
    config: {
      server: { workers: 4 },
      auth: { api_keys: [keyEntry('alice', alice), keyEntry('mallory', mallory), { ...keyEntry('narrow', narrow), servers: ['a'] }] },
      rate_limit: { enabled: false },
      session,
      upstream: {
        servers: NAMES.map((name) => ({ name, ...stdioUpstream({ name, recordFile: records.get(name) ?? '' }), isolation: 'session' })),
        aggregate: { enabled: true },
      },
    },
  });
}

/** Texts of the messages with all of these marks that the children of a member have received. */
async function received(name: Name, ...marks: readonly string[]): Promise<readonly string[]> {
  const { messages } = await readRecord(records.get(name) ?? '');
  return messages.map((message) => JSON.stringify(message)).filter((text) => marks.every((mark) => text.includes(mark)));
}

const pids = async (name: Name): Promise<readonly number[]> => (await readRecord(records.get(name) ?? '')).pids;

async function open(key = alice.key, place = gateway, capabilities: object = { roots: {} }): Promise<OpenSession> {
  return await openSession(place.mcp, { key, capabilities });
}

/** Has a member print lines while it works on a call. */
async function says(session: OpenSession, name: Name, ...messages: readonly object[]): Promise<void> {
  const text = messages.map((message) => `${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`).join('');
  expect((await session.post(toolCall(`${name}__raw`, { text }, `says-${Math.random()}`))).status).toBe(200);
}

/** The same, outside of any call: the member answers its own first, which is the `nth` request that it gets in the session, `initialize` included. */
async function saysAside(session: OpenSession, name: Name, nth: number, ...messages: readonly object[]): Promise<void> {
  await says(session, name, { id: nth, result: { content: [] } }, ...messages);
}

const heardBy = (stream: StandingStream): readonly Readonly<Record<string, unknown>>[] =>
  stream.messages() as unknown as Readonly<Record<string, unknown>>[];
const answerTo = (id: unknown, mark: string): object => ({ jsonrpc: '2.0', id, result: { roots: [], mark } });
const question = { id: 'same', method: 'roots/list' };

describe('the id of a session at a virtual server', () => {
  it('is unknown to other callers, at other paths, and when a character of it is changed', async () => {
    const session = await open();
    const use = async (url: string, key: string, id: string): Promise<number[]> => {
      const headers = { 'mcp-session-id': id, 'mcp-protocol-version': '2025-11-25' };
      const stream = await listen(url, key, id);
      stream.leave();
      return [
        (await rpc(url, toolCall('a__echo'), { key, headers })).status,
        (await rpc(url, rpcRequest('tools/list'), { key, headers })).status,
        stream.status,
        (await http('DELETE', url, { key, headers })).status,
      ];
    };
    const unknown = [404, 404, 404, 404];
    expect(await use(gateway.mcp, mallory.key, session.id)).toEqual(unknown);
    expect(await use(gateway.mcp, narrow.key, session.id)).toEqual(unknown);
    expect(await use(`${gateway.mcp}/a`, alice.key, session.id)).toEqual(unknown);
    const changed = `${session.id.slice(0, -2)}${session.id.endsWith('AA') ? 'BB' : 'AA'}`;
    expect(await use(gateway.mcp, alice.key, changed)).toEqual(unknown);
    expect(toolText(await session.post(toolCall('a__echo', { still: 'there' })))).toContain('there');
  });
});

describe('what members ask in a session at a virtual server', () => {
  it('never meets: two of them use the same id, and each gets the answer that is meant for it, once', async () => {
    const session = await open();
    const stream = await listen(gateway.mcp, alice.key, session.id);
    for (const name of NAMES) await saysAside(session, name, 2, { ...question, params: { _meta: { asks: name } } });
    await waitUntil(() => heardBy(stream).length === 2, { what: 'both questions' });
    const ids = new Map(heardBy(stream).map(({ id, params }) => [(params as { _meta: { asks: string } })._meta.asks, id]));
    expect(new Set(ids.values()).size).toBe(2);
    expect([...ids.values()]).not.toContain('same');
    for (const name of ['b', 'a']) {
      expect((await session.post(answerTo(ids.get(name), `for ${name}`))).status).toBe(202);
      expect((await session.post(answerTo(ids.get(name), 'a second one'))).status).toBe(202);
    }
    for (const name of NAMES) {
      await waitUntil(async () => (await received(name, `for ${name}`)).length === 1, { what: 'the answer' });
      expect(JSON.parse((await received(name, `for ${name}`))[0] ?? '')).toMatchObject({ id: 'same' });
      expect(await received(name, `for ${name === 'a' ? 'b' : 'a'}`)).toEqual([]);
      expect(await received(name, 'a second one')).toEqual([]);
    }
    stream.leave();
  });

  it('is answered in its own session only, and not by ids that the client was not given', async () => {
    const [session, other] = [await open(), await open()];
    const stream = await listen(gateway.mcp, alice.key, session.id);
    await saysAside(session, 'a', 2, question);
    await waitUntil(() => heardBy(stream).length === 1, { what: 'the question' });
    const id = heardBy(stream)[0]?.['id'];
    for (const wrong of ['same', 1, String(id).toUpperCase(), `${String(id)} `]) await session.post(answerTo(wrong, 'guessed'));
    await other.post(answerTo(id, 'from another session'));
    const stranger = await open(mallory.key);
    await stranger.post(answerTo(id, 'from another caller'));
    await session.post(answerTo(id, 'the right one'));
    await waitUntil(async () => (await received('a', 'the right one')).length === 1, { what: 'the answer' });
    for (const mark of ['guessed', 'from another session', 'from another caller']) {
      for (const name of NAMES) expect(await received(name, mark)).toEqual([]);
    }
    stream.leave();
  });

  it('is taken back by who asked only', async () => {
    const session = await open();
    const stream = await listen(gateway.mcp, alice.key, session.id);
    await saysAside(session, 'a', 2, question);
    await waitUntil(() => heardBy(stream).length === 1, { what: 'the question' });
    const id = heardBy(stream)[0]?.['id'];
    const cancels = (requestId: unknown): object => ({ method: 'notifications/cancelled', params: { requestId, reason: 'no more' } });
    await saysAside(session, 'b', 2, cancels('same'), cancels(id));
    await saysAside(session, 'a', 3, cancels('other'), cancels('same'));
    await stream.awaits('no more');
    expect(heardBy(stream).slice(1)).toMatchObject([{ method: 'notifications/cancelled', params: { requestId: id } }]);
    await session.post(answerTo(id, 'too late'));
    await sleep(200);
    expect(await received('a', 'too late')).toEqual([]);
    stream.leave();
  });

  it('in a call comes in the stream of that call, and the answer goes back from any worker', async () => {
    const session = await open();
    for (let n = 0; n < 4; n += 1) {
      const text = `${JSON.stringify({ jsonrpc: '2.0', ...question, params: { n } })}\n`;
      const call = toolCall(n % 2 === 0 ? 'a__raw' : 'b__raw', { text }, `call-${n}`);
      const stream = await rpcStream(gateway.mcp, call, { key: alice.key, headers: session.headers });
      const events = await stream.awaitEvents(2);
      expect(events[0]).toMatchObject({ method: 'roots/list', params: { n } });
      expect(events[0]?.['id']).not.toBe('same');
      expect(await stream.ended).toBe('complete');
      expect(stream.events().at(-1)).toMatchObject({ id: `call-${n}`, result: {} });
    }
  });

  it('is refused at once when nobody is there to be asked', async () => {
    const session = await open();
    await saysAside(session, 'a', 2, { ...question, id: 'nobody' });
    await waitUntil(async () => (await received('a', '"nobody"', '-32000')).length === 1, { what: 'the refusal' });
  });
});

describe('what a member says in a session at a virtual server', () => {
  it('cannot be about the call or the resources of another member', async () => {
    const session = await open();
    const stream = await listen(gateway.mcp, alice.key, session.id);
    const call = toolCall('a__sleep', { ms: 1500 }, 'long', { progressToken: 'mine' });
    const answer = await rpcStream(gateway.mcp, call, { key: alice.key, headers: session.headers });
    await waitUntil(async () => (await received('a', '"sleep"')).length > 0, { what: 'the call' });
    const progress = { method: 'notifications/progress', params: { progressToken: 'mine', progress: 99 } };
    const updated = { method: 'notifications/resources/updated', params: { uri: 'file:///of/a' } };
    await saysAside(session, 'b', 2, progress, updated, { method: 'notifications/message', params: { level: 'info', data: 'said last' } });
    await stream.awaits('said last');
    expect(heardBy(stream)).toMatchObject([{ method: 'notifications/message', params: { logger: 'b', data: 'said last' } }]);
    expect(await answer.ended).toBe('complete');
    expect(answer.events()).toMatchObject([{ id: 'long', result: {} }]);
    stream.leave();
  });

  it('does not reach who may not reach the member, who has no session there either', async () => {
    const before = (await pids('b')).length;
    const session = await open(narrow.key);
    const stream = await listen(gateway.mcp, narrow.key, session.id);
    expect((await session.post(rpcRequest('tools/list'))).body).not.toContain('b__');
    expect((await session.post(toolCall('b__echo'))).status).toBe(403);
    await session.post({ jsonrpc: '2.0', method: 'notifications/roots/list_changed' });
    await saysAside(session, 'a', 3, { method: 'notifications/message', params: { level: 'info', data: 'of a' } });
    await stream.awaits('of a');
    expect((await pids('b')).length).toBe(before);
    stream.leave();
  });
});

describe('a stream of a session at a virtual server', () => {
  it('row 41: is gone on with at any worker after it broke, and by nobody else', async () => {
    const session = await open();
    const other = await open();
    for (const name of NAMES) {
      const call = toolCall(`${name}__progress`, { steps: 5, ms: 60 }, 'left', { progressToken: 'mine' });
      const answer = await rpcStream(gateway.mcp, call, { key: alice.key, headers: session.headers });
      await answer.awaitEvents(1);
      answer.leave();
      const [position = ''] = /^id: (.+)$/m.exec(answer.text())?.slice(1) ?? [];
      const behind = { 'last-event-id': position };
      expect((await listen(gateway.mcp, mallory.key, session.id, behind)).status).toBe(404);
      expect((await listen(gateway.mcp, alice.key, other.id, behind)).status).toBe(404);
      const rest = await listen(gateway.mcp, alice.key, session.id, behind);
      expect(await rest.ended).toBe('complete');
      const steps = [1, 2, 3, 4, 5].map((progress) => ({ params: { progressToken: 'mine', progress } }));
      expect(rest.messages()).toMatchObject([...steps, { id: 'left', result: { content: [{ text: 'done' }] } }]);
    }
  });
});

describe('the end of a session at a virtual server', () => {
  const children = async (before: readonly number[], name: Name): Promise<readonly number[]> =>
    (await pids(name)).filter((pid) => !before.includes(pid));

  it('ends those with its members: their children are gone, and requests of it are unknown', async () => {
    const before = new Map(await Promise.all(NAMES.map(async (name) => [name, await pids(name)] as const)));
    const session = await open();
    const own = (await Promise.all(NAMES.map((name) => children(before.get(name) ?? [], name)))).flat();
    expect(own).toHaveLength(2);
    expect(own.every((pid) => isAlive(pid))).toBe(true);
    expect((await http('DELETE', gateway.mcp, { key: alice.key, headers: session.headers })).status).toBe(200);
    await waitUntil(() => own.every((pid) => !isAlive(pid)), { what: 'the end of the children' });
    for (let n = 0; n < 8; n += 1) expect((await session.post(toolCall('a__echo'))).status).toBe(404);
  });

  it('comes with its idle time, and with the gateway', async () => {
    const brief = await start({ idle_ttl_secs: 1 });
    const before = new Map(await Promise.all(NAMES.map(async (name) => [name, await pids(name)] as const)));
    const session = await open(alice.key, brief);
    const own = (await Promise.all(NAMES.map((name) => children(before.get(name) ?? [], name)))).flat();
    expect(own).toHaveLength(2);
    await waitUntil(() => own.every((pid) => !isAlive(pid)), { what: 'the end of the children', timeoutMs: 10_000 });
    expect((await session.post(toolCall('a__echo'))).status).toBe(404);
    await open(alice.key, brief);
    const last = (await Promise.all(NAMES.map((name) => children(before.get(name) ?? [], name)))).flat();
    await brief.stop();
    expect(last.filter((pid) => isAlive(pid))).toEqual([]);
  });
});
