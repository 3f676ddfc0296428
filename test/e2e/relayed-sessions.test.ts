import { readFile } from 'node:fs/promises';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  http,
  isAlive,
  keyEntry,
  makeKey,
  readRecord,
  rpc,
  rpcStream,
  scrape,
  startGateway,
  stdioUpstream,
  tempDir,
  toolCall,
  toolText,
  waitUntil,
  type Gateway,
} from './harness.ts';
import { initialize, listen, openSession, type OpenSession } from './sessions.ts';

const alice = makeKey();
/** So many that hardly any chance leaves all requests with the workers that hold the sessions. */
const MANY = 12;
const auth = { api_keys: [keyEntry('alice', alice)] };
const rate_limit = { enabled: false };
const asAlice = { key: alice.key };

interface Place {
  readonly gateway: Gateway;
  readonly recordFile: string;
}

async function start(more: object = {}): Promise<Place> {
  const recordFile = `${await tempDir()}/record`;
  const upstream = { ...stdioUpstream({ recordFile }), name: 'program', isolation: 'session' };
  const server = { workers: 4, admin: { port: 0 } };
  const gateway = await startGateway({ config: { server, auth, rate_limit, upstream, ...more } });
  return { gateway, recordFile };
}

/** As many as a caller may have are few more: those of the test before are ended, or they would have to give way. */
const opened: { readonly gateway: Gateway; readonly id: string }[] = [];

afterEach(async () => {
  await Promise.all(
    opened.splice(0).map(({ gateway, id }) =>
      // Those that a test has ended are unknown, and so are gateways.
      http('DELETE', gateway.mcp, { ...asAlice, headers: { 'mcp-session-id': id } }).catch(() => undefined),
    ),
  );
});

async function openMany({ gateway }: Place, count: number = MANY): Promise<readonly OpenSession[]> {
  const sessions = await Promise.all(Array.from({ length: count }, () => openSession(gateway.mcp, asAlice)));
  opened.push(...sessions.map(({ id }) => ({ gateway, id })));
  return sessions;
}

const relayed = (gateway: Gateway): Promise<number> => scrape(gateway, 'mcp_guard_upstream_relayed_total{server="program"}');

/** How many messages with all of these marks the children have received. */
async function received({ recordFile }: Place, ...marks: readonly string[]): Promise<number> {
  const { messages } = await readRecord(recordFile);
  return messages.map((message) => JSON.stringify(message)).filter((text) => marks.every((mark) => text.includes(mark))).length;
}

/** Makes the server print lines while it works on a call. */
function says(id: string, ...messages: readonly object[]): Record<string, unknown> {
  const text = messages.map((message) => `${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`).join('');
  return toolCall('raw', { text }, id);
}

describe('a session with a child of its own, used from all workers', () => {
  let place: Place;

  beforeAll(async () => {
    place = await start({ audit: { enabled: true } });
  });

  it('is listened to at any worker: what its server says and asks arrives there, and answers from elsewhere come back', async () => {
    const { gateway } = place;
    const sessions = await openMany(place);
    const before = await relayed(gateway);
    const streams = await Promise.all(sessions.map(({ id }) => listen(gateway.mcp, alice.key, id)));
    expect(streams.map(({ status }) => status)).toEqual(streams.map(() => 200));
    for (const [n, session] of sessions.entries()) {
      const news = { method: 'notifications/resources/updated', params: { uri: `test://${n}` } };
      // Answers its own call first, so that what it asks then belongs to no request.
      const answer = { id: 2, result: { content: [] } };
      await session.post(says(`news-${n}`, news, answer, { id: `ask-${n}`, method: 'roots/list' }));
    }
    await Promise.all(streams.map((stream, n) => stream.awaits(`"ask-${n}"`)));
    for (const [n, stream] of streams.entries()) {
      expect(stream.messages().map((message) => message['id'] ?? message['params']?.['uri'])).toEqual([`test://${n}`, `ask-${n}`]);
      const answered = await sessions[n]?.post({ jsonrpc: '2.0', id: `ask-${n}`, result: { roots: [], mark: `answer-${n}-` } });
      expect(answered?.status).toBe(202);
      await waitUntil(async () => (await received(place, `answer-${n}-`)) === 1, { what: 'the answer at the child' });
    }
    expect((await relayed(gateway)) - before).toBeGreaterThan(MANY);
    for (const stream of streams) stream.leave();
  });

  it('streams what a server says during a call, and is asked in it', async () => {
    const { gateway } = place;
    for (const [n, { id }] of (await openMany(place)).entries()) {
      const log = { method: 'notifications/message', params: { level: 'info', data: `said-${n}` } };
      const stream = await rpcStream(gateway.mcp, says(`call-${n}`, log, { id: 5, method: 'roots/list' }), {
        ...asAlice,
        headers: { 'mcp-session-id': id },
      });
      const [said, asked] = await stream.awaitEvents(2);
      expect([said?.['params']?.['data'], asked?.['id']]).toEqual([`said-${n}`, 5]);
      expect(await stream.ended).toBe('complete');
      expect(stream.events().at(-1)?.['id']).toBe(`call-${n}`);
    }
  });

  it('shows the progress of a call', async () => {
    const { gateway } = place;
    for (const { id } of await openMany(place, 6)) {
      const call = toolCall('progress', { steps: 3 }, 'p', { progressToken: 'mine' });
      const stream = await rpcStream(gateway.mcp, call, { ...asAlice, headers: { 'mcp-session-id': id } });
      await stream.ended;
      const tokens = stream.events().map((event) => event['params']?.['progressToken'] ?? event['id']);
      expect(tokens).toEqual(['mine', 'mine', 'mine', 'p']);
    }
  });

  it('lets its client take a call back by way of any worker', async () => {
    for (const [n, session] of (await openMany(place)).entries()) {
      const call = session.post(toolCall('sleep', { ms: 20_000, mark: `sleep-${n}-` }, `long-${n}`));
      await waitUntil(async () => (await received(place, `sleep-${n}-`)) === 1, { what: 'the call at the child' });
      const params = { requestId: `long-${n}`, reason: `taken-back-${n}-` };
      expect((await session.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params })).status).toBe(202);
      const { status, body } = await call;
      expect([status, body.includes('"result"')]).toEqual([200, false]);
      const isTold = async (): Promise<boolean> => (await received(place, 'notifications/cancelled', `taken-back-${n}-`)) === 1;
      await waitUntil(isTold, { what: 'the child is told' });
    }
  });

  it('goes on when a client leaves in the middle of a call, and the place of that call is free again', async () => {
    const { gateway } = place;
    for (const [n, session] of (await openMany(place, 6)).entries()) {
      const stream = await rpcStream(gateway.mcp, toolCall('sleep', { ms: 300, mark: `left-${n}-` }, 'left'), {
        ...asAlice,
        headers: { 'mcp-session-id': session.id },
      });
      stream.leave();
      expect(toolText(await session.post(toolCall('echo', { n })))).toBe(JSON.stringify({ n }));
    }
    const isIdle = async (): Promise<boolean> => (await scrape(gateway, 'mcp_guard_upstream_in_flight{server="program"}')) === 0;
    await waitUntil(isIdle, { what: 'nothing is in progress' });
  });

  it('ends with a DELETE at any worker: its child is gone when that is answered, and its id is unknown everywhere', async () => {
    const { gateway } = place;
    for (const session of await openMany(place, 8)) {
      const { pid } = JSON.parse(toolText(await session.post(toolCall('whoami')))) as { pid: number };
      const ended = await http('DELETE', gateway.mcp, { ...asAlice, headers: { 'mcp-session-id': session.id } });
      expect([ended.status, isAlive(pid)]).toEqual([200, false]);
      const after = await Promise.all(Array.from({ length: 6 }, () => session.post(toolCall('echo'))));
      expect(after.map(({ status }) => status)).toEqual(after.map(() => 404));
    }
  });

  it('has one record for each call, wherever it was served', async () => {
    const { gateway } = place;
    const [session] = await openMany(place, 1);
    const ids = Array.from({ length: MANY }, (_, n) => `once-${n}`);
    for (const id of ids) await session?.post(toolCall('echo', { id }, id), { headers: { 'x-request-id': id } });
    const recorded = async (): Promise<unknown[]> =>
      (await gateway.auditLines())
        .filter((line) => line['event_type'] === 'tool_call' && String(line['request_id']).startsWith('once-'))
        .map((line) => line['request_id']);
    await waitUntil(async () => (await recorded()).length >= MANY, { what: 'a record of each call' });
    expect((await recorded()).sort()).toEqual([...ids].sort());
  });
});

async function parentOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}

/** Each worker learns for itself that another has ended: until then that one cannot be reached for the moment. */
async function statusesUntilUnknown(session: OpenSession): Promise<readonly number[]> {
  const statuses: number[] = [];
  const isUnknown = async (): Promise<boolean> => {
    const { status } = await session.post(toolCall('echo'));
    if (status !== 404) statuses.push(status);
    return status === 404;
  };
  await waitUntil(isUnknown, { what: 'the session is unknown' });
  return statuses;
}

describe('a worker that is killed', () => {
  it('takes its sessions along: 502 for what was under way, 404 from then on, and no harm to the others', async () => {
    const place = await start();
    const sessions = await openMany(place, 16);
    const homes = await Promise.all(
      sessions.map(async (session) => {
        const { pid } = JSON.parse(toolText(await session.post(toolCall('whoami')))) as { pid: number };
        return { session, pid, worker: await parentOf(pid) };
      }),
    );
    const [{ worker }] = homes as [(typeof homes)[0]];
    const [doomed, others] = [homes.filter((home) => home.worker === worker), homes.filter((home) => home.worker !== worker)];
    expect(others.length).toBeGreaterThan(0);
    const calls = doomed.flatMap(({ session }) => Array.from({ length: 4 }, (_, n) => session.post(toolCall('sleep', { ms: 20_000 }, n))));
    const outcomes = Promise.all(
      calls.map((call) =>
        call.then(
          ({ body }) => body,
          () => 'cut',
        ),
      ),
    );
    await waitUntil(async () => (await received(place, '20000')) === calls.length, { what: 'the calls at the children' });
    process.kill(worker, 'SIGKILL');
    // Those that came to the worker itself went down with it.
    for (const outcome of await outcomes) expect(outcome === 'cut' || outcome.includes('"code":-31502')).toBe(true);
    for (const { session } of doomed) {
      for (const status of await statusesUntilUnknown(session)) expect([502, 503]).toContain(status);
    }
    for (const { session } of others) expect((await session.post(toolCall('echo'))).status).toBe(200);
    await waitUntil(() => doomed.every(({ pid }) => !isAlive(pid)), { what: 'the end of its children' });
    for (const { session } of doomed) expect((await session.post(toolCall('echo'))).status).toBe(404);
    const [again] = await openMany(place, 1);
    expect((await again?.post(toolCall('echo')))?.status).toBe(200);
  });
});

describe('sessions of one caller in all workers together', () => {
  it('are 16: with the next one the longest unused ends, and its child, wherever it is', async () => {
    const place = await start();
    const sessions: OpenSession[] = [];
    for (let n = 0; n < 20; n++) sessions.push(...(await openMany(place, 1)));
    const { pids } = await readRecord(place.recordFile);
    // Beside those of sessions each worker has one for what comes without a session.
    await waitUntil(() => pids.filter(isAlive).length <= 16 + 4, { what: 'the end of those that gave way' });
    const statuses: number[] = [];
    for (const session of sessions) statuses.push((await session.post(toolCall('echo'))).status);
    expect(statuses.filter((status) => status === 200).length).toBeLessThanOrEqual(16);
    // Which of two came first workers tell by clocks of their own: those of the second half are none of the longest unused in any case.
    expect([statuses.slice(0, 10).filter((status) => status === 404).length >= 4, statuses.slice(10)]).toEqual([true, Array(10).fill(200)]);
  });

  it('are refused while all of them are in use, and not for ever', async () => {
    const place = await start();
    const streams = await Promise.all((await openMany(place, 16)).map(({ id }) => listen(place.gateway.mcp, alice.key, id)));
    const refused = await rpc(place.gateway.mcp, initialize(), asAlice);
    expect([refused.status, refused.json['error']]).toMatchObject([503, { data: { reason: 'upstream_busy' } }]);
    for (const stream of streams) stream.leave();
    const opens = async (): Promise<boolean> => (await rpc(place.gateway.mcp, initialize(), asAlice)).status === 200;
    await waitUntil(opens, { what: 'room for another' });
  });
});
