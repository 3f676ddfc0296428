import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Gateway,
  type HttpUpstream,
  keyEntry,
  makeKey,
  rpc,
  sleep,
  startGateway,
  startHttpUpstream,
  toolCall,
  toolText,
  waitUntil,
} from './harness.ts';
import { type SessionUpstream, startSessionUpstream } from './session-upstream.ts';
import { openSession } from './sessions.ts';

const key = makeKey();
const servers = new Map<string, SessionUpstream>();
let gateway: Gateway;

beforeAll(async () => {
  for (const name of ['a', 'b']) servers.set(name, await startSessionUpstream());
  gateway = await startGateway({
    config: {
      auth: { api_keys: [keyEntry('tester', key, { denied_tools: ['b:echo'] })] },
      upstream: {
        servers: ['a', 'b'].map((name) => ({ name, url: servers.get(name)?.url, allow_private_networks: true })),
        aggregate: { enabled: true },
      },
    },
  });
});

const calls = (name: string): number => servers.get(name)?.of('tools/call').length ?? 0;

describe('sessions and virtual servers', () => {
  it('row 235: a session of one server is none at a virtual one, so nothing decided for one server is sent to another', async () => {
    const session = await openSession(`${gateway.mcp}/a`, { key: key.key });
    expect((await session.post(toolCall('echo'))).status).toBe(200);
    const before = [calls('a'), calls('b')];
    for (const tool of ['a__echo', 'b__read_file', 'b__echo', 'echo']) {
      const answer = await rpc(gateway.mcp, toolCall(tool), { key: key.key, headers: { 'mcp-session-id': session.id } });
      expect([tool, answer.status]).toEqual([tool, 404]);
    }
    expect([calls('a'), calls('b')]).toEqual(before);
  });

  it('row 235: without a session a virtual server goes to its servers in those of the gateway', async () => {
    expect(toolText(await rpc(gateway.mcp, toolCall('b__read_file'), { key: key.key }))).toContain('read_file');
    expect((await rpc(gateway.mcp, toolCall('b__echo'), { key: key.key })).status).toBe(403);
    const used = servers.get('b')?.of('tools/call').at(-1)?.headers['mcp-session-id'];
    expect(servers.get('b')?.sessionsOf('mcp-guard')).toContain(used);
  });
});

describe('a call by way of a virtual server that its client takes back', () => {
  it('ends at the member that has it, and no call of the same id at another member', async () => {
    const held = new Map<string, HttpUpstream>();
    for (const name of ['a', 'b']) {
      held.set(
        name,
        await startHttpUpstream({ answer: ({ message }) => (message['method'] === 'tools/call' ? { isSilent: true } : undefined) }),
      );
    }
    const place = await startGateway({
      config: {
        auth: { api_keys: [keyEntry('tester', key)] },
        upstream: {
          servers: ['a', 'b'].map((name) => ({ name, url: held.get(name)?.url, allow_private_networks: true })),
          aggregate: { enabled: true },
        },
      },
    });
    const quit = new AbortController();
    const merged = rpc(place.mcp, toolCall('a__echo', {}, 7), { key: key.key });
    const direct = rpc(`${place.mcp}/b`, toolCall('echo', {}, 7), { key: key.key, signal: quit.signal }).catch(() => 'left');
    const arrived = (name: string): number => held.get(name)?.of('tools/call').length ?? 0;
    await waitUntil(() => arrived('a') === 1 && arrived('b') === 1, { what: 'both calls' });
    const cancelled = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 7 } };
    expect((await rpc(place.mcp, cancelled, { key: key.key })).status).toBe(202);
    expect(await merged).toMatchObject({ status: 200, body: '' });
    await waitUntil(() => held.get('a')?.of('notifications/cancelled').length === 1, { what: 'the member to be told' });
    expect(await Promise.race([direct, sleep(300).then(() => 'under way')])).toBe('under way');
    expect(held.get('b')?.of('notifications/cancelled')).toEqual([]);
    quit.abort();
    expect(await direct).toBe('left');
  });

  it('is not ended by one of another caller, nor by one for which it is not certain which call is meant', async () => {
    const silent = await startHttpUpstream({
      answer: ({ message }) => (message['method'] === 'tools/call' ? { isSilent: true } : undefined),
    });
    const stranger = makeKey();
    const place = await startGateway({
      config: {
        auth: { api_keys: [keyEntry('tester', key), keyEntry('stranger', stranger)] },
        upstream: {
          servers: ['a', 'b'].map((name) => ({ name, url: silent.url, allow_private_networks: true, timeout_secs: 2 })),
          aggregate: { enabled: true },
        },
      },
    });
    const cancelled = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 7 } };
    const calls = ['a__echo', 'b__echo'].map(async (tool) => await rpc(place.mcp, toolCall(tool, {}, 7), { key: key.key }));
    await waitUntil(() => silent.of('tools/call').length === 2, { what: 'both calls' });
    await rpc(place.mcp, cancelled, { key: stranger.key });
    await rpc(place.mcp, cancelled, { key: key.key });
    expect((await Promise.all(calls)).map(({ status }) => status)).toEqual([504, 504]);
  });
});
