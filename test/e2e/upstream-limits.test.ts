import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Gateway,
  type HttpAnswer,
  type HttpUpstream,
  http,
  isAlive,
  keyEntry,
  makeKey,
  recordsOf,
  rpc,
  rpcRequest,
  scrape,
  sleep,
  startGateway,
  startHttpUpstream,
  stdioUpstream,
  toolCall,
  type UpstreamAnswer,
  type UpstreamRequest,
  waitUntil,
} from './harness.ts';
import { childrenOf } from './worker-processes.ts';

const ALICE = makeKey();
const BOB = makeKey();
const ADMIN = makeKey();
const auth = { api_keys: [keyEntry('alice', ALICE), keyEntry('bob', BOB), keyEntry('root', ADMIN, { roles: ['admin'] })] };
const rate_limit = { enabled: false };
const MANY = { requests_per_second: 10_000, burst_size: 10_000 };
const WORKERS = [1, 2];

/** An upstream whose tool calls end when the test says so, and which knows how many it had at once. */
class Held {
  readonly upstream: Promise<HttpUpstream>;
  readonly order: string[] = [];
  now = 0;
  most = 0;
  #isOpen = false;
  readonly #waiting: (() => void)[] = [];

  constructor() {
    this.upstream = startHttpUpstream({ answer: (request) => this.#answer(request) });
  }

  /** So many calls end, the oldest first; none given: all, and those that come are not held any more. */
  release(count?: number): void {
    this.#isOpen ||= count === undefined;
    for (const end of this.#waiting.splice(0, count ?? this.#waiting.length)) end();
  }

  arrived(count: number): Promise<boolean> {
    return waitUntil(() => this.order.length >= count, { what: `${count} calls at the upstream (${this.order.length})` });
  }

  async #answer({ message }: UpstreamRequest): Promise<UpstreamAnswer | undefined> {
    if (message['method'] !== 'tools/call') return undefined;
    this.order.push(String((message['params'] as { name: string }).name));
    this.now += 1;
    this.most = Math.max(this.most, this.now);
    if (!this.#isOpen) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.now -= 1;
    return undefined;
  }
}

async function start(
  server: Record<string, unknown>,
  workers: number,
  more: Record<string, unknown> = {},
): Promise<{ gateway: Gateway; held: Held }> {
  const held = new Held();
  const { url } = await held.upstream;
  const upstream = { transport: 'http', url, allow_private_networks: true, ...server };
  return { gateway: await startGateway({ config: { server: { workers }, auth, rate_limit, upstream, ...more } }), held };
}

function call(
  gateway: Gateway,
  name: string,
  id: string | number = 1,
  options: { key?: string; signal?: AbortSignal } = {},
): Promise<HttpAnswer> {
  return rpc(gateway.mcp, toolCall(name, {}, id), { key: ALICE.key, ...options });
}

function several(gateway: Gateway, count: number, name: string, key = ALICE.key): Promise<HttpAnswer>[] {
  return Array.from({ length: count }, (_, index) => call(gateway, name, `${name}-${index}`, { key }));
}

const countOf = (answers: readonly HttpAnswer[], status: number): number => answers.filter((answer) => answer.status === status).length;

describe('row 141: requests in progress per upstream', () => {
  it.each(WORKERS)(
    'row 141: %i worker(s): as many as max_concurrency says are sent, the others are 503 with a hint to agents',
    async (workers) => {
      const { gateway, held } = await start({ max_concurrency: 3 }, workers);
      const calls = several(gateway, 24, 'call');
      let refusals = 0;
      for (const one of calls) void one.then(({ status }) => (refusals += status === 503 ? 1 : 0));
      await held.arrived(3);
      await waitUntil(() => refusals === 21, { what: '21 are refused' });
      held.release();
      const answers = await Promise.all(calls);
      expect([countOf(answers, 200), countOf(answers, 503), held.most]).toEqual([3, 21, 3]);
      const refused = answers.find(({ status }) => status === 503);
      expect(Number(refused?.headers['retry-after'])).toBeGreaterThanOrEqual(1);
      expect(refused?.json['id']).toMatch(/^call-\d+$/);
      expect(refused?.json['error']).toMatchObject({
        code: -31503,
        message: 'Upstream busy',
        data: { retry_after: 1, reason: 'upstream_busy' },
      });
      expect((await call(gateway, 'again')).status).toBe(200);
      await gateway.stop();
    },
  );

  it.each(WORKERS)('row 141: %i worker(s): with queue_secs they wait for their turn, and the upstream never has more', async (workers) => {
    const { gateway, held } = await start({ max_concurrency: 2, queue_secs: 20, queue_max: 64 }, workers);
    const calls = several(gateway, 20, 'call');
    await held.arrived(2);
    for (let answered = 2; answered < 20; answered += 2) {
      held.release(2);
      await held.arrived(answered + 2);
    }
    held.release();
    expect([countOf(await Promise.all(calls), 200), held.most]).toEqual([20, 2]);
    await gateway.stop();
  });

  it('row 141: who waited in vain is 503 after queue_secs, and the record says why', async () => {
    const { gateway, held } = await start({ max_concurrency: 1, queue_secs: 0.3 }, 1);
    const first = call(gateway, 'first');
    await held.arrived(1);
    const startMs = performance.now();
    const late = await rpc(gateway.mcp, toolCall('late'), { key: ALICE.key, headers: { 'x-request-id': 'late' } });
    expect(performance.now() - startMs).toBeGreaterThan(250);
    expect([late.status, late.headers['retry-after'], late.json['error']?.['data']?.['reason']]).toEqual([503, '1', 'upstream_busy']);
    const [record] = (await recordsOf(gateway, 'late', ALICE.key)).filter((line) => line['event_type'] === 'upstream_error');
    expect(record).toMatchObject({ reason: 'upstream_busy', status: 503 });
    held.release();
    expect([(await first).status, held.order]).toEqual([200, ['first']]);
    await gateway.stop();
  });

  it('row 141: one caller cannot fill the queue, and the other has his turn', async () => {
    const { gateway, held } = await start({ max_concurrency: 1, queue_secs: 20, queue_max: 8 }, 1);
    const first = call(gateway, 'first');
    await held.arrived(1);
    const flood = several(gateway, 30, 'flood');
    await waitUntil(async () => (await scrape(gateway, 'mcp_guard_refusals_total{reason="upstream_busy"}', ADMIN.key)) === 22, {
      what: 'the queue is full',
    });
    expect(await scrape(gateway, 'mcp_guard_upstream_queued{server="default"}', ADMIN.key)).toBe(8);
    const other = call(gateway, 'other', 1, { key: BOB.key });
    await waitUntil(async () => (await scrape(gateway, 'mcp_guard_refusals_total{reason="upstream_busy"}', ADMIN.key)) === 23, {
      what: 'one of the flood made way',
    });
    held.release(1);
    await held.arrived(2);
    held.release(1);
    await held.arrived(3);
    expect(held.order).toContain('other');
    held.release();
    expect([(await first).status, (await other).status, countOf(await Promise.all(flood), 200)]).toEqual([200, 200, 7]);
    await gateway.stop();
  });

  it('row 141: a client that leaves frees its place in the queue, but not the place of a call that runs', async () => {
    const { gateway, held } = await start({ max_concurrency: 1, queue_secs: 20, queue_max: 1 }, 1);
    const [runs, waits] = [new AbortController(), new AbortController()];
    const gone = call(gateway, 'runs', 1, { signal: runs.signal }).catch(() => 'gone');
    await held.arrived(1);
    const queued = call(gateway, 'waits', 2, { signal: waits.signal }).catch(() => 'gone');
    await waitUntil(async () => (await call(gateway, 'full', 3)).status === 503, { what: 'the queue is full' });
    waits.abort();
    runs.abort();
    expect([await gone, await queued]).toEqual(['gone', 'gone']);
    await waitUntil(async () => (await scrape(gateway, 'mcp_guard_requests_in_flight', ADMIN.key)) <= 1, { what: 'both have left' });
    const next = call(gateway, 'next', 4);
    await sleep(200);
    expect(held.order).toEqual(['runs']);
    held.release(1);
    await held.arrived(2);
    held.release();
    expect([(await next).status, held.order]).toEqual([200, ['runs', 'next']]);
    await gateway.stop();
  });
});

describe('requests in progress per caller, over all workers', () => {
  it('no more than max_in_flight of one caller are in progress; another has places of his own', async () => {
    const { gateway, held } = await start({}, 4, { rate_limit: { ...MANY, max_in_flight: 5 } });
    const calls = several(gateway, 40, 'alice');
    const others = several(gateway, 3, 'bob', BOB.key);
    await held.arrived(8);
    await sleep(300);
    expect(held.order.filter((name) => name === 'alice')).toHaveLength(5);
    held.release();
    const answers = await Promise.all(calls);
    expect([countOf(answers, 200), countOf(answers, 429), countOf(await Promise.all(others), 200)]).toEqual([5, 35, 3]);
    const full = answers.find(({ status }) => status === 429);
    expect([full?.headers['x-ratelimit-limit'], full?.headers['x-ratelimit-remaining'], full?.headers['retry-after']]).toEqual([
      '5',
      '0',
      '1',
    ]);
    expect((await call(gateway, 'again')).status).toBe(200);
    await gateway.stop();
  });

  it('leaving and asking again at another worker frees no place early', async () => {
    const { gateway, held } = await start({}, 2, { rate_limit: { ...MANY, max_in_flight: 2 } });
    for (let i = 0; i < 12; i++) {
      const client = new AbortController();
      const gone = call(gateway, 'left', i, { signal: client.signal }).catch(() => 'gone');
      if (i < 2) await held.arrived(i + 1);
      else await sleep(20);
      client.abort();
      await gone;
    }
    expect(held.order).toHaveLength(2);
    held.release();
    await waitUntil(async () => (await call(gateway, 'again')).status === 200, { what: 'the places are there again' });
    await gateway.stop();
  });

  it('the places of a worker that is killed are free again', async () => {
    const { gateway, held } = await start({}, 2, { rate_limit: { ...MANY, max_in_flight: 6 } });
    const lost = several(gateway, 12, 'lost').map((one) => one.catch(() => null));
    await held.arrived(6);
    const [worker] = await childrenOf(gateway.pid);
    process.kill(worker as number, 'SIGKILL');
    await waitUntil(() => !isAlive(worker as number), { what: 'it is dead' });
    await waitUntil(async () => (await childrenOf(gateway.pid)).length === 2, { what: 'its successor' });
    held.release();
    await Promise.all(lost);
    // A connection that the dead worker had yet to accept may be reset.
    const again = (): Promise<HttpAnswer | null>[] => several(gateway, 6, 'again').map((one) => one.catch(() => null));
    await waitUntil(async () => (await Promise.all(again())).filter((answer) => answer?.status === 200).length === 6, {
      what: 'all six places',
      timeoutMs: 10_000,
    });
    expect(held.most).toBeLessThanOrEqual(12);
    await gateway.stop();
  });
});

/** An upstream that fails as the name of the tool says. */
function failing(): Promise<HttpUpstream> {
  const answers: Readonly<Record<string, UpstreamAnswer>> = {
    broken: { status: 500, body: 'no' },
    overloaded: { status: 503, body: '' },
    silent: { isSilent: true },
    dropped: { isDropped: true },
    refused: { status: 400, body: '' },
  };
  return startHttpUpstream({
    answer: ({ message }) => {
      if (message['method'] !== 'tools/call') return undefined;
      const { name } = message['params'] as { name: string };
      if (name === 'slow') return { delayMs: 300, body: { jsonrpc: '2.0', id: message['id'], result: { content: [] } } };
      if (name === 'error') return { body: { jsonrpc: '2.0', id: message['id'], error: { code: -32603, message: 'its own affair' } } };
      return answers[name];
    },
  });
}

describe('row 149: the circuit breaker', () => {
  let one: HttpUpstream;
  let two: HttpUpstream;

  beforeAll(async () => {
    [one, two] = await Promise.all([failing(), failing()]);
  });

  async function startTwo(breaker: Record<string, unknown>, workers: number): Promise<Gateway> {
    const server = (name: string, { url }: HttpUpstream): object => ({
      name,
      transport: 'http',
      url,
      allow_private_networks: true,
      timeout_secs: 0.5,
      timeout_max_secs: 0.5,
      breaker,
    });
    return startGateway({
      config: { server: { workers }, auth, rate_limit, upstream: { servers: [server('one', one), server('two', two)] } },
    });
  }

  const ask = (gateway: Gateway, tool: string, server = 'one'): Promise<HttpAnswer> =>
    rpc(`${gateway.mcp}/${server}`, toolCall(tool), { key: ALICE.key });

  async function statuses(gateway: Gateway, tools: readonly string[]): Promise<number[]> {
    const found: number[] = [];
    for (const tool of tools) found.push((await ask(gateway, tool)).status);
    return found;
  }

  const seen = (): number => one.of('tools/call').length;

  /** With several workers the last failure is known to all of them a moment later. */
  const circuitIs = (gateway: Gateway, state: string): Promise<boolean> =>
    waitUntil(
      async () => {
        const routes = (await http('GET', `${gateway.url}/routes`, { key: ADMIN.key })).json['routes'];
        return String(routes?.['0']?.['circuit']) === state;
      },
      { what: `the circuit is ${state}` },
    );

  it.each(WORKERS)(
    'row 149: %i worker(s): five consecutive failures of whatever kind open it for 30 s, and nothing is sent',
    async (workers) => {
      const gateway = await startTwo({}, workers);
      const before = seen();
      expect(await statuses(gateway, ['broken', 'silent', 'dropped', 'overloaded', 'broken'])).toEqual([502, 504, 502, 502, 502]);
      await circuitIs(gateway, 'open');
      for (let i = 0; i < 8; i++) {
        const refused = await ask(gateway, 'echo');
        expect([refused.status, refused.json['error']?.['message'], refused.json['error']?.['data']?.['reason']]).toEqual([
          503,
          'Upstream unavailable',
          'upstream_circuit_open',
        ]);
        const retryAfter = Number(refused.headers['retry-after']);
        expect(retryAfter).toBeGreaterThanOrEqual(20);
        expect(retryAfter).toBeLessThanOrEqual(30);
        expect(refused.json['error']?.['data']?.['retry_after']).toBe(retryAfter);
      }
      expect(seen() - before).toBe(5);
      expect((await ask(gateway, 'echo', 'two')).status).toBe(200);
      expect((await http('GET', `${gateway.url}/ready`)).status).toBe(200);
      const gauge = (state: string): Promise<number> =>
        scrape(gateway, `mcp_guard_upstream_breaker{server="one",state="${state}"}`, ADMIN.key);
      expect([await gauge('open'), await gauge('closed')]).toEqual([1, 0]);
      await gateway.stop();
    },
  );

  it.each(WORKERS)(
    'row 149: %i worker(s): a success in between begins the count anew, and JSON-RPC errors are no failures',
    async (workers) => {
      const gateway = await startTwo({}, workers);
      const four = ['broken', 'broken', 'broken', 'broken'];
      for (const between of ['echo', 'error', 'refused']) {
        await statuses(gateway, [...four, between]);
        await sleep(50);
      }
      expect(await statuses(gateway, ['error', 'error', 'error', 'error', 'error', 'error', 'echo'])).toEqual([
        200, 200, 200, 200, 200, 200, 200,
      ]);
      await gateway.stop();
    },
  );

  it.each(WORKERS)('row 149: %i worker(s): after open_secs one probe is sent; answered, it closes the circuit', async (workers) => {
    const gateway = await startTwo({ failures: 3, open_secs: 1 }, workers);
    await statuses(gateway, ['broken', 'broken', 'broken']);
    await circuitIs(gateway, 'open');
    await sleep(1100);
    const before = seen();
    const answers = await Promise.all(Array.from({ length: 12 }, () => ask(gateway, 'slow')));
    expect([countOf(answers, 200), countOf(answers, 503), seen() - before]).toEqual([1, 11, 1]);
    await circuitIs(gateway, 'closed');
    expect(countOf(await Promise.all(Array.from({ length: 6 }, () => ask(gateway, 'echo'))), 200)).toBe(6);
    await gateway.stop();
  });

  it.each(WORKERS)('row 149: %i worker(s): a failed probe keeps it open', async (workers) => {
    const gateway = await startTwo({ failures: 3, open_secs: 1 }, workers);
    await statuses(gateway, ['broken', 'broken', 'broken']);
    await circuitIs(gateway, 'open');
    await sleep(1100);
    const before = seen();
    expect((await ask(gateway, 'broken')).status).toBe(502);
    await sleep(50);
    expect(await statuses(gateway, ['echo', 'echo', 'echo', 'echo'])).toEqual([503, 503, 503, 503]);
    expect(seen() - before).toBe(1);
    await gateway.stop();
  });

  it('row 149: switched off, a failing server is asked each time', async () => {
    const gateway = await startTwo({ enabled: false }, 1);
    expect(
      await statuses(
        gateway,
        Array.from({ length: 8 }, () => 'broken'),
      ),
    ).toEqual(Array.from({ length: 8 }, () => 502));
    expect((await ask(gateway, 'echo')).status).toBe(200);
    expect((await rpc(`${gateway.mcp}/one`, rpcRequest('ping'), { key: ALICE.key })).status).toBe(200);
    await gateway.stop();
  });

  it('row 149: stdio: calls that are not answered in time open it, and the server is left alone', async () => {
    const upstream = { ...stdioUpstream(), timeout_secs: 0.2, timeout_max_secs: 0.2, breaker: { failures: 2 } };
    const gateway = await startGateway({ config: { auth, rate_limit, upstream } });
    const sleeping = (): Promise<HttpAnswer> => rpc(gateway.mcp, toolCall('sleep', { ms: 3000 }), { key: ALICE.key });
    expect([(await sleeping()).status, (await sleeping()).status]).toEqual([504, 504]);
    expect([(await call(gateway, 'echo')).status, (await sleeping()).status]).toEqual([503, 503]);
    await gateway.stop();
  });
});
