import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Gateway,
  type HttpAnswer,
  type HttpUpstream,
  http,
  keyEntry,
  makeKey,
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

/** So slow that nothing comes back while a test runs. */
const SLOW = 0.001;

interface Stage {
  readonly gateway: Gateway;
  readonly keys: ReadonlyMap<string, TestKey>;
  keyOf(id: string): string;
  call(id: string, tool: string, server?: string, headers?: Record<string, string>): Promise<HttpAnswer>;
}

let upstream: HttpUpstream;

beforeAll(async () => {
  upstream = await startHttpUpstream();
});

async function startStage(
  rateLimit: Readonly<Record<string, unknown>>,
  ids: readonly string[],
  more: { readonly server?: object; readonly auth?: object } = {},
): Promise<Stage> {
  const keys = new Map(ids.map((id) => [id, makeKey()]));
  const entries = Array.from(keys, ([id, key]) => keyEntry(id, key, { denied_tools: ['delete_*'] }));
  const gateway = await startGateway({
    config: {
      server: { admin: { port: 0 }, ...more.server },
      auth: { api_keys: entries, ...more.auth },
      rate_limit: { requests_per_second: SLOW, burst_size: 20, ...rateLimit },
      upstream: { servers: ['one', 'two'].map((name) => ({ name, transport: 'http', url: upstream.url, allow_private_networks: true })) },
    },
  });
  const keyOf = (id: string): string => keys.get(id)?.key ?? 'no such identity';
  return {
    gateway,
    keys,
    keyOf,
    call: (id, tool, server = 'one', headers = {}) => rpc(`${gateway.mcp}/${server}`, toolCall(tool), { key: keyOf(id), headers }),
  };
}

function remaining({ headers }: HttpAnswer): number {
  return Number(headers['x-ratelimit-remaining']);
}

function times(count: number, status: number): number[] {
  return Array.from({ length: count }, () => status);
}

async function statuses(count: number, send: (index: number) => Promise<HttpAnswer>): Promise<number[]> {
  const found: number[] = [];
  for (let i = 0; i < count; i++) found.push((await send(i)).status);
  return found;
}

/** What a token given back lacks is what came back in its place meanwhile: so much time brings it. */
function refilledInPlace(): Promise<void> {
  return sleep(1_000);
}

describe('limits of tools', () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await startStage(
      {
        tool_limits: [
          { tool_pattern: 'two:scoped_*', requests_per_second: SLOW, burst_size: 1 },
          { tool_pattern: 'write_*', requests_per_second: SLOW, burst_size: 3 },
          { tool_pattern: 'big', cost: 5 },
          { tool_pattern: 'both', requests_per_second: SLOW, burst_size: 2, cost: 3 },
          { tool_pattern: 'wide', requests_per_second: SLOW, burst_size: 1000 },
        ],
      },
      ['first', 'other', 'servers', 'named', 'cost', 'both', 'share', 'scoped', 'parallel', 'streams'],
    );
  });

  it("row 138: a pattern's limit trips before the caller's, which the refused calls do not touch", async () => {
    const seen = upstream.of('tools/call').length;
    const found = await statuses(8, (index) => stage.call('first', index % 2 === 0 ? 'write_file' : 'write_other'));
    expect(found).toEqual([...times(3, 200), ...times(5, 429)]);
    expect(upstream.of('tools/call')).toHaveLength(seen + 3);
    const next = await stage.call('first', 'read_file');
    expect([next.status, next.headers['x-ratelimit-limit'], remaining(next)]).toEqual([200, '20', 16]);
  });

  it('row 138: there is one bucket per caller and pattern: others have theirs, further servers and paths have none', async () => {
    expect(await statuses(4, () => stage.call('other', 'write_file'))).toEqual([...times(3, 200), 429]);
    const servers = ['one', 'two', 'two/deeper', 'one', 'two'];
    expect(await statuses(5, (index) => stage.call('servers', 'write_a', servers[index]))).toEqual([...times(3, 200), 429, 429]);
  });

  it('row 138: a pattern of one server leaves the tools of others alone', async () => {
    expect(await statuses(3, () => stage.call('scoped', 'scoped_a', 'two'))).toEqual([200, 429, 429]);
    expect(await statuses(3, () => stage.call('scoped', 'scoped_a', 'one'))).toEqual([200, 200, 200]);
  });

  it('row 138: parallel calls get no more than the burst of the pattern between them', async () => {
    const answers = await Promise.all(Array.from({ length: 18 }, (_, index) => stage.call('parallel', `write_${index}`)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(3);
    await refilledInPlace();
    expect(remaining(await stage.call('parallel', 'read_file'))).toBe(16);
  });

  it('row 138: the refusal tells its limit to the operator, and the client no more than the figures', async () => {
    while ((await stage.call('named', 'write_file')).status === 200);
    const refusals = 'mcp_guard_rate_limit_refused_total{limit="tool"}';
    const before = await scrape(stage.gateway, refusals);
    const answer = await stage.call('named', 'write_file', 'one', { 'x-request-id': 'tool-limited' });
    expect(answer.json).toMatchObject({ id: 1, error: { code: -31429, message: 'Rate limit exceeded' } });
    expect(answer.json['error']?.['data']).toEqual({ error_id: expect.any(String), retry_after: 1000 });
    expect(answer.headers).toMatchObject({
      'x-ratelimit-limit': '3',
      'x-ratelimit-remaining': '0',
      'retry-after': '1000',
      'ratelimit-policy': '"tool";q=3;w=3000',
      ratelimit: '"tool";r=0;t=3000',
    });
    expect(answer.body).not.toContain('write_');
    const [record, ...more] = await recordsOf(stage.gateway, 'tool-limited', stage.keyOf('first'), `${stage.gateway.mcp}/one`);
    expect(more).toEqual([]);
    expect(record).toMatchObject({
      event_type: 'rate_limited',
      identity: 'named',
      tool: 'write_file',
      decision: 'deny',
      reason: 'rate_limited',
      limit: 'tool',
      detail: 'rate_limit.tool_limits "write_*"',
    });
    expect((await scrape(stage.gateway, refusals)) - before).toBe(1);
  });

  it('takes the cost of a call from the bucket of its caller, all of it or nothing', async () => {
    const left: number[] = [];
    for (let i = 0; i < 3; i++) left.push(remaining(await stage.call('cost', 'big')));
    left.push(remaining(await stage.call('cost', 'echo')), remaining(await stage.call('cost', 'echo')));
    expect(left).toEqual([15, 10, 5, 4, 3]);
    const refused = await stage.call('cost', 'big', 'one', { 'x-request-id': 'too-dear' });
    expect([refused.status, remaining(refused), refused.headers['ratelimit']]).toEqual([
      429,
      3,
      expect.stringMatching(/^"principal";r=3;t=\d+$/),
    ]);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(1900);
    expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(2000);
    expect(remaining(await stage.call('cost', 'echo'))).toBe(2);
    const [record] = await recordsOf(stage.gateway, 'too-dear', stage.keyOf('first'), `${stage.gateway.mcp}/one`);
    expect(record).toMatchObject({ limit: 'principal', detail: 'cost of rate_limit.tool_limits "big"' });
  });

  it('takes a token of the pattern and the cost together: what one refuses the other keeps', async () => {
    expect([remaining(await stage.call('both', 'both')), remaining(await stage.call('both', 'both'))]).toEqual([1, 0]);
    expect((await stage.call('both', 'both')).status).toBe(429);
    // Two calls of three tokens each; the third took none.
    expect(remaining(await stage.call('both', 'echo'))).toBe(13);
  });

  it('row 143: the figures are those of the limit with the smallest share left', async () => {
    const policies: unknown[] = [];
    for (const tool of ['echo', 'write_a', 'wide', 'write_a']) policies.push((await stage.call('share', tool)).headers['ratelimit']);
    expect(policies).toEqual([
      expect.stringMatching(/^"principal";r=19;t=/),
      expect.stringMatching(/^"tool";r=2;t=/),
      expect.stringMatching(/^"principal";r=17;t=/),
      expect.stringMatching(/^"tool";r=1;t=/),
    ]);
  });
});

describe('a limit for every tool', () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await startStage(
      {
        burst_size: 1000,
        per_tool_default: { requests_per_second: SLOW, burst_size: 2 },
        tool_limits: [{ tool_pattern: 'free_*', requests_per_second: 1000, burst_size: 500 }],
      },
      ['first', 'other', 'long', 'inventor'],
    );
  });

  it('row 139: each caller has a bucket for each tool of each server', async () => {
    expect(await statuses(3, () => stage.call('first', 'echo'))).toEqual([200, 200, 429]);
    expect(await statuses(3, () => stage.call('first', 'read_file'))).toEqual([200, 200, 429]);
    expect(await statuses(3, () => stage.call('first', 'echo', 'two'))).toEqual([200, 200, 429]);
    expect(await statuses(3, () => stage.call('other', 'echo'))).toEqual([200, 200, 429]);
  });

  it('row 139: a pattern beats it, and other messages do not meet it', async () => {
    expect(await statuses(6, () => stage.call('first', 'free_call'))).toEqual(times(6, 200));
    expect(await statuses(6, () => rpc(`${stage.gateway.mcp}/one`, rpcRequest('tools/list'), { key: stage.keyOf('first') }))).toEqual(
      times(6, 200),
    );
    const refused = await stage.call('first', 'echo', 'one', { 'x-request-id': 'default-limited' });
    expect(refused.status).toBe(429);
    const [record] = await recordsOf(stage.gateway, 'default-limited', stage.keyOf('first'), `${stage.gateway.mcp}/one`);
    expect(record).toMatchObject({ limit: 'tool', detail: 'rate_limit.per_tool_default' });
  });

  it('row 139: names that no tool can have share one bucket, whatever a caller makes up', async () => {
    const found = await statuses(5, (index) => stage.call('long', 'x'.repeat(200 + index)));
    expect(found).toEqual([200, 200, 429, 429, 429]);
  });

  it('row 139: names that a caller makes up take nothing from anybody else', async () => {
    await statuses(150, (index) => stage.call('inventor', `made_up_${index}`));
    expect((await stage.call('other', 'read_file')).status).toBe(200);
  });
});

describe('limits of addresses', () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await startStage({ burst_size: 1000, ip: { requests_per_second: SLOW, burst_size: 3 } }, ['first', 'marker'], {
      server: { admin: { port: 0 }, trusted_proxies: ['127.0.0.1'] },
    });
  });

  const from = (address: string, key?: string, headers: Record<string, string> = {}): Promise<HttpAnswer> =>
    rpc(`${stage.gateway.mcp}/one`, rpcRequest('ping', {}, 'mine'), {
      headers: { 'x-forwarded-for': address, ...headers },
      ...(key === undefined ? {} : { key }),
    });

  it('row 140: failed attempts count: who guesses credentials is stopped before any is looked at', async () => {
    expect(await statuses(5, () => from('192.0.2.1', makeKey().key))).toEqual([401, 401, 401, 429, 429]);
    expect(await statuses(4, () => from('192.0.2.2'))).toEqual([401, 401, 401, 429]);
    const failures = 'mcp_guard_auth_total{provider="api_key",result="failure"}';
    const before = await scrape(stage.gateway, failures);
    expect((await from('192.0.2.1', makeKey().key)).status).toBe(429);
    expect(await scrape(stage.gateway, failures)).toBe(before);
  });

  it('row 140: it holds for callers with a credential as well, and other addresses go on', async () => {
    const key = stage.keyOf('first');
    expect(await statuses(5, () => from('192.0.2.3', key))).toEqual([200, 200, 200, 429, 429]);
    expect((await from('192.0.2.4', key)).status).toBe(200);
  });

  it('row 140: an IPv6 /64 is one address', async () => {
    const found = await statuses(6, (index) => from(`2001:db8:7:7:${index + 1}::${index}`, stage.keyOf('first')));
    expect(found).toEqual([200, 200, 200, 429, 429, 429]);
    expect((await from('2001:db8:7:8::1', stage.keyOf('first'))).status).toBe(200);
  });

  it('row 140: the refusal has the shape of every 429, an id of null as nothing was read, and no identity', async () => {
    while ((await from('192.0.2.5')).status === 401);
    const refused = await from('192.0.2.5', stage.keyOf('first'), { 'x-request-id': 'address-limited' });
    const retryAfter = Number(refused.headers['retry-after']);
    expect([refused.status, retryAfter]).toEqual([429, 1000]);
    expect(refused.json).toEqual({
      jsonrpc: '2.0',
      id: null,
      error: { code: -31429, message: 'Rate limit exceeded', data: { error_id: expect.any(String), retry_after: retryAfter } },
    });
    expect(refused.headers['ratelimit-policy']).toBe('"address";q=3;w=3000');
    const lines = await expect
      .poll(async () => (await stage.gateway.auditLines()).filter((line) => line['request_id'] === 'address-limited'))
      .toHaveLength(1)
      .then(() => stage.gateway.auditLines());
    const record = lines.find((line) => line['request_id'] === 'address-limited');
    expect(record).toMatchObject({ event_type: 'rate_limited', limit: 'address', detail: 'rate_limit.ip', client_ip: '192.0.2.5' });
    expect(record).not.toHaveProperty('identity');
  });

  it('row 140: a stranger is not told the figures of the address', async () => {
    const refused = await from('192.0.2.6');
    expect(refused.status).toBe(401);
    expect(Object.keys(refused.headers).filter((name) => name.includes('ratelimit'))).toEqual([]);
  });

  it('row 140: no header of a client that is no proxy gives it another address', async () => {
    const direct = await startStage({ burst_size: 1000, ip: { requests_per_second: SLOW, burst_size: 3 } }, ['first']);
    const send = (index: number): Promise<HttpAnswer> =>
      rpc(`${direct.gateway.mcp}/one`, rpcRequest('ping'), {
        key: direct.keyOf('first'),
        headers: { 'x-forwarded-for': `192.0.2.${index}`, forwarded: `for=192.0.2.${index}`, 'x-real-ip': `192.0.2.${index}` },
      });
    expect(await statuses(5, send)).toEqual([200, 200, 200, 429, 429]);
    await direct.gateway.stop();
  });

  it('row 146: health checks are not limited by address either', async () => {
    while ((await from('192.0.2.7')).status === 401);
    const paths = ['/health', '/healthz', '/live', '/ready'];
    const found = await statuses(40, (index) =>
      http('GET', `${stage.gateway.url}${paths[index % 4]}`, { headers: { 'x-forwarded-for': '192.0.2.7' } }),
    );
    expect(found).toEqual(times(40, 200));
  });

  it('row 140: guesses at the credential of an administrator cost their address as well', async () => {
    const admin = makeKey();
    const guarded = await startGateway({
      config: {
        auth: { api_keys: [keyEntry('admin', admin, { roles: ['admin'] })] },
        rate_limit: { ip: { requests_per_second: SLOW, burst_size: 3 } },
        upstream: { transport: 'http', url: upstream.url, allow_private_networks: true },
      },
    });
    const guess = (): Promise<HttpAnswer> => http('GET', `${guarded.url}/metrics`, { key: makeKey().key });
    expect(await statuses(5, guess)).toEqual([401, 401, 401, 429, 429]);
    await guarded.stop();
  });
});

describe('limits of methods', () => {
  let stage: Stage;

  beforeAll(async () => {
    const method_limits = [
      { method: 'tools/list', requests_per_second: SLOW, burst_size: 2 },
      { method: 'tools/call', requests_per_second: SLOW, burst_size: 4 },
      { method: 'notifications/cancelled', requests_per_second: SLOW, burst_size: 1 },
    ];
    const tool_limits = [{ tool_pattern: 'write_*', requests_per_second: SLOW, burst_size: 1 }];
    stage = await startStage({ method_limits, tool_limits }, ['lists', 'other', 'calls', 'notes']);
  });

  const send = (id: string, message: unknown, headers: Record<string, string> = {}): Promise<HttpAnswer> =>
    rpc(`${stage.gateway.mcp}/one`, message, { key: stage.keyOf(id), headers });

  it('row 140: a method has a limit per caller, which leaves other methods and callers alone', async () => {
    expect(await statuses(4, () => send('lists', rpcRequest('tools/list')))).toEqual([200, 200, 429, 429]);
    const ping = await send('lists', rpcRequest('ping'));
    // Two lists and this; refused ones cost nothing.
    expect([ping.status, remaining(ping)]).toEqual([200, 17]);
    expect((await send('other', rpcRequest('tools/list'))).status).toBe(200);
    const refused = await send('lists', rpcRequest('tools/list', {}, 'the id'), { 'x-request-id': 'method-limited' });
    expect(refused.json).toMatchObject({ id: 'the id', error: { message: 'Rate limit exceeded', data: { retry_after: 1000 } } });
    const [record] = await recordsOf(stage.gateway, 'method-limited', stage.keyOf('other'), `${stage.gateway.mcp}/one`);
    expect(record).toMatchObject({ event_type: 'rate_limited', limit: 'method', detail: 'rate_limit.method_limits "tools/list"' });
  });

  it('row 140: a call meets the limits of its tool and of its method; what one refuses the other keeps', async () => {
    expect(await statuses(4, () => stage.call('calls', 'write_a'))).toEqual([200, 429, 429, 429]);
    expect(await statuses(5, () => stage.call('calls', 'echo'))).toEqual([200, 200, 200, 429, 429]);
  });

  it('row 140: notifications meet theirs', async () => {
    const notice = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } };
    expect(await statuses(2, () => send('notes', notice))).toEqual([202, 429]);
  });
});

describe('calls that policy denies', () => {
  it.each([
    [true, [200, 403, 403, 429, 429]],
    [false, [200, 403, 403, 200, 200]],
  ])('row 147: with count_denied = %s they cost what it says', async (count_denied, expected) => {
    const stage = await startStage({ burst_size: 3, count_denied, tool_limits: [{ tool_pattern: 'delete_*', cost: 3 }] }, ['first']);
    const tools = ['echo', 'delete_file', 'delete_other', 'echo', 'echo'];
    expect(await statuses(5, (index) => stage.call('first', tools[index] as string))).toEqual(expected);
    await stage.gateway.stop();
  });

  it('row 147: where they are free, they are free for the limits of tools as well, however many', async () => {
    const stage = await startStage({ burst_size: 5, count_denied: false, per_tool_default: { requests_per_second: SLOW, burst_size: 1 } }, [
      'first',
    ]);
    expect(await statuses(30, () => stage.call('first', 'delete_file'))).toEqual(times(30, 403));
    await refilledInPlace();
    expect(remaining(await stage.call('first', 'delete_file'))).toBe(5);
    expect(await statuses(2, () => stage.call('first', 'echo'))).toEqual([200, 429]);
    await stage.gateway.stop();
  });
});

describe('the view of all limits', () => {
  it('names who is refused first, by which limit, and no credential', async () => {
    const stage = await startStage(
      { ip: { requests_per_second: 1000 }, tool_limits: [{ tool_pattern: 'write_*', requests_per_second: SLOW, burst_size: 2 }] },
      ['calm', 'hasty'],
    );
    await statuses(5, () => stage.call('hasty', 'write_a'));
    await statuses(3, () => stage.call('calm', 'echo'));
    const { status, json, body } = await http('GET', `${stage.gateway.adminUrl}/admin/api/limits`);
    expect(status).toBe(200);
    const buckets = json['buckets'] as unknown as Record<string, unknown>[];
    expect(buckets[0]).toEqual({
      key: 'tool:api_key:hasty "write_*"',
      limit: 'tool',
      requests_per_second: SLOW,
      burst: 2,
      remaining: 0,
      refused: 3,
      denied_for_ms: expect.any(Number),
      mode: 'remote',
      leases: [{ worker: 0, tokens: 0 }],
    });
    expect(Number(buckets[0]?.['denied_for_ms'])).toBeGreaterThan(900_000);
    const seen = buckets.map(({ key, limit, remaining: left, refused }) => [key, limit, left, refused]);
    expect(seen).toContainEqual(['api_key:calm', 'principal', 17, 0]);
    expect(seen).toContainEqual(['api_key:hasty', 'principal', 18, 0]);
    expect(seen).toContainEqual(['address:127.0.0.1', 'address', expect.any(Number), 0]);
    expect(json['authority']).toEqual({ kind: 'worker', mode: 'remote', size: 4, asks: 0, denials: 0, recalls: 0, tokens: 0 });
    for (const { key, hash } of stage.keys.values()) expect(body.includes(key) || body.includes(hash)).toBe(false);
    await stage.gateway.stop();
  });
});

describe('limits that are off', () => {
  it('row 145: with enabled = false no limit of any kind refuses, costs or shows anything', async () => {
    const tiny = { requests_per_second: SLOW, burst_size: 1 };
    const stage = await startStage(
      {
        enabled: false,
        burst_size: 10,
        ip: tiny,
        per_tool_default: tiny,
        tool_limits: [{ tool_pattern: 'write_*', ...tiny, cost: 5 }],
        method_limits: [{ method: 'tools/call', ...tiny }],
      },
      ['first'],
    );
    expect(await statuses(40, (index) => stage.call('first', index % 2 === 0 ? 'write_a' : 'echo'))).toEqual(times(40, 200));
    const answer = await stage.call('first', 'write_a');
    expect(Object.keys(answer.headers).filter((name) => name.includes('ratelimit'))).toEqual([]);
    expect(await scrape(stage.gateway, 'mcp_guard_active_identities')).toBe(0);
    await stage.gateway.stop();
  });
});
