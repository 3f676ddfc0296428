import { Agent } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  keyEntry,
  makeKey,
  rpc,
  startGateway,
  startHttpUpstream,
  stdioUpstream,
  toolText,
  waitUntil,
  type Gateway,
  type HttpUpstream,
} from './harness.ts';

const PRINCIPALS = 20;
const CALLS_PER_PRINCIPAL = 50;
const CALLS = PRINCIPALS * CALLS_PER_PRINCIPAL;
const ROUNDS = 10;
const MAX_DELAY_MS = 200;
const SEED = 0x5eed_2026;

/** Mulberry32: the same delays and nonces in every run. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Caller {
  readonly id: string;
  readonly key: string;
  readonly agent: Agent;
}

interface Call {
  readonly caller: Caller;
  /** All equal, in the two forms that a careless table would take for one. */
  readonly id: string | number;
  readonly nonce: string;
  readonly delayMs: number;
  /** When the client leaves; null for one that waits. */
  readonly leavesMs: number | null;
}

function callsOf(callers: readonly Caller[], seed: number, leaving: number): Call[] {
  const random = randomFrom(seed);
  return callers.flatMap((caller) =>
    Array.from({ length: CALLS_PER_PRINCIPAL }, (_, index) => ({
      caller,
      id: index % 2 === 0 ? 1 : '1',
      nonce: `${seed}-${caller.id}-${index}-${Math.floor(random() * 2 ** 32).toString(16)}`,
      delayMs: Math.floor(random() * (MAX_DELAY_MS + 1)),
      leavesMs: random() < leaving ? Math.floor(random() * MAX_DELAY_MS) : null,
    })),
  );
}

/** Null when the answer belongs to the call in every respect, or the client left before there was one; else what came. */
async function mismatchOf(url: string, { caller, id, nonce, delayMs, leavesMs }: Call): Promise<string | null> {
  const sent = { nonce, who: caller.id, delayMs };
  const message = { jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'echo', arguments: sent } };
  const signal = leavesMs === null ? {} : { signal: AbortSignal.timeout(leavesMs) };
  const answer = await rpc(url, message, { key: caller.key, agent: caller.agent, ...signal }).catch((error: Error) => error);
  if (answer instanceof Error) return leavesMs === null ? `${nonce}: ${answer.message}` : null;
  const isMine = answer.status === 200 && answer.json['id'] === (id as unknown) && toolText(answer) === JSON.stringify(sent);
  return isMine ? null : `${JSON.stringify(sent)} got ${answer.status} ${answer.body}`;
}

describe('answers under concurrency', () => {
  const keys = Array.from({ length: PRINCIPALS }, () => makeKey());
  const callers: readonly Caller[] = keys.map(({ key }, index) => ({
    id: `agent-${index}`,
    key,
    agent: new Agent({ keepAlive: true, maxSockets: CALLS_PER_PRINCIPAL }),
  }));
  let upstream: HttpUpstream;
  let gateway: Gateway;
  let inFlight = 0;
  let mostInFlight = 0;

  beforeAll(async () => {
    upstream = await startHttpUpstream({
      answer: async ({ message }) => {
        if (message['method'] !== 'tools/call') return undefined;
        const { arguments: given } = message['params'] as { arguments: { delayMs: number } };
        mostInFlight = Math.max(mostInFlight, ++inFlight);
        await new Promise((resolve) => setTimeout(resolve, given.delayMs));
        inFlight -= 1;
        return { body: { jsonrpc: '2.0', id: message['id'], result: { content: [{ type: 'text', text: JSON.stringify(given) }] } } };
      },
    });
    gateway = await startGateway({
      config: {
        server: { workers: 2 },
        auth: { api_keys: keys.map((key, index) => keyEntry(`agent-${index}`, key)) },
        rate_limit: { requests_per_second: 1_000_000, burst_size: 1_000_000, max_in_flight: 1000 },
        upstream: {
          servers: [
            // Room enough for all at both workers: who meets whom is the question here, not who finds a place.
            { name: 'http', transport: 'http', url: upstream.url, allow_private_networks: true, max_concurrency: 8000 },
            { name: 'stdio', ...stdioUpstream(), max_concurrency: 8000 },
          ],
        },
      },
    });
  });
  afterAll(() => callers.forEach(({ agent }) => agent.destroy()));

  async function round(server: string, seed: number, leaving: number): Promise<string[]> {
    const url = `${gateway.mcp}/${server}`;
    const results = await Promise.all(callsOf(callers, seed, leaving).map((call) => mismatchOf(url, call)));
    return results.filter((result) => result !== null);
  }

  it.each(['http', 'stdio'])(
    'row 36: trap 8: 10 rounds of 1,000 calls by 20 principals, all with equal ids, to an upstream over %s: 0 mismatches',
    async (server) => {
      const mismatches: string[] = [];
      for (let number = 0; number < ROUNDS; number++) mismatches.push(...(await round(server, SEED + number, 0)));
      expect(mismatches.length, mismatches.slice(0, 5).join('\n')).toBe(0);
      // Each call was answered once, and both workers had their part.
      const answered = await waitUntil(
        async () => {
          const lines = await gateway.auditLines();
          const found = lines.filter((line) => line['event_type'] === 'tool_response' && line['server'] === server);
          return found.length >= ROUNDS * CALLS ? found : undefined;
        },
        { what: `${ROUNDS * CALLS} audit records`, timeoutMs: 10_000 },
      );
      expect(answered).toHaveLength(ROUNDS * CALLS);
      expect(new Set(answered.map((line) => line['status']))).toEqual(new Set([200]));
      expect(new Set(answered.map((line) => line['worker'])).size).toBe(2);
    },
    40_000,
  );

  it('row 36: the calls really were at the upstream side by side, and each once', () => {
    expect(mostInFlight).toBeGreaterThan(CALLS / 4);
    expect(upstream.of('tools/call')).toHaveLength(ROUNDS * CALLS);
  });

  it.each(['http', 'stdio'])(
    'row 36: when every third client leaves at a random time, the others over %s get their own answers',
    async (server) => {
      const mismatches: string[] = [];
      for (let number = 0; number < 2; number++) mismatches.push(...(await round(server, SEED + 100 + number, 1 / 3)));
      expect(mismatches.length, mismatches.slice(0, 5).join('\n')).toBe(0);
      expect(gateway.stderr()).not.toMatch(/internal error|worker ended/);
    },
  );
});
