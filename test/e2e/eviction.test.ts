import { expect, it } from 'vitest';
import { flood } from './flood.ts';
import { type Gateway, keyEntry, makeKey, rpcRequest, scrape, startGateway, stdioUpstream, waitUntil } from './harness.ts';
import { MEASURABLE, memoryOf } from './memory.ts';

/** Callers without a credential are told apart by address, and a trusted proxy says which: as many identities as wanted. */
const ANONYMOUS = 100_000;
const KEYS = 1_000;
const BODY = JSON.stringify(rpcRequest('ping'));
const GAUGE = 'mcp_guard_active_identities';
const IDLE_TIMEOUT_MS = 40_000;

const keys = Array.from({ length: KEYS }, makeKey);

function post(header: string): string {
  return `POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${header}\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`;
}

/** Another hundred thousand addresses in each round; the same keys in all. */
function requestOf(round: number): (index: number) => string {
  return (index) => {
    const key = keys[index - ANONYMOUS];
    if (key !== undefined) return post(`Authorization: Bearer ${key.key}`);
    return post(`X-Forwarded-For: 10.${round * 2 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`);
  };
}

/** Each identity once; returns how many were held then, and the memory resident when all were forgotten. */
async function playRound(gateway: Gateway, round: number): Promise<{ readonly held: number; readonly bytes: number }> {
  const requests = ANONYMOUS + KEYS;
  const statuses = await flood({ port: gateway.port, requests, connections: 16, request: requestOf(round) });
  expect([...statuses]).toEqual([[200, requests]]);
  const held = await scrape(gateway, GAUGE);
  await waitUntil(async () => (await scrape(gateway, GAUGE)) === 0, {
    what: `round ${round}: no identity held`,
    timeoutMs: IDLE_TIMEOUT_MS,
  });
  return { held, bytes: (await memoryOf(gateway)).residentBytes };
}

it('row 144: 101,000 identities are forgotten once idle, three times over, and the memory of round 3 is that of round 1', {
  timeout: 180_000,
}, async () => {
  const gateway = await startGateway({
    config: {
      server: { workers: 0, trusted_proxies: ['127.0.0.1'], admin: { port: 0 } },
      auth: { allow_anonymous: true, api_keys: keys.map((key, index) => keyEntry(`user-${index}`, key)) },
      rate_limit: { idle_ttl_secs: 10 },
      audit: { enabled: false },
      upstream: stdioUpstream(),
    },
    env: MEASURABLE,
  });
  // The engine compiles and grows once, whatever is asked.
  await flood({ port: gateway.port, requests: 20_000, connections: 16, request: requestOf(1) });
  const rounds = [await playRound(gateway, 1), await playRound(gateway, 2), await playRound(gateway, 3)];
  // Most are still held when the last has been asked, unless the machine is so slow that the first are idle by then.
  for (const { held } of rounds) expect(held).toBeGreaterThan(ANONYMOUS / 4);
  expect(rounds[2]?.bytes).toBeLessThanOrEqual((rounds[0]?.bytes ?? 0) * 1.05);
  expect((await gateway.stop()).code).toBe(0);
});
