import { beforeAll, describe, expect, it } from 'vitest';
import { parseExposition, valueOf, type ParsedFamily } from '../observe/support.ts';
import {
  http,
  keyEntry,
  makeKey,
  rawExchange,
  rpc,
  rpcRequest,
  rpcStream,
  startGateway,
  startHttpUpstream,
  stdioUpstream,
  toolCall,
  waitUntil,
  type Gateway,
} from './harness.ts';

type Families = Map<string, ParsedFamily>;
type Labels = Record<string, string>;

const ALICE = makeKey();
/** Callers with a single token, one for each attempt of a test. */
const ONCE = [makeKey(), makeKey()];
const ADMIN = makeKey();
const TOKEN = makeKey();
const unlimited = { rate_limit: 10_000, burst: 10_000 };
const auth = {
  api_keys: [
    keyEntry('alice', ALICE, { ...unlimited, denied_tools: ['delete_*'] }),
    ...ONCE.map((key, n) => keyEntry(`once-${n}`, key, { rate_limit: 0.01, burst: 1 })),
    keyEntry('root', ADMIN, { roles: ['admin'], ...unlimited }),
  ],
};

/** Answers calls of two tools, and all others as servers do: with a JSON-RPC error or with `isError`. */
async function startUpstream(): Promise<string> {
  const upstream = await startHttpUpstream({
    answer: ({ message }) => {
      const name = String((message['params'] as { name?: unknown } | undefined)?.name);
      if (message['method'] !== 'tools/call' || ['echo', 'read_file'].includes(name)) return undefined;
      const { id } = message;
      if (name === 'silent') return { isSilent: true };
      if (name.length % 2 === 0) return { body: { jsonrpc: '2.0', id, error: { code: -32602, message: 'Unknown tool' } } };
      return { body: { jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: 'Tool not found' }], isError: true } } };
    },
  });
  return upstream.url;
}

let gateway: Gateway;
let remote: Record<string, unknown>;

beforeAll(async () => {
  remote = { transport: 'http', url: await startUpstream(), allow_private_networks: true };
  gateway = await startGateway({
    config: {
      auth,
      server: { admin: { tokens: [TOKEN.hash] } },
      upstream: {
        servers: [
          { name: 'web', path_prefix: '/', ...remote, timeout_secs: 3 },
          { name: 'child', ...stdioUpstream() },
          { name: 'dead', transport: 'http', url: 'http://127.0.0.1:1/mcp', allow_private_networks: true, required: false },
        ],
      },
    },
  });
});

async function scrape(of: Gateway = gateway): Promise<Families> {
  const { status, body, headers } = await http('GET', `${of.url}/metrics`, { key: ADMIN.key });
  expect([status, headers['content-type']]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8']);
  return parseExposition(body);
}

/** How much a series grew while `work` ran. */
async function growth(series: readonly (readonly [string, Labels])[], work: () => Promise<unknown>): Promise<number[]> {
  const before = await scrape();
  await work();
  const after = await scrape();
  return series.map(([name, labels]) => (valueOf(after, name, labels) ?? 0) - (valueOf(before, name, labels) ?? 0));
}

const call = (tool: string, key: string = ALICE.key, path = ''): Promise<{ status: number }> =>
  rpc(gateway.mcp + path, toolCall(tool), { key });

function labelSets(families: Families, name: string): string[][] {
  return (families.get(name)?.samples ?? []).map(({ labels }) => Object.keys(labels));
}

describe('/metrics', () => {
  it('row 211: is valid exposition text with HELP and TYPE, before and after anything happened', async () => {
    const fresh = await startGateway({ config: { auth, upstream: remote } });
    const first = await scrape(fresh);
    expect(first.size).toBeGreaterThan(20);
    for (const [name, { help, type }] of first) {
      expect(name).toMatch(/^(mcp_guard|process)_[a-z0-9_]+$/);
      expect(help.length).toBeGreaterThan(10);
      if (type === 'counter') expect(name).toMatch(/_total$/);
      else expect(name).not.toMatch(/_total$/);
    }
    await fresh.stop();
  });

  it('row 211: stays valid whatever clients call themselves, their tools and their methods', async () => {
    const evil = ['a"b', 'a\\b', 'a\nb', '}', '# HELP x', 'a{b="c"} 1', '\u2028', '', ' ', 'é', '\u0000', `"} 1\nmcp_guard_up 1`];
    for (const name of evil) {
      await rpc(gateway.mcp, toolCall(name), { key: ALICE.key });
      await rpc(`${gateway.mcp}/child`, toolCall(name), { key: ALICE.key });
      await rpc(gateway.mcp, rpcRequest(name), { key: ALICE.key });
      await http('GET', `${gateway.url}/${encodeURIComponent(name)}`, { headers: { 'x-request-id': name.replaceAll(/[^!-~]/g, '') } });
    }
    const families = await scrape();
    expect(families.has('mcp_guard_up')).toBe(false);
  });

  it('row 211: is whole for scrapes that come together, and over HEAD has no body', async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => scrape()));
    expect(new Set(all.map((families) => [...families.keys()].join())).size).toBe(1);
    const head = await http('HEAD', `${gateway.url}/metrics`, { key: ADMIN.key });
    expect([head.status, head.body]).toEqual([200, '']);
  });

  it('row 212: has the names, labels and types that dashboards rely on', async () => {
    await call('echo');
    await call('silent');
    await call('echo', ALICE.key, '/dead');
    await rpc(`${gateway.mcp}/child`, toolCall('echo'), { key: ALICE.key });
    const families = await scrape();
    const expected: readonly (readonly [string, string, readonly string[]])[] = [
      ['mcp_guard_requests_total', 'counter', ['method', 'status']],
      ['mcp_guard_request_duration_seconds', 'histogram', ['method']],
      ['mcp_guard_auth_total', 'counter', ['provider', 'result']],
      ['mcp_guard_rate_limit_total', 'counter', ['allowed']],
      ['mcp_guard_active_identities', 'gauge', []],
      ['mcp_guard_upstream_latency_seconds', 'histogram', ['server', 'transport', 'result']],
      ['mcp_guard_upstream_requests_total', 'counter', ['server', 'transport', 'result']],
      ['mcp_guard_tool_calls_total', 'counter', ['server', 'tool']],
      ['mcp_guard_blocked_total', 'counter', []],
      ['mcp_guard_connections', 'gauge', []],
      ['mcp_guard_sse_active', 'gauge', []],
      ['mcp_guard_uptime_seconds', 'gauge', []],
      ['mcp_guard_audit_queue_bytes', 'gauge', ['output']],
      ['mcp_guard_audit_dropped_total', 'counter', ['where']],
      ['mcp_guard_upstream_up', 'gauge', ['server', 'transport']],
    ];
    for (const [name, type, labels] of expected) {
      expect([name, families.get(name)?.type]).toEqual([name, type]);
      const seen = labelSets(families, name);
      expect([name, seen.length > 0]).toEqual([name, true]);
      for (const one of seen) expect([name, ...one.filter((label) => label !== 'le')]).toEqual([name, ...labels]);
    }
  });

  it('row 212: counts what happened, exactly', async () => {
    const once = ONCE.pop()?.key;
    const web = { server: 'web', transport: 'http' };
    const grown = await growth(
      [
        ['mcp_guard_requests_total', { method: 'tools/call', status: '200' }],
        ['mcp_guard_requests_total', { method: 'tools/call', status: '403' }],
        ['mcp_guard_requests_total', { method: 'tools/list', status: '200' }],
        ['mcp_guard_rate_limit_total', { allowed: 'true' }],
        ['mcp_guard_rate_limit_total', { allowed: 'false' }],
        ['mcp_guard_upstream_requests_total', { ...web, result: 'success' }],
        ['mcp_guard_upstream_requests_total', { ...web, result: 'error' }],
        ['mcp_guard_upstream_requests_total', { ...web, result: 'timeout' }],
        ['mcp_guard_upstream_requests_total', { server: 'dead', transport: 'http', result: 'refused' }],
        ['mcp_guard_refusals_total', { reason: 'tool_denied' }],
        ['mcp_guard_audit_records_total', {}],
      ],
      async () => {
        // Records count when they are handed over: those that count already have to be written before lines are counted.
        const handedOver = valueOf(await scrape(), 'mcp_guard_audit_records_total', {}) ?? 0;
        await waitUntil(async () => (await gateway.auditLines()).length >= handedOver, { what: 'the records before' });
        const before = (await gateway.auditLines()).length;
        for (let i = 0; i < 5; i++) await call('echo');
        await call('delete_file');
        await call('even');
        await call('silent');
        await call('echo', ALICE.key, '/dead');
        await rpc(gateway.mcp, rpcRequest('tools/list'), { key: ALICE.key });
        await call('echo', once);
        await call('echo', once);
        // Workers hand records over in batches.
        await waitUntil(async () => (await gateway.auditLines()).length >= before + 12 + 8, { what: 'the records' });
      },
    );
    const [ok, denied, lists, allowed, refused, success, error, timeout, unsent, reason, records] = grown;
    expect({ ok, denied, lists, allowed, refused, success, error, timeout, unsent, reason }).toEqual({
      ok: 7, denied: 1, lists: 1, allowed: 11, refused: 1, success: 7, error: 1, timeout: 1, unsent: 1, reason: 1,
    }); // biome-ignore format: one table
    // Each of 12 requests closes once, 8 were calls that went out, and the caller with one token arrived; the scrapes' own come on top.
    expect(records).toBeGreaterThanOrEqual(12 + 8);
  });

  it('row 213: durations are true histograms with the documented edges and finer ones below a millisecond', async () => {
    const edges = ['0.0005', '0.001', '0.002', '0.005', '0.01', '0.025', '0.05', '0.1', '0.25', '0.5', '1', '2.5', '5', '10', '+Inf'];
    for (let i = 0; i < 10; i++) await call('echo');
    const families = await scrape();
    for (const [name, labels] of [
      ['mcp_guard_request_duration_seconds', { method: 'tools/call' }],
      ['mcp_guard_upstream_latency_seconds', { server: 'web', transport: 'http', result: 'success' }],
    ] as const) {
      const buckets = (families.get(name)?.samples ?? []).filter(
        (sample) => sample.name === `${name}_bucket` && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
      );
      const found = buckets.map((sample) => String(sample.labels['le']));
      expect(found).toEqual(expect.arrayContaining(edges));
      expect(found.filter((le) => Number(le) < 0.0005).length).toBeGreaterThanOrEqual(2);
      expect(valueOf(families, `${name}_count`, labels)).toBeGreaterThanOrEqual(10);
      expect(valueOf(families, `${name}_sum`, labels)).toBeGreaterThan(0);
    }
  });

  it('row 213: a slow request falls into the bucket of its duration, and the sum grows by it', async () => {
    const method = { method: 'tools/call' };
    const name = 'mcp_guard_request_duration_seconds';
    const [below, above, count, sum] = await growth(
      [
        [`${name}_bucket`, { ...method, le: '0.25' }],
        [`${name}_bucket`, { ...method, le: '0.5' }],
        [`${name}_count`, method],
        [`${name}_sum`, method],
      ],
      () => rpc(`${gateway.mcp}/child`, toolCall('sleep', { ms: 280 }), { key: ALICE.key }),
    );
    expect({ below, above, count }).toEqual({ below: 0, above: 1, count: 1 });
    expect(sum).toBeGreaterThan(0.28);
    expect(sum).toBeLessThan(0.5);
  });

  it('row 214: the provider is the one that decided, among several', async () => {
    const open = await startGateway({
      config: { auth: { ...auth, allow_anonymous: true }, server: { admin: { tokens: [TOKEN.hash] } }, upstream: remote },
    });
    const ping = (headers: Record<string, string> = {}): Promise<{ status: number }> => rpc(open.mcp, rpcRequest('ping'), { headers });
    await ping();
    await ping();
    await ping({ authorization: `Bearer ${ALICE.key}` });
    await ping({ authorization: `Bearer ${makeKey().key}` });
    await ping({ authorization: 'Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln' });
    await ping({ authorization: 'Bearer opaque-thing' });
    await http('GET', `${open.url}/routes`, { key: TOKEN.key });
    const families = await scrape(open);
    const auths = (families.get('mcp_guard_auth_total')?.samples ?? []).map(({ labels, value }) => [
      labels['provider'],
      labels['result'],
      value,
    ]);
    expect(auths.toSorted()).toEqual([
      ['admin_token', 'success', 1],
      ['anonymous', 'success', 2],
      ['api_key', 'failure', 1],
      ['api_key', 'success', 2],
      ['jwt', 'failure', 1],
      ['unknown', 'failure', 1],
    ]);
    await open.stop();
  });

  it('row 214: an attempt without a credential is a failure of none', async () => {
    const grown = await growth([['mcp_guard_auth_total', { provider: 'none', result: 'failure' }]], () =>
      rpc(gateway.mcp, rpcRequest('ping')),
    );
    expect(grown).toEqual([1]);
  });

  it('row 215: what was blocked, and every tool call by server and tool', async () => {
    const tool = (server: string, name: string): [string, Labels] => ['mcp_guard_tool_calls_total', { server, tool: name }];
    const grown = await growth(
      [['mcp_guard_blocked_total', {}], tool('web', 'echo'), tool('web', 'read_file'), tool('child', 'echo'), tool('web', 'delete_file')],
      async () => {
        for (const name of ['echo', 'echo', 'read_file', 'delete_file', 'delete_all']) await call(name);
        await rpc(`${gateway.mcp}/child`, toolCall('echo'), { key: ALICE.key });
        await http('GET', `${gateway.url}/routes`, { key: ALICE.key });
      },
    );
    expect(grown).toEqual([3, 2, 1, 1, 0]);
  });

  it('row 215: event streams while they are open, and the time since the start', async () => {
    const before = await scrape();
    const streams = await Promise.all(
      [1, 2].map(() =>
        rpcStream(`${gateway.mcp}/child`, toolCall('progress', { steps: 100, ms: 50 }, 1, { progressToken: 'p' }), { key: ALICE.key }),
      ),
    );
    for (const stream of streams) await stream.awaitEvents(1);
    expect(valueOf(await scrape(), 'mcp_guard_sse_active')).toBe(2);
    for (const stream of streams) stream.leave();
    await waitUntil(async () => valueOf(await scrape(), 'mcp_guard_sse_active') === 0, { what: 'both streams have ended' });
    const done = await rpc(`${gateway.mcp}/child`, toolCall('progress', { steps: 2, ms: 1 }, 1, { progressToken: 'p' }), {
      key: ALICE.key,
    });
    expect(done.events).toHaveLength(3);
    const after = await scrape();
    expect(valueOf(after, 'mcp_guard_sse_active')).toBe(0);
    const upMs = (families: Families): number => (valueOf(families, 'mcp_guard_uptime_seconds') ?? 0) * 1000;
    expect(upMs(after)).toBeGreaterThan(upMs(before));
    expect(upMs(after)).toBeLessThan(600_000);
  });

  it('row 215: figures are those of all workers together', async () => {
    const fleet = await startGateway({ config: { auth, server: { workers: 3 }, upstream: remote } });
    const statuses = await Promise.all(Array.from({ length: 60 }, () => rpc(fleet.mcp, toolCall('echo'), { key: ALICE.key })));
    expect(new Set(statuses.map(({ status }) => status))).toEqual(new Set([200]));
    const scrapes = await Promise.all(Array.from({ length: 6 }, () => scrape(fleet)));
    for (const families of scrapes) {
      expect(valueOf(families, 'mcp_guard_tool_calls_total', { server: 'default', tool: 'echo' })).toBe(60);
      expect(valueOf(families, 'mcp_guard_workers')).toBe(3);
    }
    await fleet.stop();
  });
});

describe('label bounds', () => {
  const seriesOf = (families: Families): number => [...families.values()].reduce((sum, { samples }) => sum + samples.length, 0);
  const valuesOf = (families: Families, name: string, label: string): Set<string> =>
    new Set((families.get(name)?.samples ?? []).map(({ labels }) => String(labels[label])));

  it('row 216: random methods, tools, paths, servers and HTTP methods collapse to other', async () => {
    const random = (prefix: string, index: number): string => `${prefix}_${(index * 2_654_435_761).toString(36)}`;
    const flood = async (from: number, to: number): Promise<void> => {
      for (let i = from; i < to; i++) {
        await Promise.all([
          call(random('tool', i)),
          rpc(gateway.mcp, rpcRequest(random('method', i)), { key: ALICE.key }),
          rpc(gateway.mcp, { jsonrpc: '2.0', method: `notifications/${random('n', i)}` }, { key: ALICE.key }),
          call('echo', ALICE.key, `/${random('server', i)}`),
          http('GET', `${gateway.url}/${random('path', i)}`),
          http('GET', `${gateway.url}/.well-known/oauth-protected-resource/${random('path', i)}`),
          rpc(gateway.mcp, rpcRequest('ping'), { key: makeKey().key, headers: { authorization: `${random('Scheme', i)} x` } }),
        ]);
      }
      await rawExchange(gateway.port, [`${random('METHOD', from).toUpperCase()} / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`], { quietMs: 300 });
    };
    await flood(0, 4);
    const before = await scrape();
    const names = [...before.keys()];
    const [tools, others] = await growth(
      [
        ['mcp_guard_tool_calls_total', { server: 'web', tool: 'other' }],
        ['mcp_guard_requests_total', { method: 'other', status: '200' }],
      ],
      () => flood(4, 104),
    );
    const after = await scrape();
    expect([tools, others]).toEqual([100, 100]);
    expect([...after.keys()]).toEqual(names);
    expect(seriesOf(after) - seriesOf(before)).toBeLessThan(10);
    const known = new Set(['echo', 'read_file', 'other']);
    const shown = (after.get('mcp_guard_tool_calls_total')?.samples ?? []).filter(({ labels }) => labels['server'] === 'web');
    for (const { labels } of shown) expect(known).toContain(labels['tool']);
    const methods = valuesOf(after, 'mcp_guard_requests_total', 'method');
    expect([...methods].filter((method) => /^(method|notifications|METHOD)_|[0-9]/.test(method))).toEqual([]);
    expect(methods).toContain('other');
    expect(valuesOf(after, 'mcp_guard_upstream_requests_total', 'server')).toEqual(new Set(['web', 'child', 'dead']));
  });

  it('row 216: a server that answers any tool gets a bounded number of series, and real calls are counted still', async () => {
    // The stdio fixture answers whatever it is asked for.
    const child = `${gateway.mcp}/child`;
    for (let i = 0; i < 260; i += 10)
      await Promise.all(Array.from({ length: 10 }, (_, k) => rpc(child, toolCall(`any_${i + k}`), { key: ALICE.key })));
    const families = await scrape();
    const samples = (families.get('mcp_guard_tool_calls_total')?.samples ?? []).filter(({ labels }) => labels['server'] === 'child');
    expect(samples.length).toBeLessThanOrEqual(201);
    expect(samples.find(({ labels }) => labels['tool'] === 'other')?.value).toBeGreaterThanOrEqual(60);
    const [again] = await growth([['mcp_guard_tool_calls_total', { server: 'child', tool: 'echo' }]], () =>
      rpc(child, toolCall('echo'), { key: ALICE.key }),
    );
    expect(again).toBe(1);
  });

  it('row 216: no credential becomes a label', async () => {
    const secret = makeKey().key;
    for (const name of [secret, `x-${secret}`, 'Bearer abcdefghijklmnop', 'password=hunter2hunter2'])
      await rpc(`${gateway.mcp}/child`, toolCall(name), { key: ALICE.key });
    const { body } = await http('GET', `${gateway.url}/metrics`, { key: ADMIN.key });
    for (const text of [secret, 'hunter2', 'abcdefghijklmnop']) expect(body).not.toContain(text);
  });
});
