import { beforeAll, describe, expect, it } from 'vitest';
import {
  isAlive,
  keyEntry,
  makeKey,
  readRecord,
  rpc,
  rpcStream,
  startGateway,
  stdioUpstream,
  tempDir,
  toolCall,
  toolText,
} from './harness.ts';
import { waitUntil, type Gateway, type HttpAnswer } from './harness.ts';
import { openSession, type OpenSession } from './sessions.ts';

const alice = makeKey();
const bob = makeKey();
const asAlice = { key: alice.key };
let gateway: Gateway;
let recordFile: string;

async function start(workers: number): Promise<void> {
  recordFile = `${await tempDir()}/record`;
  gateway = await startGateway({
    config: {
      server: { workers },
      auth: { api_keys: [keyEntry('alice', alice), keyEntry('bob', bob)] },
      rate_limit: { enabled: false },
      upstream: { ...stdioUpstream({ recordFile }), isolation: 'session' },
    },
  });
}

/** The process that serves it. */
async function pidOf(call: Promise<HttpAnswer>): Promise<number> {
  return (JSON.parse(toolText(await call)) as { pid: number }).pid;
}

async function whoami(session: OpenSession): Promise<number> {
  return await pidOf(session.post(toolCall('whoami')));
}

/** Makes the server of a session print this line while it works on a call. */
function says(message: object): Record<string, unknown> {
  return toolCall('raw', { text: `${JSON.stringify({ jsonrpc: '2.0', ...message })}\n` }, 'call');
}

async function received(method: string | undefined, mark: string): Promise<number> {
  const { messages } = await readRecord(recordFile);
  return messages.filter((message) => message['method'] === method && JSON.stringify(message).includes(mark)).length;
}

// With several workers nearly every request comes to one that does not hold the session.
describe.each([1, 4])('a session with a stdio server, isolated, with %i workers', (workers) => {
  beforeAll(async () => await start(workers));

  it('has a child of its own, and calls without a session share another', async () => {
    const [one, two] = [await openSession(gateway.mcp, asAlice), await openSession(gateway.mcp, asAlice)];
    const pids = [await whoami(one), await whoami(two), await whoami(one), await pidOf(rpc(gateway.mcp, toolCall('whoami'), asAlice))];
    expect(new Set(pids).size).toBe(3);
    expect(pids[0]).toBe(pids[2]);
  });

  it('introduces the client itself, with what it can be asked', async () => {
    await openSession(gateway.mcp, { ...asAlice, client: 'itself', capabilities: { roots: {}, experimental: { x: {} } } });
    const { messages } = await readRecord(recordFile);
    const sent = messages.find((message) => JSON.stringify(message).includes('"itself"'));
    expect(sent?.['params']).toMatchObject({ capabilities: { roots: {} }, clientInfo: { name: 'itself' } });
  });

  it('is unknown to another principal: neither calls nor answers of theirs get through', async () => {
    const session = await openSession(gateway.mcp, asAlice);
    const stolen = { key: bob.key, headers: { 'mcp-session-id': session.id } };
    expect((await rpc(gateway.mcp, toolCall('echo', { mark: 'stolen call' }), stolen)).status).toBe(404);
    expect((await rpc(gateway.mcp, { jsonrpc: '2.0', id: 7, result: { mark: 'stolen answer' } }, stolen)).status).toBe(404);
    expect([await received('tools/call', 'stolen'), await received(undefined, 'stolen')]).toEqual([0, 0]);
  });

  it('lets its server ask its client in the stream of the call, and nobody else; the answer comes back to it', async () => {
    const [asked, other] = [await openSession(gateway.mcp, asAlice), await openSession(gateway.mcp, asAlice)];
    const idle = await rpcStream(gateway.mcp, toolCall('sleep', { ms: 600 }, 'idle'), {
      ...asAlice,
      headers: { 'mcp-session-id': other.id },
    });
    const question = { id: 7, method: 'roots/list', params: { _meta: { mark: 'to its client' } } };
    const stream = await rpcStream(gateway.mcp, says(question), { ...asAlice, headers: { 'mcp-session-id': asked.id } });
    const [event] = await stream.awaitEvents(1);
    expect(event).toEqual({ jsonrpc: '2.0', ...question });
    expect((await asked.post({ jsonrpc: '2.0', id: 7, result: { roots: [], _meta: { mark: 'an answer' } } })).status).toBe(202);
    await waitUntil(async () => (await received(undefined, 'an answer')) === 1, { what: 'the answer at the server' });
    await idle.ended;
    expect(idle.events().map((one) => one['id'])).toEqual(['idle']);
  });

  it('answers its server at once when there is nobody to be asked', async () => {
    const session = await openSession(gateway.mcp, asAlice);
    const line = `${JSON.stringify({ jsonrpc: '2.0', id: 'late', method: 'roots/list' })}\n`;
    // Printed when the answer is on its way already.
    await session.post(toolCall('raw', { text: `{"jsonrpc":"2.0","id":2,"result":{"content":[]}}\n${line}` }, 'call'));
    await waitUntil(async () => (await received(undefined, '"late"')) === 1, { what: 'an error for the server' });
  });

  it('is over when its child dies: an error for what was under way, 404 from then on, and nothing for others', async () => {
    const [one, other] = [await openSession(gateway.mcp, asAlice), await openSession(gateway.mcp, asAlice)];
    const pid = await whoami(one);
    const waiting = one.post(toolCall('sleep', { ms: 5000 }, 'w'));
    await waitUntil(async () => (await received('tools/call', '5000')) === 1, { what: 'the call at the child' });
    const crashed = await one.post(toolCall('crash', {}, 'c'));
    for (const { body } of [crashed, await waiting]) expect(body).toContain('"code":-31502');
    expect((await one.post(toolCall('echo'))).status).toBe(404);
    expect([isAlive(pid), (await other.post(toolCall('echo'))).status]).toEqual([false, 200]);
  });

  it('keeps apart requests of one client that bear the same id', async () => {
    const session = await openSession(gateway.mcp, asAlice);
    const calls = [1, 2, 3].map((n) => session.post(toolCall('echo', { n, delayMs: 100 - n * 20 }, 'same')));
    expect((await Promise.all(calls)).map(toolText)).toEqual([1, 2, 3].map((n) => JSON.stringify({ n, delayMs: 100 - n * 20 })));
  });
});
