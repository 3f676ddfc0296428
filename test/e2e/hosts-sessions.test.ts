import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../listener/support.ts';
import {
  http,
  isAlive,
  makeKey,
  readRecord,
  rpc,
  rpcRequest,
  rpcStream,
  scrape,
  sseData,
  toolCall,
  toolText,
  waitUntil,
} from './harness.ts';
import { initialize, listen, openSession, type OpenSession, sessionAt } from './sessions.ts';
import { startHosts, type TwoHosts } from './two-hosts.ts';
import { childrenOf, residentBytes } from './worker-processes.ts';

const alice = makeKey();
const bob = makeKey();
const keys = { alice, bob };
const asAlice = { key: alice.key };
/** So many that hardly any chance leaves all of them with one worker. */
const MANY = 6;

/** Sessions whose children are with the far host, as their client sees them at the near one. */
async function openFar({ near, far }: TwoHosts, count: number = MANY, revision = '2025-11-25'): Promise<readonly OpenSession[]> {
  const options = { ...asAlice, revision };
  const sessions = await Promise.all(Array.from({ length: count }, () => openSession(far.gateway.mcp, options)));
  return sessions.map((session) => sessionAt(near.gateway.mcp, session, options));
}

/** How many messages with all of these marks the children have received. */
async function received({ recordFile }: TwoHosts, ...marks: readonly string[]): Promise<number> {
  const { messages } = await readRecord(recordFile);
  return messages.map((message) => JSON.stringify(message)).filter((text) => marks.every((mark) => text.includes(mark))).length;
}

/** Makes the server print lines while it works on a call. */
function says(id: string, ...messages: readonly object[]): Record<string, unknown> {
  const text = messages.map((message) => `${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`).join('');
  return toolCall('raw', { text }, id);
}

async function childOf(session: OpenSession): Promise<number> {
  return (JSON.parse(toolText(await session.post(toolCall('whoami')))) as { pid: number }).pid;
}

describe('a session whose child is with one host, used from another', () => {
  let place: TwoHosts;

  beforeAll(async () => {
    place = await startHosts({ keys });
  });

  it('is called, and streams what its server says and asks during the call; the answer goes back', async () => {
    for (const [n, session] of (await openFar(place)).entries()) {
      expect(toolText(await session.post(toolCall('echo', { n })))).toBe(JSON.stringify({ n }));
      const log = { method: 'notifications/message', params: { level: 'info', data: `said-${n}` } };
      const stream = await rpcStream(place.near.gateway.mcp, says(`call-${n}`, log, { id: 5, method: 'roots/list' }), {
        ...asAlice,
        headers: session.headers,
      });
      const events = await stream.awaitEvents(3);
      expect(events.slice(0, 2).map((event) => event['params']?.['data'] ?? event['id'])).toEqual([`said-${n}`, 5]);
      expect((await session.post({ jsonrpc: '2.0', id: 5, result: { roots: [], mark: `answer-${n}-` } })).status).toBe(202);
      await waitUntil(async () => (await received(place, `answer-${n}-`)) === 1, { what: 'the answer at the child' });
      expect(await stream.ended).toBe('complete');
    }
    expect(await scrape(place.near.gateway, 'mcp_guard_peer_requests_total{result="sent"}')).toBeGreaterThan(2 * MANY);
    expect(await scrape(place.near.gateway, 'mcp_guard_peer_connections{direction="out"}')).toBeGreaterThan(0);
    expect(await scrape(place.far.gateway, 'mcp_guard_peer_connections{direction="in"}')).toBeGreaterThan(0);
  });

  it('is listened to, and its stream is resumed behind any event by way of either host', async () => {
    const { near, far } = place;
    const [session] = (await openFar(place, 1)) as [OpenSession];
    const stream = await listen(near.gateway.mcp, alice.key, session.id);
    expect(stream.status).toBe(200);
    const news = (n: number): object => ({ method: 'notifications/resources/updated', params: { uri: `test://${n}` } });
    await session.post(says('first', news(1)));
    await stream.awaits('test://1');
    const [lastId] = [...stream.text().matchAll(/^id: (.+)$/gm)].map((match) => match[1] ?? '').slice(-1);
    stream.leave();
    await session.post(says('second', news(2)));
    for (const { gateway } of [near, far]) {
      const resumed = await listen(gateway.mcp, alice.key, session.id, { 'last-event-id': lastId ?? '' });
      await resumed.awaits('test://2');
      expect(resumed.text()).not.toContain('test://1');
      resumed.leave();
    }
  });

  it('shows progress, and takes a call back that came by way of the other host', async () => {
    const [session] = (await openFar(place, 1)) as [OpenSession];
    const stream = await rpcStream(place.near.gateway.mcp, toolCall('progress', { steps: 3 }, 'p', { progressToken: 'mine' }), {
      ...asAlice,
      headers: session.headers,
    });
    await stream.ended;
    expect(stream.events().map((event) => event['params']?.['progressToken'] ?? event['id'])).toEqual(['mine', 'mine', 'mine', 'p']);
    const ways = [place.far.gateway, place.near.gateway].map(({ mcp }) => sessionAt(mcp, session, asAlice));
    for (const [n, way] of ways.entries()) {
      const call = session.post(toolCall('sleep', { ms: 20_000, mark: `sleep-${n}-` }, `long-${n}`));
      await waitUntil(async () => (await received(place, `sleep-${n}-`)) === 1, { what: 'the call at the child' });
      const params = { requestId: `long-${n}`, reason: `taken-back-${n}-` };
      expect((await way.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params })).status).toBe(202);
      expect((await call).body).not.toContain('"result"');
    }
  });

  it('takes batches of revision 2025-03-26', async () => {
    const [session] = (await openFar(place, 1, '2025-03-26')) as [OpenSession];
    const { status, body } = await session.post([
      toolCall('echo', { n: 1 }, 1),
      rpcRequest('ping', {}, 'p'),
      toolCall('echo', { n: 2 }, 2),
    ]);
    expect(status).toBe(200);
    const ids = sseData(body).flatMap((data) => JSON.parse(data) as { id: unknown } | { id: unknown }[]);
    expect(new Set(ids.map(({ id }) => id))).toEqual(new Set([1, 2, 'p']));
  });

  it('carries large messages whole, both ways', async () => {
    const [session] = (await openFar(place, 1)) as [OpenSession];
    const text = 'x'.repeat(900_000);
    expect(toolText(await session.post(toolCall('echo', { text })))).toBe(JSON.stringify({ text }));
  });

  it('ends with a DELETE at either: its child is gone, and its id is unknown at both', async () => {
    const { near, far } = place;
    for (const [n, session] of (await openFar(place, 4)).entries()) {
      const pid = await childOf(session);
      const { gateway } = n % 2 === 0 ? near : far;
      const ended = await http('DELETE', gateway.mcp, { ...asAlice, headers: session.headers });
      expect([ended.status, isAlive(pid)]).toEqual([200, false]);
      for (const one of [near, far]) expect((await sessionAt(one.gateway.mcp, session, asAlice).post(toolCall('echo'))).status).toBe(404);
    }
  });

  it("is nobody else's: another caller gets 404 at either host, and nothing reaches the child", async () => {
    const [session] = (await openFar(place, 1)) as [OpenSession];
    for (const { gateway } of [place.near, place.far]) {
      const asBob = { key: bob.key, headers: session.headers };
      expect((await rpc(gateway.mcp, toolCall('echo', { mark: 'of-bob' }), asBob)).status).toBe(404);
      expect((await listen(gateway.mcp, bob.key, session.id)).status).toBe(404);
      expect((await http('DELETE', gateway.mcp, asBob)).status).toBe(404);
    }
    expect(await received(place, 'of-bob')).toBe(0);
    expect((await session.post(toolCall('echo'))).status).toBe(200);
  });
});

describe('hosts of one event loop each', () => {
  it.each([0, 1])('relay sessions to each other with server.workers = %i', async (workers) => {
    const place = await startHosts({ keys, workers });
    for (const [n, session] of (await openFar(place, 2)).entries()) {
      expect(toolText(await session.post(toolCall('echo', { n })))).toBe(JSON.stringify({ n }));
    }
    await place.far.gateway.stop();
    expect((await (await openSession(place.near.gateway.mcp, asAlice)).post(toolCall('echo'))).status).toBe(200);
  });

  it('do not start where another program listens at their address, and say which', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const address = `127.0.0.1:${(taken.address() as AddressInfo).port}`;
    await expect(startHosts({ keys, farServer: { advertise_address: address } })).rejects.toThrow(
      `cannot listen for other hosts at ${address} (EADDRINUSE): check server.peer_listen`,
    );
    taken.close();
  });
});

describe('a host that ends', () => {
  it('by kill -9, takes its sessions along: 502 for what was under way, 404 at once from then on, and clients begin anew', async () => {
    const place = await startHosts({ keys });
    const sessions = await openFar(place);
    const own = await openSession(place.near.gateway.mcp, asAlice);
    const calls = sessions.map((session, n) => session.post(toolCall('sleep', { ms: 20_000, mark: 'under-way' }, n)));
    await waitUntil(async () => (await received(place, 'under-way')) === calls.length, { what: 'the calls at the children' });
    await place.far.gateway.stop('SIGKILL');
    for (const { body } of await Promise.all(calls)) expect(body).toContain('"code":-31502');
    for (const session of sessions) {
      const startMs = performance.now();
      expect((await session.post(toolCall('echo'))).status).toBe(404);
      expect(performance.now() - startMs).toBeLessThan(2000);
    }
    expect((await own.post(toolCall('echo'))).status).toBe(200);
    expect((await (await openSession(place.near.gateway.mcp, asAlice)).post(toolCall('echo'))).status).toBe(200);
    // The same host again, at the same address: what it held is gone, and what begins there is relayed to.
    await place.far.restart();
    for (const session of sessions) expect((await session.post(toolCall('echo'))).status).toBe(404);
    const answered = async (): Promise<boolean> => {
      const [session] = (await openFar(place, 1)) as [OpenSession];
      return (await session.post(toolCall('echo'))).status === 200;
    };
    await waitUntil(answered, { what: 'a session of the new host' });
  });

  it('in order, lets the calls that came by way of others end; no new ones are begun, and sessions of others live on', async () => {
    const place = await startHosts({ keys, farServer: { drain_timeout_secs: 8 } });
    const [session, idle] = (await openFar(place, 2)) as [OpenSession, OpenSession];
    const own = await openSession(place.near.gateway.mcp, asAlice);
    expect((await idle.post(toolCall('echo'))).status).toBe(200);
    const call = session.post(toolCall('sleep', { ms: 1500, mark: 'last-call' }, 'last'));
    await waitUntil(async () => (await received(place, 'last-call')) === 1, { what: 'the call at the child' });
    const ended = place.far.gateway.stop();
    await waitUntil(async () => (await idle.post(toolCall('echo'))).status === 404, { what: 'the end of new calls' });
    expect((await call).body).toContain('"id":"last"');
    expect(await ended).toMatchObject({ code: 0 });
    expect((await own.post(toolCall('echo'))).status).toBe(200);
  });
});

describe('an address that a client would like to be called', () => {
  it('is never called: neither from an id that it changed, nor from one that was sealed with other keys', async () => {
    const calls: Socket[] = [];
    const attacker = createServer((socket) => calls.push(socket.on('error', () => undefined)));
    await new Promise<void>((resolve) => attacker.listen(0, '127.0.0.1', resolve));
    const address = `127.0.0.1:${(attacker.address() as AddressInfo).port}`;
    // A gateway of the attacker's own seals an id that names his address; nobody else has to listen there.
    const elsewhere = await freePort();
    const [victim, own] = await Promise.all([
      startHosts({ keys }),
      startHosts({ keys, farServer: { advertise_address: address, peer_listen: `127.0.0.3:${elsewhere}` } }),
    ]);
    const { id } = await openSession(own.far.gateway.mcp, asAlice);
    const real = (await openSession(victim.far.gateway.mcp, asAlice)).id;
    const changed = Array.from({ length: 40 }, (_, n) => {
      const at = Math.floor((real.length * n) / 40);
      return real.slice(0, at) + (real[at] === 'A' ? 'B' : 'A') + real.slice(at + 1);
    });
    const named = Buffer.from(address).toString('base64url');
    for (const forged of [id, ...changed, named, `${real}${named}`, address, `http://${address}/`]) {
      const answer = await rpc(victim.near.gateway.mcp, toolCall('echo'), { ...asAlice, headers: { 'mcp-session-id': forged } });
      expect(answer.status).toBe(404);
    }
    // His own other gateway has the keys, and calls: so an id that is believed would have led there.
    await rpc(own.near.gateway.mcp, toolCall('echo'), { ...asAlice, headers: { 'mcp-session-id': id } });
    expect(calls.length).toBe(1);
    attacker.close();
    for (const socket of calls) socket.destroy();
  });
});

describe('a host that is frozen', () => {
  it('is given up: 502 for what was under way, then 404, and at once for as long as it was out of reach a moment ago', {
    timeout: 60_000,
  }, async () => {
    const place = await startHosts({ keys });
    const [session, other] = (await openFar(place, 2)) as [OpenSession, OpenSession];
    const call = session.post(toolCall('sleep', { ms: 50_000, mark: 'frozen' }, 1));
    await waitUntil(async () => (await received(place, 'frozen')) === 1, { what: 'the call at the child' });
    process.kill(-place.far.gateway.pid, 'SIGSTOP');
    const startMs = performance.now();
    expect((await call).body).toContain('"code":-31502');
    expect(performance.now() - startMs).toBeLessThan(20_000);
    expect((await other.post(toolCall('echo'))).status).toBe(404);
    const againMs = performance.now();
    expect((await session.post(toolCall('echo'))).status).toBe(404);
    expect(performance.now() - againMs).toBeLessThan(4500);
    expect((await (await openSession(place.near.gateway.mcp, asAlice)).post(toolCall('echo'))).status).toBe(200);
    process.kill(-place.far.gateway.pid, 'SIGCONT');
  });
});

describe('a client that does not read', () => {
  it('fills neither its host nor the one that holds its session', { timeout: 60_000 }, async () => {
    const place = await startHosts({ keys, workers: 1 });
    const [session] = (await openFar(place, 1)) as [OpenSession];
    const stream = await rpcStream(
      place.near.gateway.mcp,
      says('fills', { method: 'notifications/message', params: { level: 'info', data: 'x' } }),
      {
        ...asAlice,
        headers: session.headers,
        isPaused: true,
      },
    );
    const workers = (await Promise.all([place.near, place.far].map(({ gateway }) => childrenOf(gateway.pid)))).map(([pid]) => pid ?? 0);
    const before = await Promise.all(workers.map(residentBytes));
    const standing = await new Promise<Socket>((resolve) => {
      const socket = connect(place.near.gateway.port, '127.0.0.1', () => resolve(socket));
      socket.on('error', () => undefined);
    });
    standing.pause();
    const head = { host: '127.0.0.1', authorization: `Bearer ${alice.key}`, accept: 'text/event-stream', 'mcp-session-id': session.id };
    standing.write(
      `GET /mcp HTTP/1.1\r\n${Object.entries(head)
        .map(([name, value]) => `${name}: ${value}\r\n`)
        .join('')}\r\n`,
    );
    const news = { method: 'notifications/resources/updated', params: { uri: `test://${'x'.repeat(400_000)}` } };
    for (let n = 0; n < 300; n++) expect((await session.post(says(`fill-${n}`, news))).status).toBe(200);
    const after = await Promise.all(workers.map(residentBytes));
    // 120 MB were said; what is kept of them for a client that comes back is 10 MiB.
    for (const [n, bytes] of after.entries()) expect(bytes - (before[n] ?? 0)).toBeLessThan(90 * 1_048_576);
    expect((await session.post(toolCall('echo'))).status).toBe(200);
    standing.destroy();
    stream.leave();
  });
});

describe('hosts that do not know the same secret', () => {
  it('relay nothing: 404, and the one that was called says so', async () => {
    const place = await startHosts({ keys, farServer: { peer_secret: 'another secret of more than forty-three characters' } });
    const sessions = await openFar(place, 2);
    for (const session of sessions) expect((await session.post(toolCall('echo', { mark: 'relayed' }))).status).toBe(404);
    expect(await received(place, 'relayed')).toBe(0);
    expect(await scrape(place.far.gateway, 'mcp_guard_peer_refused_total')).toBeGreaterThan(0);
    expect(await scrape(place.near.gateway, 'mcp_guard_peer_requests_total{result="unreachable"}')).toBeGreaterThan(0);
    expect(place.far.gateway.stderr()).toContain('another host: refused');
    expect((await rpc(place.near.gateway.mcp, initialize(), asAlice)).status).toBe(200);
  });
});
