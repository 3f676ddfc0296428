import { beforeAll, describe, expect, it } from 'vitest';
import { keyEntry, makeKey, scrape, startGateway, stdioUpstream, toolCall, toolText, waitUntil, type Gateway } from './harness.ts';
import { listen, openSession, type OpenSession, type StandingStream } from './sessions.ts';

const alice = makeKey();
const bob = makeKey();
const narrow = makeKey();
const asAlice = { key: alice.key };
let gateway: Gateway;
let polling: Gateway;

/** With several workers each request comes to any of them. */
async function start(workers: number, session: object = {}, rateLimit: object = { enabled: false }): Promise<Gateway> {
  const entries = [keyEntry('alice', alice), keyEntry('bob', bob), { ...keyEntry('narrow', narrow), denied_tools: ['env'] }];
  return await startGateway({
    config: {
      server: { workers, admin: { port: 0 } },
      auth: { api_keys: entries },
      rate_limit: rateLimit,
      session,
      upstream: { ...stdioUpstream(), isolation: 'session' },
    },
  });
}

beforeAll(async () => {
  [gateway, polling] = await Promise.all([start(3), start(2, { poll_after_secs: 0.2 })]);
});

const REVISION = '2025-11-25';
const idsIn = (text: string): string[] => [...text.matchAll(/^id: (.+)$/gm)].map((match) => match[1] ?? '');

function headersOf(session: OpenSession, revision = REVISION): Record<string, string> {
  return { 'mcp-session-id': session.id, 'mcp-protocol-version': revision };
}

async function resume(place: Gateway, session: OpenSession, lastEventId: string, key = alice.key): Promise<StandingStream> {
  return await listen(place.mcp, key, session.id, { 'last-event-id': lastEventId });
}

/** Begins a call and leaves as soon as its first event is there: that one's id. */
async function callAndLeave(session: OpenSession, message: object): Promise<string> {
  const controller = new AbortController();
  const response = await fetch(gateway.mcp, {
    method: 'POST',
    headers: {
      ...headersOf(session),
      authorization: `Bearer ${alice.key}`,
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
    },
    body: JSON.stringify(message),
    signal: controller.signal,
  });
  const first = await response.body?.getReader().read();
  controller.abort();
  return idsIn(Buffer.from(first?.value ?? []).toString())[0] ?? '';
}

/** Makes the server of a session say something, in a call that is over at once. */
async function says(session: OpenSession, ...messages: object[]): Promise<void> {
  const lines = messages.map((message) => `${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  await session.post(toolCall('raw', { text: lines.join('') }, 'says'));
}

const changed = { method: 'notifications/tools/list_changed' };

describe('row 41: streams of a session over stdio', () => {
  it('row 41: begin with a position and have an id at every event, none of which says anything', async () => {
    const session = await openSession(gateway.mcp, asAlice);
    const { body } = await session.post({ ...toolCall('progress', { steps: 3 }, 'p') });
    expect(body).toMatch(/^id: [A-Za-z0-9_-]{40,}\nretry: 1000\ndata: \n\nid: [A-Za-z0-9_-]{40,}\nevent: message\ndata: /);
    const old = await openSession(gateway.mcp, { ...asAlice, revision: '2025-06-18' });
    expect((await old.post(toolCall('echo'))).body).toMatch(/^id: [A-Za-z0-9_-]{40,}\nevent: message\ndata: /);
    const oldest = await openSession(gateway.mcp, { ...asAlice, revision: '2024-11-05' });
    expect(idsIn((await oldest.post(toolCall('echo'))).body)).toEqual([]);
  });

  it('row 41: bring the answer of a call whose client left, with all that it missed, once it is back', async () => {
    const session = await openSession(gateway.mcp, asAlice);
    const call = toolCall('progress', { steps: 5, ms: 60 }, 'left');
    const message = { ...call, params: { ...(call as { params: object }).params, _meta: { progressToken: 'mine' } } };
    const id = await callAndLeave(session, message);
    const other = session.post(toolCall('echo', { mark: 'another call' }, 'other'));
    const rest = await resume(gateway, session, id);
    expect(await rest.ended).toBe('complete');
    const progress = [1, 2, 3, 4, 5].map((n) => ({ params: { progressToken: 'mine', progress: n } }));
    expect(rest.messages()).toMatchObject([...progress, { id: 'left', result: { content: [{ text: 'done' }] } }]);
    expect(rest.text()).not.toContain('another call');
    expect((await other).body).toContain('another call');
    // Again, from the middle, as often as it likes.
    const again = await resume(gateway, session, idsIn(rest.text())[4] ?? '');
    expect(await again.ended).toBe('complete');
    expect(again.messages()).toHaveLength(2);
  });

  it('row 41: are for the caller and the session that they were begun in, and for ids that were given out', async () => {
    const [session, other] = [await openSession(gateway.mcp, asAlice), await openSession(gateway.mcp, asAlice)];
    const foreign = await openSession(gateway.mcp, { key: bob.key });
    const call = toolCall('echo', { mark: 'of alice alone' }, 'mine');
    const [id = ''] = idsIn((await session.post(call)).body);
    // Streams of the same number in every session.
    for (const each of [other, foreign]) await each.post(toolCall('echo', { mark: 'of others' }, 'mine'));
    const statuses = [
      (await resume(gateway, session, id, bob.key)).status,
      (await resume(gateway, other, id)).status,
      (await resume(gateway, foreign, id, bob.key)).status,
    ];
    expect(statuses).toEqual([404, 404, 404]);
    for (const made of [`${id}A`, id.slice(1), 'r1.0', 's1.0', '1']) expect((await resume(gateway, session, made)).status).toBe(404);
    const rest = await resume(gateway, session, id);
    await rest.ended;
    expect([rest.status, rest.text().includes('of alice alone'), rest.text().includes('of others')]).toEqual([200, true, false]);
  });

  it('show no more tools than a list that comes at once', async () => {
    const session = await openSession(gateway.mcp, { key: narrow.key });
    const [id = ''] = idsIn((await session.post({ jsonrpc: '2.0', id: 1, method: 'tools/list' })).body);
    const rest = await resume(gateway, session, id, narrow.key);
    await rest.ended;
    expect([rest.text().includes('"echo"'), rest.text().includes('"env"')]).toEqual([true, false]);
  });

  it('row 41: that stand bring what the server said while nobody listened', async () => {
    const session = await openSession(gateway.mcp, asAlice);
    const stream = await listen(gateway.mcp, alice.key, session.id);
    await stream.awaits('retry: ');
    stream.leave();
    await waitUntil(async () => (await scrape(gateway, 'mcp_guard_session_streams')) === 0, { what: 'the stream to be left' });
    await says(session, changed, { ...changed, method: 'notifications/prompts/list_changed' });
    const back = await resume(gateway, session, idsIn(stream.text()).at(-1) ?? '');
    await back.awaits('prompts/list_changed');
    await says(session, { ...changed, method: 'notifications/resources/list_changed' });
    await back.awaits('resources/list_changed');
    const names = ['tools', 'prompts', 'resources'].map((name) => ({ method: `notifications/${name}/list_changed` }));
    expect(back.messages()).toMatchObject(names);
    back.leave();
  });

  it('end with the session: nothing of them is there afterwards, in memory neither', async () => {
    const place = await start(2);
    const session = await openSession(place.mcp, asAlice);
    const [id = ''] = idsIn((await session.post(toolCall('echo'))).body);
    expect(await scrape(place, 'mcp_guard_session_events')).toBeGreaterThan(0);
    await fetch(place.mcp, { method: 'DELETE', headers: { ...headersOf(session), authorization: `Bearer ${alice.key}` } });
    expect((await resume(place, session, id)).status).toBe(404);
    expect([await scrape(place, 'mcp_guard_session_events'), await scrape(place, 'mcp_guard_session_event_bytes')]).toEqual([0, 0]);
  });
});

describe('what is kept', () => {
  it('is bounded for each session: an answer that had to give way is gone, and counted', async () => {
    const place = await start(1, { replay_messages: 3 });
    const session = await openSession(place.mcp, asAlice);
    const [first = ''] = idsIn((await session.post(toolCall('echo', { n: 0 }))).body);
    let last = '';
    for (const n of [1, 2, 3, 4]) [last = ''] = idsIn((await session.post(toolCall('echo', { n }))).body);
    expect((await resume(place, session, first)).status).toBe(404);
    const rest = await resume(place, session, last);
    await rest.ended;
    expect(rest.messages()).toHaveLength(1);
    expect(await scrape(place, 'mcp_guard_session_events')).toBe(3);
    expect(await scrape(place, 'mcp_guard_session_events_dropped_total')).toBe(2);
  });

  it('is nothing when the configuration says so: events have no ids, and a position is none', async () => {
    const place = await start(2, { replay_messages: 0 });
    const session = await openSession(place.mcp, asAlice);
    const answer = await session.post(toolCall('echo', { n: 1 }));
    expect([idsIn(answer.body), toolText(answer)]).toEqual([[], '{"n":1}']);
    expect((await resume(place, session, 'r1.0')).status).toBe(404);
  });
});

describe('a call that says nothing for a while', () => {
  it('gives its connection back, and its client fetches the answer', async () => {
    const session = await openSession(polling.mcp, asAlice);
    const suspended = await session.post(toolCall('sleep', { ms: 1200 }, 'slow'));
    expect(suspended.body).toMatch(/^id: [A-Za-z0-9_-]{40,}\nretry: 1000\ndata: \n\n$/);
    const rest = await resume(polling, session, idsIn(suspended.body)[0] ?? '');
    expect(await rest.ended).toBe('complete');
    expect(rest.messages()).toMatchObject([{ id: 'slow', result: { content: [{ text: 'slept' }] } }]);
  });

  it('keeps its place until the server is done: leaving it to polling makes no room for more', async () => {
    const place = await start(2, { poll_after_secs: 0.2 }, { max_in_flight: 1 });
    const session = await openSession(place.mcp, asAlice);
    const [id = ''] = idsIn((await session.post(toolCall('sleep', { ms: 2500 }, 'slow'))).body);
    const rest = await resume(place, session, id);
    expect((await session.post(toolCall('echo'))).status).toBe(429);
    expect(await rest.ended).toBe('complete');
    await waitUntil(async () => (await session.post(toolCall('echo'))).status === 200, { what: 'a free place' });
  });

  it('stands until its answer for a client whose revision does not know that, or who cannot come back', async () => {
    const old = await openSession(polling.mcp, { ...asAlice, revision: '2025-06-18' });
    const kept = await openSession(polling.mcp, asAlice);
    const answers = [
      old.post(toolCall('sleep', { ms: 700 }, 'old')),
      kept.post(toolCall('sleep', { ms: 700 }, 'silent about its revision'), { headers: { 'mcp-protocol-version': undefined } }),
      kept.post(toolCall('sleep', { ms: 700 }, 'json'), { headers: { accept: 'application/json' } }),
    ];
    for (const answer of await Promise.all(answers)) expect(answer.body).toContain('slept');
  });
});
