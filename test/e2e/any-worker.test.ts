import { beforeAll, describe, expect, it } from 'vitest';
import { startNginxInTurn } from '../listener/hostile/front.ts';
import { freePort } from '../listener/support.ts';
import { freshConnections, freshPost } from './fresh-connections.ts';
import {
  http,
  keyEntry,
  makeKey,
  seriesValue,
  startGateway,
  stdioUpstream,
  toolCall,
  type Gateway,
  rpc,
  rpcRequest,
  waitUntil,
} from './harness.ts';
import { beginEpochsLongAgo, startRedis } from './redis.ts';
import { startSessionUpstream, type SessionUpstream } from './session-upstream.ts';
import { openSession } from './sessions.ts';

const REQUESTS = 10_000;
/** Odd: of two hosts that are asked in turn, each is asked for every session. */
const SESSIONS = 13;
/** Of all requests, at least so many come to workers that hold nothing of the session. */
const SHARE = 0.3;
const timeout = 120_000;
const alice = makeKey();
let remote: SessionUpstream;

beforeAll(async () => {
  remote = await startSessionUpstream();
});

async function start(workers: number, more: object, ofServer: object = {}): Promise<Gateway> {
  const servers = [
    { name: 'program', ...stdioUpstream(), isolation: 'session' },
    { name: 'remote', transport: 'http', url: remote.url, allow_private_networks: true },
  ];
  const api_keys = [keyEntry('alice', alice, { rate_limit: 100_000, burst: 100_000 })];
  return await startGateway({
    config: { server: { workers, admin: { port: 0 }, ...ofServer }, auth: { api_keys }, upstream: { servers }, ...more },
  });
}

/** Opens sessions, and calls in each of them in turn. @returns the calls that failed */
async function call(port: number, server: string): Promise<readonly string[]> {
  const url = `http://127.0.0.1:${port}/mcp/${server}`;
  const open = await Promise.all(Array.from({ length: SESSIONS }, () => openSession(url, { key: alice.key })));
  const headersOf = (index: number): Record<string, string> => ({
    authorization: `Bearer ${alice.key}`,
    'mcp-session-id': open[index % SESSIONS]?.id ?? '',
  });
  return await freshConnections({
    port,
    requests: REQUESTS,
    lanes: 24,
    request: (index) => freshPost(`/mcp/${server}`, headersOf(index), toolCall('echo', { mark: `mark-${index}-` }, index)),
    answer: (index) => `mark-${index}-`,
  });
}

/** A cold process takes longer than anybody may wait for Redis: its first requests may find no tokens. */
async function warmUp({ url }: Gateway, server: string): Promise<void> {
  const ping = async (): Promise<number> => (await rpc(`${url}/mcp/${server}`, rpcRequest('ping'), { key: alice.key })).status;
  const areServed = async (): Promise<boolean> => (await Promise.all(Array.from({ length: 16 }, ping))).every((status) => status === 200);
  for (let times = 0; times < 5; times++) await waitUntil(areServed, { what: 'tokens', timeoutMs: 20_000 });
}

interface Uses {
  readonly all: number;
  /** Came to workers that held nothing of the session. */
  readonly elsewhere: number;
  readonly relayed: number;
  readonly betweenHosts: number;
}

async function usesOf(gateway: Gateway, server: string): Promise<Uses> {
  const { body } = await http('GET', `${gateway.adminUrl}/metrics`);
  const began = (where: string): number => seriesValue(body, `mcp_guard_session_requests_total{server="${server}",began="${where}"}`);
  const relayed = seriesValue(body, `mcp_guard_upstream_relayed_total{server="${server}"}`);
  const betweenHosts = body.includes('mcp_guard_peer_requests_total')
    ? seriesValue(body, 'mcp_guard_peer_requests_total{result="sent"}')
    : 0;
  return { betweenHosts, elsewhere: began('elsewhere'), all: began('elsewhere') + began('here'), relayed };
}

describe('every request of a session on a new connection', () => {
  it.each(['program', 'remote'])(
    'row 231: 4 workers, the server "%s": all succeed, wherever the session began',
    { timeout },
    async (server) => {
      const gateway = await start(4, { rate_limit: { enabled: false } });
      expect((await call(gateway.port, server)).slice(0, 3)).toEqual([]);
      const { all, elsewhere, relayed } = await usesOf(gateway, server);
      // Beside the calls the one notification of each session.
      expect([all, elsewhere >= all * SHARE]).toEqual([REQUESTS + SESSIONS, true]);
      // What only one worker can serve was relayed to it; what any can reach was not.
      expect(relayed).toBe(server === 'program' ? elsewhere : 0);
      await gateway.stop();
    },
  );

  it.each(['program', 'remote'])(
    'row 231: 2 gateways that share Redis, behind nginx in turn, the server "%s": all succeed, wherever the session began',
    { timeout },
    async (server) => {
      const redis = await startRedis();
      await beginEpochsLongAgo(redis);
      const shared = {
        session: { seal_keys: ['of both gateways, and as long as 256 bits need it'] },
        redis: { url: `redis://127.0.0.1:${redis.port}`, max_hosts: 2 },
      };
      const addresses = [`127.0.0.1:${await freePort()}`, `127.0.0.2:${await freePort()}`];
      const peer_secret = 'of both gateways as well, and not of anybody else';
      const gateways = await Promise.all(addresses.map((advertise_address) => start(2, shared, { advertise_address, peer_secret })));
      for (const gateway of gateways) await warmUp(gateway, server);
      const front = await startNginxInTurn(gateways.map(({ port }) => port));
      expect((await call(front.port, server)).slice(0, 3)).toEqual([]);
      const uses = await Promise.all(gateways.map((gateway) => usesOf(gateway, server)));
      expect(uses.reduce((sum, { all }) => sum + all, 0)).toBe(REQUESTS + SESSIONS);
      for (const { all, elsewhere, betweenHosts } of uses) {
        expect([all >= REQUESTS * SHARE, elsewhere >= all * SHARE]).toEqual([true, true]);
        // What only one host can serve was relayed to it; what any can reach was not.
        if (server === 'program') expect(betweenHosts).toBeGreaterThan(all * SHARE);
        else expect(betweenHosts).toBe(0);
      }
      await front.stop();
      await Promise.all(gateways.map((gateway) => gateway.stop()));
    },
  );
});
