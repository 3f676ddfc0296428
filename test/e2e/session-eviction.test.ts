import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { flood } from './flood.ts';
import { keyEntry, makeKey, rpcRequest, scrape, startGateway, waitUntil } from './harness.ts';

const SESSIONS = 8_000;
const IDLE_SECS = 5;
/** Many times the idle time: a busy machine ends them later. */
const FORGOTTEN_TIMEOUT_MS = 60_000;
const CLIENT = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'forgetful', version: '1' } };
const BODY = JSON.stringify(rpcRequest('initialize', CLIENT));

const alice = makeKey();
const REQUEST = [
  'POST /mcp HTTP/1.1',
  'Host: localhost',
  'Content-Type: application/json',
  'Accept: application/json, text/event-stream',
  `Authorization: Bearer ${alice.key}`,
  `Content-Length: ${BODY.length}`,
  '',
  BODY,
].join('\r\n');

/** A server of its own process, which keeps a session until it is told of its end. */
const server = spawn(process.execPath, [fileURLToPath(new URL('../../perf/fixtures/http-upstream.ts', import.meta.url))]);
afterAll(() => void server.kill());

it('thousands of sessions that fall idle together: their server is told of each, a few at a time', { timeout: 120_000 }, async () => {
  const [port] = (await once(server.stdout, 'data')) as [Buffer];
  const upstream = `http://127.0.0.1:${port.toString().trim()}`;
  const gateway = await startGateway({
    config: {
      server: { workers: 0, admin: { port: 0 } },
      auth: { api_keys: [{ ...keyEntry('alice', alice), rate_limit: 1_000_000, burst: 1_000_000 }] },
      session: { idle_ttl_secs: IDLE_SECS, max_per_principal: 100_000 },
      audit: { enabled: false },
      upstream: { transport: 'http', url: `${upstream}/session`, allow_private_networks: true, max_concurrency: 1000 },
    },
  });
  const statuses = await flood({ port: gateway.port, requests: SESSIONS, connections: 32, request: () => REQUEST });
  expect([...statuses]).toEqual([[200, SESSIONS]]);
  // The gateway keeps one of its own.
  const atServer = async (): Promise<number> => Number(await (await fetch(new URL('/sessions', upstream))).text());
  await waitUntil(async () => (await atServer()) <= 1, { what: 'the server to be told', timeoutMs: FORGOTTEN_TIMEOUT_MS });
  expect(await scrape(gateway, 'mcp_guard_session_partings_waiting')).toBe(0);
  expect(await scrape(gateway, 'mcp_guard_session_partings_dropped_total')).toBe(0);
  expect((await gateway.stop()).code).toBe(0);
});
