import { beforeAll, describe, expect, it } from 'vitest';
import { type Gateway, keyEntry, makeKey, rpc, startGateway, toolCall, toolText } from './harness.ts';
import { type SessionUpstream, startSessionUpstream } from './session-upstream.ts';
import { initialize, openSession } from './sessions.ts';

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

  it('row 235: a virtual server gives out no session, and goes to its servers in those of the gateway', async () => {
    const answer = await rpc(gateway.mcp, initialize(), { key: key.key });
    expect([answer.status, answer.headers['mcp-session-id']]).toEqual([200, undefined]);
    expect(toolText(await rpc(gateway.mcp, toolCall('b__read_file'), { key: key.key }))).toContain('read_file');
    expect((await rpc(gateway.mcp, toolCall('b__echo'), { key: key.key })).status).toBe(403);
    const used = servers.get('b')?.of('tools/call').at(-1)?.headers['mcp-session-id'];
    expect(servers.get('b')?.sessionsOf('mcp-guard')).toContain(used);
  });
});
