import { beforeAll, describe, expect, it } from 'vitest';
import { keyEntry, makeKey, rpc, rpcRequest, startGateway, toolCall, waitUntil, type Gateway } from './harness.ts';
import { startSessionUpstream, type SessionUpstream } from './session-upstream.ts';
import { openSession, type OpenSession } from './sessions.ts';

const caller = makeKey();
const slow = makeKey();
const notification = { jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 1, progress: 1 } };

let upstream: SessionUpstream;
let gateway: Gateway;

beforeAll(async () => {
  upstream = await startSessionUpstream();
  const entries = [
    { ...keyEntry('caller', caller), denied_tools: ['delete_file'], rate_limit: 10_000, burst: 10_000 },
    keyEntry('slow', slow, { rate_limit: 0.01, burst: 6 }),
  ];
  gateway = await startGateway({
    config: {
      server: { workers: 2 },
      auth: { api_keys: entries },
      upstream: { transport: 'http', url: upstream.url, allow_private_networks: true },
    },
  });
});

async function open(revision: string, key: string = caller.key): Promise<OpenSession> {
  return await openSession(gateway.mcp, { key, revision, client: 'batches' });
}

function called(mark: string): number {
  return upstream.of('tools/call').filter(({ body }) => body.includes(mark)).length;
}

describe('a batch', () => {
  it('row 45: is checked message by message where revision 2025-03-26 was agreed on, and never gets around policy', async () => {
    const session = await open('2025-03-26');
    const batch = [
      toolCall('echo', { mark: 'one' }, 1),
      toolCall('delete_file', { mark: 'denied' }, 2),
      notification,
      rpcRequest('ping', {}, 'p'),
      rpcRequest('tools/list', {}, 3),
      { jsonrpc: '2.0', id: 4, method: 'tools/call', params: {} },
      rpcRequest('vendor/run', {}, 5),
    ];
    const answer = await session.post(batch);
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/json']);
    const byId = new Map((answer.json as unknown as { id: unknown }[]).map((one) => [one.id, one]));
    expect(byId.size).toBe(6);
    expect(byId.get(1)).toMatchObject({ result: { content: [{ text: expect.stringContaining('one') as string }] } });
    expect(byId.get(2)).toMatchObject({ error: { code: -31403, data: { error_id: expect.any(String) as string } } });
    expect(byId.get('p')).toMatchObject({ result: {} });
    expect((byId.get(3) as unknown as { result: { tools: { name: string }[] } }).result.tools.map(({ name }) => name)).not.toContain(
      'delete_file',
    );
    expect(byId.get(4)).toMatchObject({ error: { code: -32602 } });
    expect(byId.get(5)).toMatchObject({ error: { code: -32601 } });
    expect([called('"one"'), called('denied')]).toEqual([1, 0]);
    await waitUntil(() => upstream.of('notifications/progress').length === 1, { what: 'the notification upstream' });
    const denied = await waitUntil(async () => (await gateway.auditLines()).find((line) => line['tool'] === 'delete_file'), {
      what: 'its record',
    });
    expect(denied).toMatchObject({ event_type: 'authz_denied', decision: 'deny', identity: 'caller' });
  });

  it('row 45: of responses and notifications only is accepted with 202', async () => {
    const session = await open('2025-03-26');
    const responses = ['batch-a', 'batch-b'].map((id) => ({ jsonrpc: '2.0', id, result: {} }));
    for (const batch of [responses, [notification]]) expect(await session.post(batch)).toMatchObject({ status: 202, body: '' });
    await waitUntil(() => upstream.requests.filter(({ body }) => body.includes('batch-')).length === 2, {
      what: 'both responses upstream',
    });
  });

  it('row 45: is refused with 400 and -32600 in every other revision, without a session, and in every other form', async () => {
    const old = await open('2025-03-26');
    const good = [toolCall('echo', { mark: 'refused' }, 1)];
    const bad = [
      [],
      [...good, 1],
      [...good, [...good]],
      [...good, { jsonrpc: '2.0', id: 9, result: {} }],
      [
        ...good,
        rpcRequest('initialize', { protocolVersion: '2025-03-26', capabilities: {}, clientInfo: { name: 'x', version: '1' } }, 'i'),
      ],
      Array.from({ length: 101 }, (_, id) => toolCall('echo', { mark: 'refused' }, id)),
    ];
    const answers = await Promise.all(bad.map(async (batch) => await old.post(batch)));
    for (const revision of ['2024-11-05', '2025-06-18', '2025-11-25']) answers.push(await (await open(revision)).post(good));
    answers.push(await rpc(gateway.mcp, good, { key: caller.key }));
    for (const answer of answers) expect([answer.status, answer.json?.['error']?.['code']]).toEqual([400, -32600]);
    expect((await rpc(gateway.mcp, good, { key: slow.key, headers: { 'mcp-session-id': old.id } })).status).toBe(404);
    expect(called('refused')).toBe(0);
  });

  it('row 45: costs a token for each of its messages, beside its own', async () => {
    const session = await open('2025-03-26', slow.key);
    const answer = await session.post(Array.from({ length: 10 }, (_, id) => toolCall('echo', { mark: 'limited' }, id)));
    const codes = (answer.json as unknown as { error?: { code: number } }[]).map(({ error }) => error?.code ?? 0);
    expect(codes.length).toBe(10);
    expect(codes.filter((code) => code === 0).length).toBe(called('limited'));
    expect(codes.filter((code) => code === -31429).length).toBeGreaterThanOrEqual(7);
  });
});
