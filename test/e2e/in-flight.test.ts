import { beforeAll, describe, expect, it } from 'vitest';
import {
  keyEntry,
  makeKey,
  rpc,
  startGateway,
  startHttpUpstream,
  toolCall,
  waitUntil,
  type Gateway,
  type HttpUpstream,
} from './harness.ts';

const KEY = makeKey();

describe('places for requests in progress', () => {
  let upstream: HttpUpstream;
  let gateway: Gateway;

  beforeAll(async () => {
    upstream = await startHttpUpstream({ answer: ({ body }) => (body.includes('"hang"') ? { isSilent: true } : undefined) });
    gateway = await startGateway({
      config: {
        server: { workers: 0 },
        auth: { api_keys: [keyEntry('alice', KEY, { denied_tools: ['delete_file'] })] },
        rate_limit: { requests_per_second: 1, burst_size: 100, max_in_flight: 2, count_denied: false },
        upstream: { transport: 'http', url: upstream.url, allow_private_networks: true },
      },
    });
  });

  it('a caller that has taken all of them can still give a call up, and then has its place again', async () => {
    const call = (id: number): ReturnType<typeof rpc> => rpc(gateway.mcp, toolCall('echo', { how: 'hang' }, id), { key: KEY.key });
    const hanging = [call(1), call(2)];
    await waitUntil(() => upstream.of('tools/call').length === 2, { what: 'two calls in progress' });
    const full = await rpc(gateway.mcp, toolCall('echo', {}, 3), { key: KEY.key });
    expect([full.status, full.json['id'], full.headers['x-ratelimit-limit'], full.headers['retry-after']]).toEqual([429, 3, '2', '1']);
    for (const requestId of [1, 2]) {
      const notice = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId } };
      expect((await rpc(gateway.mcp, notice, { key: KEY.key })).status).toBe(202);
    }
    await Promise.all(hanging);
    expect((await rpc(gateway.mcp, toolCall('echo', {}, 4), { key: KEY.key })).status).toBe(200);
  });

  it('a denied call that does not count leaves its token, and its answer says so', async () => {
    const remaining = async (tool: string): Promise<number> =>
      Number((await rpc(gateway.mcp, toolCall(tool), { key: KEY.key })).headers['x-ratelimit-remaining']);
    const before = await remaining('echo');
    expect(await remaining('delete_file')).toBeGreaterThanOrEqual(before);
    expect(await remaining('echo')).toBeGreaterThanOrEqual(before - 1);
  });
});
