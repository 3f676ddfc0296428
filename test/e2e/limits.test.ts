import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Gateway,
  type HttpAnswer,
  type HttpUpstream,
  http,
  keyEntry,
  makeKey,
  rawExchange,
  recordsOf,
  rpc,
  rpcRequest,
  scrape,
  sleep,
  startGateway,
  startHttpUpstream,
  type TestKey,
  toolCall,
} from './harness.ts';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Identities, each with a bucket of its own; tests do not share any. The default is 0.5 requests/s, burst 10. */
const LIMITS: Readonly<Record<string, Record<string, unknown>>> = {
  admin: { roles: ['admin'], rate_limit: 100_000, burst: 100_000 },
  plain: {},
  paths: {},
  headers: {},
  denied: { allowed_tools: ['echo'] },
  shape: {},
  shapeOther: {},
  health: {},
  anonymous: {},
  '127.0.0.1': {},
  victim: {},
  fast: { rate_limit: 20, burst: 10 },
  honest: { rate_limit: 1, burst: 2 },
  slow: { rate_limit: 0.1, burst: 1 },
  rate50: { rate_limit: 50 },
  rate3: { rate_limit: 3 },
  rate1: { rate_limit: 1 },
  rateTenth: { rate_limit: 0.1 },
  rate1000: { rate_limit: 1000 },
  burst3: { rate_limit: 100, burst: 3 },
  burstAbove: { rate_limit: 0.1, burst: 40 },
  burstOnly: { burst: 4 },
  parallel: {},
  structured: {},
};

const keys = new Map<string, TestKey>(Object.keys(LIMITS).map((id) => [id, makeKey()]));
function keyOf(id: string): string {
  return keys.get(id)?.key ?? 'no such identity';
}

let upstream: HttpUpstream;
let gateway: Gateway;

beforeAll(async () => {
  upstream = await startHttpUpstream();
  gateway = await startGateway({
    config: {
      auth: {
        allow_anonymous: true,
        api_keys: Object.entries(LIMITS).map(([id, limit]) => keyEntry(id, keys.get(id) ?? makeKey(), limit)),
      },
      rate_limit: { requests_per_second: 0.5, burst_size: 10 },
      upstream: { servers: ['one', 'two'].map((name) => ({ name, transport: 'http', url: upstream.url, allow_private_networks: true })) },
    },
  });
});

const ping = (id: string | null, server = 'one', headers: Record<string, string> = {}): Promise<HttpAnswer> =>
  rpc(`${gateway.mcp}/${server}`, rpcRequest('ping'), { headers, ...(id === null ? {} : { key: keyOf(id) }) });

/** The statuses of so many requests, one after the other. */
async function statuses(times: number, send: () => Promise<HttpAnswer>): Promise<number[]> {
  const found: number[] = [];
  for (let i = 0; i < times; i++) found.push((await send()).status);
  return found;
}

function times(count: number, status: number): number[] {
  return Array.from({ length: count }, () => status);
}

function limitHeaders({ headers }: HttpAnswer): (number | undefined)[] {
  return ['x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset'].map((name) =>
    headers[name] === undefined ? undefined : Number(headers[name]),
  );
}

describe('the bucket of an identity', () => {
  it('row 135: burst 10: ten requests pass, the eleventh is 429 and never reaches the upstream', async () => {
    const call = (): Promise<HttpAnswer> => rpc(`${gateway.mcp}/one`, toolCall('echo'), { key: keyOf('plain') });
    const seen = upstream.of('tools/call').length;
    expect(await statuses(12, call)).toEqual([...times(10, 200), 429, 429]);
    expect(upstream.of('tools/call')).toHaveLength(seen + 10);
  });

  it('row 135: it refills at its rate: over 1.5 s of hammering no more and hardly less than burst + rate × time pass', async () => {
    const startMs = performance.now();
    let admitted = 0;
    let lastAdmittedMs = 0;
    while (performance.now() - startMs < 1_500) {
      if ((await ping('fast')).status !== 200) continue;
      admitted += 1;
      lastAdmittedMs = performance.now() - startMs;
    }
    expect(admitted).toBeLessThanOrEqual(10 + (20 * lastAdmittedMs) / 1000 + 1);
    expect(admitted).toBeGreaterThanOrEqual(10 + 20 * 1.5 * 0.8);
  });

  it('row 135: parallel requests get no more than the burst between them', async () => {
    const answers = await Promise.all(Array.from({ length: 60 }, () => ping('parallel')));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(10);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(50);
  });

  it('row 135: who waits as long as Retry-After says is served', async () => {
    expect(await statuses(2, () => ping('honest'))).toEqual([200, 200]);
    const refused = await ping('honest');
    expect(refused.status).toBe(429);
    await sleep(Number(refused.headers['retry-after']) * 1000);
    expect((await ping('honest')).status).toBe(200);
  });

  it('row 136: exhausting one identity leaves the others their bursts', async () => {
    expect(await statuses(11, () => ping('paths'))).toEqual([...times(10, 200), 429]);
    expect(await statuses(11, () => ping('victim'))).toEqual([...times(10, 200), 429]);
  });

  it('row 136: the key is provider and id: an anonymous caller and keys of the same name do not share', async () => {
    expect(await statuses(11, () => ping(null))).toEqual([...times(10, 200), 429]);
    expect(await statuses(11, () => ping('anonymous'))).toEqual([...times(10, 200), 429]);
    expect(await statuses(11, () => ping('127.0.0.1'))).toEqual([...times(10, 200), 429]);
  });

  it('row 136: no server, header, session, address or spelling of the credential gives a second bucket', async () => {
    const unknown = (): Promise<HttpAnswer> => ping('headers', 'one', { 'mcp-session-id': 'another' });
    const sends: readonly (() => Promise<HttpAnswer>)[] = [
      unknown,
      () => ping('headers', 'one'),
      () => ping('headers', 'two'),
      () => ping('headers', 'one/deeper/path'),
      () => ping('headers', 'one', { 'x-forwarded-for': '203.0.113.9' }),
      () => ping('headers', 'one', { forwarded: 'for=203.0.113.10' }),
      () => ping('headers', 'one', { 'user-agent': 'another' }),
      () => ping('headers', 'one', { authorization: `bearer   ${keyOf('headers')} ` }),
      () => rpc(`${gateway.mcp}/one?x=1`, toolCall('echo'), { key: keyOf('headers') }),
      () => rpc(`${gateway.mcp}/two`, rpcRequest('tools/list'), { key: keyOf('headers') }),
    ];
    for (const send of sends) expect((await send()).status).toBe(send === unknown ? 404 : 200);
    for (const send of sends) expect((await send()).status).toBe(429);
  });

  it('row 136: what is wrong or denied costs its token too, so guessing is limited', async () => {
    const bodies = ['{', '[]', '{"jsonrpc":"2.0","id":1,"method":"tools/call"}', JSON.stringify(toolCall('delete_file'))];
    const found: number[] = [];
    for (let i = 0; i < 12; i++) found.push((await rpc(`${gateway.mcp}/one`, bodies[i % 4], { key: keyOf('denied') })).status);
    expect(found).toEqual([400, 400, 400, 403, 400, 400, 400, 403, 400, 400, 429, 429]);
  });

  it.each([
    ['rate50', 25],
    ['rate3', 1],
    ['rate1', 1],
    ['rateTenth', 1],
    ['rate1000', 500],
    ['burst3', 3],
    ['burstAbove', 40],
    ['burstOnly', 4],
    ['plain', 10],
  ])('row 137: the burst of "%s" is %i', async (id, burst) => {
    const answer = await ping(id);
    expect(Number(answer.headers['x-ratelimit-limit'])).toBe(burst);
  });

  it('row 137: a rate and burst of its own hold instead of the common ones', async () => {
    // All but the request above; at a tenth a second nothing comes back meanwhile.
    expect(await statuses(40, () => ping('burstAbove'))).toEqual([...times(39, 200), 429]);
    expect(await statuses(4, () => ping('burstOnly'))).toEqual([...times(3, 200), 429]);
    expect((await ping('rateTenth')).status).toBe(429);
    const refused = await ping('burstOnly');
    // A burst alone keeps the common rate, one request in two seconds.
    expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(2);
    expect(Number((await ping('rateTenth')).headers['retry-after'])).toBeGreaterThan(2);
  });
});

describe('a refusal by the limit', () => {
  it('row 142: has Retry-After, the words, retry_after, an error id and the id of the request', async () => {
    expect(await statuses(10, () => ping('shape'))).toEqual(times(10, 200));
    for (const id of [0, 7, -3, 'text', '', 'ünïcode "quoted"', 9007199254740991]) {
      const options = { key: keyOf('shape'), headers: { connection: 'keep-alive' } };
      const answer = await rpc(`${gateway.mcp}/one`, rpcRequest('tools/list', {}, id), options);
      expect(answer.status).toBe(429);
      const retryAfter = Number(answer.headers['retry-after']);
      expect(Number.isInteger(retryAfter) && retryAfter >= 1).toBe(true);
      expect(answer.headers['content-type']).toBe('application/json');
      expect(answer.json).toEqual({
        jsonrpc: '2.0',
        id,
        error: { code: -31429, message: 'Rate limit exceeded', data: { error_id: expect.stringMatching(UUID), retry_after: retryAfter } },
      });
      // The client may go on with the connection.
      expect(answer.headers['connection']).not.toBe('close');
    }
  });

  it('row 142: keeps an id that no number of ours could hold', async () => {
    const body = '{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"ping"}';
    const answer = await rpc(`${gateway.mcp}/one`, body, { key: keyOf('shape') });
    expect(answer.status).toBe(429);
    expect(answer.body).toContain('"id":123456789012345678901234567890,');
  });

  it('row 142: answers a large body without reading it: null as id, and the connection closes', async () => {
    while ((await ping('shape')).status === 200);
    const large = rpcRequest('tools/call', { name: 'echo', arguments: { text: 'x'.repeat(70_000) } }, 'large');
    const answer = await rpc(`${gateway.mcp}/one`, large, { key: keyOf('shape'), headers: { connection: 'keep-alive' } });
    expect([answer.status, answer.json?.['id'], answer.headers['connection']]).toEqual([429, null, 'close']);
    expect(answer.json?.['error']).toMatchObject({
      message: 'Rate limit exceeded',
      data: { retry_after: Number(answer.headers['retry-after']) },
    });
    const just = rpcRequest('tools/call', { name: 'echo', arguments: { text: 'x'.repeat(65_000) } }, 'just');
    expect((await rpc(`${gateway.mcp}/one`, just, { key: keyOf('shape') })).json?.['id']).toBe('just');
    const head = `POST /mcp/one HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${keyOf('shape')}\r\nContent-Type: application/json\r\n`;
    const promised = await rawExchange(gateway.port, [`${head}Content-Length: 900000\r\n\r\n{`], { quietMs: 4_000 });
    expect(promised.text).toMatch(/^HTTP\/1\.1 429 /);
    expect(promised.isClosed).toBe(true);
  });

  it('row 142: is one audit record and one count', async () => {
    const refusals = 'mcp_guard_rate_limit_total{allowed="false"}';
    while ((await ping('shape')).status === 200);
    const before = await scrape(gateway, refusals, keyOf('admin'));
    const answer = await ping('shape', 'one', { 'x-request-id': 'limited-once' });
    const records = await recordsOf(gateway, 'limited-once', keyOf('admin'), `${gateway.mcp}/one`);
    expect(records).toHaveLength(1);
    expect(records[0]).toMatchObject({
      event_type: 'rate_limited',
      identity: 'shape',
      decision: 'deny',
      reason: 'rate_limited',
      status: 429,
    });
    expect(records[0]?.['error_id']).toBe(answer.json?.['error']?.['data']?.['error_id']);
    expect((await scrape(gateway, refusals, keyOf('admin'))) - before).toBe(1);
  });

  it('row 142: waits are at least a second and as long as a slow rate needs', async () => {
    expect((await ping('slow')).status).toBe(200);
    const refused = await ping('slow');
    expect(refused.status).toBe(429);
    expect([9, 10]).toContain(Number(refused.headers['retry-after']));
    while ((await ping('fast')).status === 200);
    expect((await ping('fast')).headers['retry-after']).toBe('1');
  });

  it('row 143: remaining falls 9, 8, … 0 and reset says when the bucket is full again', async () => {
    const seen: (number | undefined)[][] = [];
    const startMs = performance.now();
    for (let i = 0; i < 11; i++) seen.push(limitHeaders(await ping('shapeOther')));
    const tookSecs = (performance.now() - startMs) / 1000;
    expect(seen.map(([limit]) => limit)).toEqual(times(11, 10));
    expect(seen.map(([, remaining]) => remaining)).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0]);
    // Half a token a second: two seconds for each token that is missing, less what passed meanwhile.
    for (const [index, [, , reset = -1]] of seen.entries()) {
      const missing = Math.min(index + 1, 10);
      expect(reset).toBeLessThanOrEqual(missing * 2);
      expect(reset).toBeGreaterThanOrEqual(Math.ceil(missing * 2 - tookSecs));
    }
  });

  it('row 143: RateLimit and RateLimit-Policy say the same as structured fields', async () => {
    for (let i = 0; i < 11; i++) {
      const { headers } = await ping('structured');
      const [limit, remaining, reset] = ['limit', 'remaining', 'reset'].map((name) => headers[`x-ratelimit-${name}`]);
      expect(headers['ratelimit-policy']).toBe(`"principal";q=${limit};w=20`);
      expect(headers['ratelimit']).toBe(`"principal";r=${remaining};t=${reset}`);
    }
    expect((await ping('structured')).status).toBe(429);
  });

  it('row 143: the figures stand on refusals of every later step and on streams, and not where nobody was known', async () => {
    const at = async (send: Promise<HttpAnswer>): Promise<readonly [number, boolean]> => {
      const answer = await send;
      return [answer.status, limitHeaders(answer).every((value) => value !== undefined)];
    };
    const key = keyOf('burst3');
    expect(await at(rpc(`${gateway.mcp}/one`, '{', { key }))).toEqual([400, true]);
    expect(await at(rpc(`${gateway.mcp}/one`, toolCall('echo'), { key }))).toEqual([200, true]);
    expect(await at(rpc(`${gateway.mcp}/one`, { jsonrpc: '2.0', method: 'notifications/initialized' }, { key }))).toEqual([202, true]);
    expect(await at(rpc(`${gateway.mcp}/one`, rpcRequest('ping'), { key: makeKey().key }))).toEqual([401, false]);
    expect(await at(http('GET', `${gateway.url}/health`))).toEqual([200, false]);
  });
});

describe('requests in progress', () => {
  it('row 143: where too many are in progress the figures are those of that limit', async () => {
    const key = makeKey();
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const slow = await startHttpUpstream({
      answer: async ({ message }) => {
        if (message['method'] === 'tools/call') await held;
        return undefined;
      },
    });
    const config = {
      auth: { api_keys: [keyEntry('busy', key)] },
      rate_limit: { burst_size: 100, max_in_flight: 3 },
      upstream: { transport: 'http', url: slow.url, allow_private_networks: true },
    };
    const busy = await startGateway({ config });
    const calls = Array.from({ length: 3 }, (_, index) => rpc(busy.mcp, toolCall('echo', {}, index), { key: key.key }));
    await expect.poll(() => slow.of('tools/call').length).toBe(3);
    const refused = await rpc(busy.mcp, rpcRequest('ping', {}, 'fourth'), { key: key.key });
    expect(refused.status).toBe(429);
    expect(refused.json).toMatchObject({ id: 'fourth', error: { code: -31429, message: 'Rate limit exceeded', data: { retry_after: 1 } } });
    expect(limitHeaders(refused)).toEqual([3, 0, 1]);
    release();
    expect((await Promise.all(calls)).map(({ status }) => status)).toEqual([200, 200, 200]);
    expect((await rpc(busy.mcp, rpcRequest('ping'), { key: key.key })).status).toBe(200);
    await busy.stop();
  });
});

describe('requests whose client left', () => {
  it('count until the upstream is done with them: leaving and asking again gets nobody around max_in_flight', async () => {
    const key = makeKey();
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const slow = await startHttpUpstream({
      answer: async ({ message }) => {
        if (message['method'] === 'tools/call') await held;
        return undefined;
      },
    });
    const busy = await startGateway({
      config: {
        auth: { api_keys: [keyEntry('hasty', key)] },
        rate_limit: { burst_size: 100, max_in_flight: 2 },
        upstream: { transport: 'http', url: slow.url, allow_private_networks: true },
      },
    });
    const headers = { authorization: `Bearer ${key.key}`, 'content-type': 'application/json' };
    for (let count = 1; count <= 2; count += 1) {
      const leaving = new AbortController();
      const call = fetch(busy.mcp, { method: 'POST', headers, body: JSON.stringify(toolCall('echo', {}, count)), signal: leaving.signal });
      await expect.poll(() => slow.of('tools/call').length).toBe(count);
      leaving.abort();
      await expect(call).rejects.toThrow('aborted');
      await sleep(50);
    }
    expect((await rpc(busy.mcp, toolCall('echo'), { key: key.key })).status).toBe(429);
    expect(slow.of('tools/call')).toHaveLength(2);
    release();
    await expect.poll(async () => (await rpc(busy.mcp, rpcRequest('ping'), { key: key.key })).status).toBe(200);
    expect(await statuses(5, () => rpc(busy.mcp, toolCall('echo'), { key: key.key }))).toEqual(times(5, 200));
    await busy.stop();
  });
});

describe('what is not limited', () => {
  it('row 145: with enabled = false nobody ever gets 429, one by one or all at once, and no figures are shown', async () => {
    const key = makeKey();
    const slow = await startHttpUpstream({
      answer: ({ message }) => (message['method'] === 'tools/call' ? { delayMs: 300, body: answerTo(message) } : undefined),
    });
    const free = await startGateway({
      config: {
        auth: { api_keys: [keyEntry('a', key, { rate_limit: 0.001, burst: 1 })] },
        rate_limit: { enabled: false, requests_per_second: 0.001, burst_size: 1, max_in_flight: 1 },
        upstream: { transport: 'http', url: slow.url, allow_private_networks: true },
      },
    });
    expect(await statuses(300, () => rpc(free.mcp, rpcRequest('ping'), { key: key.key }))).toEqual(times(300, 200));
    const calls = await Promise.all(
      Array.from({ length: 150 }, (_, index) => rpc(free.mcp, toolCall('echo', {}, index), { key: key.key })),
    );
    expect(calls.map(({ status }) => status)).toEqual(times(150, 200));
    for (const answer of [calls[0], calls[149]]) expect(answer && limitHeaders(answer)).toEqual([undefined, undefined, undefined]);
    expect(free.stdout()).toContain('no rate limit');
    await free.stop();
  });

  it('row 146: a thousand health checks are all 200, also by a caller who has nothing left', async () => {
    expect(await statuses(11, () => ping('health'))).toEqual([...times(10, 200), 429]);
    const before = await scrape(gateway, 'mcp_guard_rate_limit_total{allowed="true"}', keyOf('admin'));
    const paths = ['/health', '/healthz', '/live', '/ready'];
    for (let round = 0; round < 20; round++) {
      const batch = await Promise.all(Array.from({ length: 50 }, () => http('GET', `${gateway.url}/health`, { key: keyOf('health') })));
      expect(batch.map(({ status }) => status)).toEqual(times(50, 200));
    }
    for (const path of paths) expect((await http('GET', gateway.url + path)).status).toBe(200);
    // No limiter was asked: neither did they cost anything, nor did they bring anything back.
    expect(await scrape(gateway, 'mcp_guard_rate_limit_total{allowed="true"}', keyOf('admin'))).toBe(before);
  });
});

function answerTo(message: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return { jsonrpc: '2.0', id: message['id'], result: { content: [] } };
}
