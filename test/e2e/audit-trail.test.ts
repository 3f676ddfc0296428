import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { startAudited, type AskOptions, type AuditedGateway } from './audited-gateway.ts';
import { http, keyEntry, makeKey, rpc, rpcRequest, rpcStream, startGateway, toolCall, waitUntil, type Gateway } from './harness.ts';
import { machineMs } from './load.ts';

/** What a record may hold, in this order. Programs read it: a change here is a change for everybody. */
const SCHEMA: readonly (readonly [string, 'string' | 'number'])[] = [
  ['timestamp', 'string'],
  ['event_type', 'string'],
  ['seq', 'number'],
  ['worker', 'number'],
  ['request_id', 'string'],
  ['identity', 'string'],
  ['provider', 'string'],
  ['client_ip', 'string'],
  ['server', 'string'],
  ['method', 'string'],
  ['tool', 'string'],
  ['resource', 'string'],
  ['decision', 'string'],
  ['reason', 'string'],
  ['limit', 'string'],
  ['decided_ms', 'number'],
  ['detail', 'string'],
  ['status', 'number'],
  ['duration_ms', 'number'],
  ['error_id', 'string'],
  ['policy_version', 'string'],
];
const ALWAYS = ['timestamp', 'event_type', 'seq', 'worker', 'request_id', 'client_ip', 'method', 'decision', 'policy_version'];
let audited: AuditedGateway;
let gateway: Gateway;

beforeAll(async () => {
  audited = await startAudited();
  gateway = audited.gateway;
});

describe('the audit trail', () => {
  it('row 198: every way in which a request ends has its own event', async () => {
    const at = (path: string): { url: string } => ({ url: `${gateway.url}${path}` });
    const eventOf = async (message: unknown, options: AskOptions = {}): Promise<unknown[]> => {
      const { answer, closing } = await audited.ask(message, options);
      return [answer.status, closing['event_type'], closing['reason']];
    };
    const call = toolCall('echo');
    expect(await eventOf(call)).toEqual([200, 'tool_response', undefined]);
    expect(await eventOf(rpcRequest('tools/list'))).toEqual([200, 'request', undefined]);
    expect(await eventOf(rpcRequest('initialize', { protocolVersion: '2025-06-18' }))).toEqual([200, 'request', undefined]);
    expect(await eventOf({ jsonrpc: '2.0', method: 'notifications/initialized' })).toEqual([202, 'request', undefined]);
    expect(await eventOf(toolCall('fail'))).toEqual([200, 'tool_response', 'upstream_answered_error_-32042']);
    expect(await eventOf(call, { key: makeKey().key })).toEqual([401, 'auth_failure', 'invalid_credential']);
    expect(await eventOf(call, { key: audited.keys.gone.key })).toEqual([401, 'auth_failure', 'expired_credential']);
    expect(await eventOf(call, { headers: { authorization: undefined } })).toEqual([401, 'auth_failure', 'missing_credential']);
    expect(await eventOf(toolCall('delete_file'))).toEqual([403, 'authz_denied', 'tool_denied']);
    expect(await eventOf(call, at('/mcp/private'))).toEqual([403, 'authz_denied', 'server_denied']);
    expect(await eventOf(toolCall('forbidden_fruit'))).toEqual([403, 'policy_denied', 'policy_denied']);
    await rpc(gateway.mcp, call, { key: audited.keys.bob.key });
    expect(await eventOf(call, { key: audited.keys.bob.key })).toEqual([429, 'rate_limited', 'rate_limited']);
    expect(await eventOf('{"jsonrpc":')).toEqual([400, 'request_refused', 'bad_json']);
    expect(await eventOf(call, at('/mcp//files'))).toEqual([400, 'request_refused', 'bad_target']);
    expect(await eventOf(call, { headers: { host: 'evil.example' } })).toEqual([403, 'request_refused', 'host_denied']);
    expect(await eventOf(call, { headers: { 'content-type': 'text/plain' } })).toEqual([415, 'request_refused', 'content_type']);
    expect(await eventOf(rpcRequest('no/such'))).toEqual([200, 'request_refused', 'method_not_found']);
    expect(await eventOf(call, at('/mcp/dead'))).toEqual([503, 'upstream_error', 'upstream_unavailable']);
    expect(await eventOf(toolCall('dropped'))).toEqual([502, 'upstream_error', 'upstream_error']);
    expect(await eventOf(toolCall('silent'))).toEqual([504, 'upstream_error', 'upstream_timeout']);
  });

  it('row 198: what administrators do is recorded, and what others try of it is a denial', async () => {
    const events: unknown[] = [];
    for (const [path, key] of [
      ['/routes', audited.keys.root.key],
      ['/metrics', audited.keys.root.key],
      ['/routes', audited.keys.alice.key],
      ['/metrics', undefined],
    ] as const) {
      const id = `admin-${events.length}`;
      const answer = await http('GET', gateway.url + path, { ...(key === undefined ? {} : { key }), headers: { 'x-request-id': id } });
      const { closing } = await audited.recordedAs(id, answer);
      events.push([answer.status, closing['event_type'], closing['identity'], closing['method']]);
    }
    expect(events).toEqual([
      [200, 'admin_action', 'root', 'routes'],
      [200, 'admin_action', 'root', 'metrics'],
      [403, 'authz_denied', 'alice', 'routes'],
      [401, 'auth_failure', undefined, 'metrics'],
    ]);
  });

  it('row 198: a principal’s arrival is recorded once for its address, not once for each request', async () => {
    for (let i = 0; i < 3; i++) await audited.ask(rpcRequest('ping'), { key: audited.keys.slow.key });
    const lines = (await gateway.auditLines()).filter(({ identity, event_type }) => identity === 'slow' && event_type === 'auth_success');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ provider: 'api_key', client_ip: '127.0.0.1', decision: 'allow' });
  });

  it('row 198: served health checks leave no record, whoever asks and however often', async () => {
    for (const path of ['/health', '/healthz', '/live', '/ready']) {
      for (let i = 0; i < 5; i++)
        expect((await http('GET', gateway.url + path, { headers: { 'x-request-id': `probe-${path.slice(1)}` } })).status).toBe(200);
    }
    await audited.ask(rpcRequest('ping'));
    expect((await gateway.auditLines()).filter(({ request_id }) => String(request_id).startsWith('probe-'))).toEqual([]);
  });

  it('row 200: one call is one tool_call and one tool_response with its duration', async () => {
    const started = performance.now();
    const { records } = await audited.ask(toolCall('delayed', {}, 'my-id'));
    const tookMs = performance.now() - started;
    expect(records.map(({ event_type }) => event_type)).toEqual(['tool_call', 'tool_response']);
    const [call, response] = records;
    for (const record of records) expect(record).toMatchObject({ identity: 'alice', server: 'files', tool: 'delayed', decision: 'allow' });
    expect(call).not.toHaveProperty('duration_ms');
    expect(call).not.toHaveProperty('status');
    expect(response?.['status']).toBe(200);
    expect(response?.['duration_ms']).toBeGreaterThanOrEqual(119);
    expect(response?.['duration_ms']).toBeLessThan(tookMs);
    expect(Date.parse(String(response?.['timestamp'])) - Date.parse(String(call?.['timestamp']))).toBeGreaterThanOrEqual(110);
  });

  it('row 200: calls that are refused, repeated, streamed or abandoned are counted right as well', async () => {
    const typesOf = async (message: unknown): Promise<unknown[]> =>
      (await audited.ask(message)).records.map(({ event_type }) => event_type);
    expect(await typesOf(toolCall('delete_file'))).toEqual(['authz_denied']);
    expect(await typesOf(toolCall('silent'))).toEqual(['tool_call', 'upstream_error']);
    const progress = await audited.ask(toolCall('progress', { steps: 2, ms: 5 }, 1, { progressToken: 'p' }), {
      url: `${gateway.url}/mcp/child`,
    });
    expect(progress.answer.events.length).toBe(3);
    expect(progress.records.map(({ event_type }) => event_type)).toEqual(['tool_call', 'tool_response']);
    // The same JSON-RPC id again and again is another request each time.
    const before = await countOf('tool_call');
    await Promise.all(Array.from({ length: 20 }, () => rpc(gateway.mcp, toolCall('echo', {}, 7), { key: audited.keys.alice.key })));
    await audited.ask(rpcRequest('ping'));
    expect((await countOf('tool_call')) - before).toBe(20);
    expect(await countOf('tool_call')).toBe((await countOf('tool_response')) + (await countOf('upstream_error', 'tools/call', true)));
  });

  it('row 200: a client that leaves has its tool_response too, as 499 and client_gone', async () => {
    const stream = await rpcStream(`${gateway.url}/mcp/child`, toolCall('progress', { steps: 50, ms: 50 }, 1, { progressToken: 'p' }), {
      key: audited.keys.slow.key,
    });
    await stream.awaitEvents(1);
    stream.leave();
    const gone = await waitUntil(
      async () => (await gateway.auditLines()).find(({ reason, identity }) => reason === 'client_gone' && identity === 'slow'),
      { what: 'the record of the client that left' },
    );
    expect(gone).toMatchObject({ event_type: 'tool_response', status: 499, tool: 'progress', decision: 'allow' });
    const same = (await gateway.auditLines()).filter(({ request_id }) => request_id === gone['request_id']);
    expect(same.map(({ event_type }) => event_type)).toEqual(['tool_call', 'tool_response']);
  });

  it('row 199: a record says who, from where, what, how decided, why, how long, and under which ids', async () => {
    const fromMs = machineMs();
    const { answer, closing } = await audited.ask(toolCall('delete_file', { path: 'x' }));
    expect(closing['decided_ms']).toBeGreaterThan(fromMs);
    expect(closing['decided_ms']).toBeLessThan(machineMs());
    expect(closing).toEqual({
      timestamp: expect.stringMatching(/Z$/) as string,
      event_type: 'authz_denied',
      seq: expect.any(Number) as number,
      worker: 0,
      request_id: answer.headers['x-request-id'],
      identity: 'alice',
      provider: 'api_key',
      client_ip: '127.0.0.1',
      server: 'files',
      method: 'tools/call',
      tool: 'delete_file',
      decision: 'deny',
      reason: 'tool_denied',
      decided_ms: expect.any(Number) as number,
      detail: 'denied_tools "delete_*"',
      status: 403,
      duration_ms: expect.any(Number) as number,
      error_id: answer.json['error']?.['data']?.['error_id'],
      policy_version: expect.stringMatching(/^[0-9a-f]{16}$/) as string,
    });
    const read = await audited.ask(rpcRequest('resources/read', { uri: 'file:///etc/hosts?x=1' }));
    expect(read.closing).toMatchObject({ method: 'resources/read', resource: 'file:///etc/hosts?x=1', event_type: 'request' });
    expect(read.closing).not.toHaveProperty('tool');
    const nobody = await audited.ask(toolCall('echo'), { key: makeKey().key });
    for (const name of ['identity', 'tool', 'server']) expect(nobody.closing).not.toHaveProperty(name);
  });

  it('row 199: the failure’s id is one and the same in the answer, the trail and the log', async () => {
    const { answer, closing } = await audited.ask(toolCall('dropped'));
    const errorId = String(answer.json['error']?.['data']?.['error_id']);
    expect(closing['error_id']).toBe(errorId);
    await waitUntil(() => gateway.stderr().includes(errorId), { what: 'the log line' });
  });

  it('row 197: every line parses, has the same fields in the same order, and tells the time in UTC', async () => {
    await audited.ask(rpcRequest('ping'));
    const raw = await readFile(join(gateway.dir, 'mcp-guard-audit.jsonl'), 'utf8');
    expect(raw.endsWith('\n')).toBe(true);
    const lines = raw.slice(0, -1).split('\n');
    expect(lines.length).toBeGreaterThan(100);
    const order = SCHEMA.map(([name]) => name);
    const startMs = Date.now() - 600_000;
    let seq = 0;
    for (const line of lines) {
      const record = JSON.parse(line) as Record<string, unknown>;
      const names = Object.keys(record);
      expect(names).toEqual(order.filter((name) => names.includes(name)));
      for (const [name, type] of SCHEMA) if (name in record) expect([name, typeof record[name]]).toEqual([name, type]);
      for (const name of ALWAYS) expect(record, line).toHaveProperty(name);
      expect(record['timestamp']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      expect(Date.parse(String(record['timestamp']))).toBeGreaterThan(startMs);
      expect(Date.parse(String(record['timestamp']))).toBeLessThanOrEqual(Date.now());
      expect(['allow', 'deny']).toContain(record['decision']);
      expect(record['seq']).toBe(++seq);
      expect(record['worker']).toBe(0);
    }
  });

  it('row 197: time is UTC whatever the zone of the machine', async () => {
    const elsewhere = await startGateway({
      config: {
        auth: { api_keys: [keyEntry('alice', audited.keys.alice)] },
        upstream: { transport: 'http', url: audited.upstream.url, allow_private_networks: true },
      },
      env: { TZ: 'Pacific/Kiritimati' },
    });
    await rpc(elsewhere.mcp, rpcRequest('ping'), { key: audited.keys.alice.key });
    const [line] = await waitUntil(async () => ((await elsewhere.auditLines()).length > 0 ? elsewhere.auditLines() : null), {
      what: 'a record',
    });
    expect(Math.abs(Date.parse(String(line?.['timestamp'])) - Date.now())).toBeLessThan(60_000);
    expect(String(line?.['timestamp'])).toMatch(/Z$/);
    await elsewhere.stop();
  });
});

async function countOf(event: string, method = 'tools/call', wasSent = false): Promise<number> {
  const lines = await gateway.auditLines();
  const sent = new Set(lines.filter(({ event_type }) => event_type === 'tool_call').map(({ request_id }) => request_id));
  return lines.filter((line) => line['event_type'] === event && line['method'] === method && (!wasSent || sent.has(line['request_id'])))
    .length;
}
