import { beforeAll, describe, expect, it } from 'vitest';
import { freshConnections, freshPost } from './fresh-connections.ts';
import { http, keyEntry, makeKey, seriesValue, startGateway, stdioUpstream, toolCall, type Gateway } from './harness.ts';
import { startSessionUpstream } from './session-upstream.ts';
import { openSession } from './sessions.ts';

const REQUESTS = 10_000;
const SESSIONS = 12;
const alice = makeKey();
let gateway: Gateway;

beforeAll(async () => {
  const remote = await startSessionUpstream();
  const servers = [
    { name: 'program', ...stdioUpstream(), isolation: 'session' },
    { name: 'remote', transport: 'http', url: remote.url, allow_private_networks: true },
  ];
  gateway = await startGateway({
    config: {
      server: { workers: 4, admin: { port: 0 } },
      auth: { api_keys: [keyEntry('alice', alice)] },
      rate_limit: { enabled: false },
      upstream: { servers },
    },
  });
});

/** How many requests came to workers that held nothing of the session, and how many there were. */
async function elsewhere(server: string): Promise<{ readonly elsewhere: number; readonly all: number; readonly relayed: number }> {
  const { body } = await http('GET', `${gateway.adminUrl}/metrics`);
  const began = (where: string): number => seriesValue(body, `mcp_guard_session_requests_total{server="${server}",began="${where}"}`);
  const relayed = seriesValue(body, `mcp_guard_upstream_relayed_total{server="${server}"}`);
  return { elsewhere: began('elsewhere'), all: began('elsewhere') + began('here'), relayed };
}

describe.each(['program', 'remote'])('sessions with the server "%s"', (server) => {
  it('row 231: every request of a session on a new connection, 4 workers: all succeed, wherever the session began', {
    timeout: 120_000,
  }, async () => {
    const open = Array.from({ length: SESSIONS }, () => openSession(`${gateway.mcp}/${server}`, { key: alice.key }));
    const ids = (await Promise.all(open)).map(({ id }) => id);
    const before = await elsewhere(server);
    const failed = await freshConnections({
      port: gateway.port,
      requests: REQUESTS,
      lanes: 24,
      request: (index) =>
        freshPost(
          `/mcp/${server}`,
          { authorization: `Bearer ${alice.key}`, 'mcp-session-id': ids[index % SESSIONS] ?? '' },
          toolCall('echo', { mark: `mark-${index}-` }, index),
        ),
      answer: (index) => `mark-${index}-`,
    });
    expect(failed.slice(0, 3)).toEqual([]);
    const after = await elsewhere(server);
    expect(after.all - before.all).toBe(REQUESTS);
    expect((after.elsewhere - before.elsewhere) / REQUESTS).toBeGreaterThanOrEqual(0.3);
    // What only one worker can serve was relayed to it; what any can reach was not.
    expect(after.relayed - before.relayed).toBe(server === 'program' ? after.elsewhere - before.elsewhere : 0);
  });
});
