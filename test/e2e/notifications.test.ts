import { beforeAll, describe, expect, it } from 'vitest';
import {
  http,
  keyEntry,
  makeKey,
  rpc,
  rpcRequest,
  startGateway,
  startHttpUpstream,
  type Gateway,
  type HttpAnswer,
  type HttpUpstream,
  type TestKey,
} from './harness.ts';

const [free, confined, slow, admin] = [makeKey(), makeKey(), makeKey(), makeKey()] as const;

describe('a notification that nobody knows', () => {
  let upstream: HttpUpstream;
  let gateway: Gateway;

  beforeAll(async () => {
    upstream = await startHttpUpstream();
    const settings = { transport: 'http', url: upstream.url, allow_private_networks: true };
    gateway = await startGateway({
      config: {
        server: { admin: { tokens: [admin.hash] } },
        auth: {
          api_keys: [
            keyEntry('free', free),
            keyEntry('confined', confined, { servers: ['b'] }),
            keyEntry('slow', slow, { rate_limit: 0.01, burst: 2 }),
          ],
        },
        upstream: {
          servers: [
            { name: 'a', ...settings },
            { name: 'b', ...settings },
          ],
        },
      },
    });
  });

  function notify(server: 'a' | 'b', method: string, key: TestKey): Promise<HttpAnswer> {
    return rpc(`${gateway.mcp}/${server}`, { jsonrpc: '2.0', method }, { key: key.key });
  }

  /** How many of them the upstream has had, after a request that followed them. */
  async function seen(method: string): Promise<number> {
    expect((await rpc(`${gateway.mcp}/a`, rpcRequest('prompts/list'), { key: free.key })).status).toBe(200);
    return upstream.of(method).length;
  }

  it('is refused to a caller that may not reach the server, and reaches it from nobody else', async () => {
    const answer = await notify('a', 'notifications/x-confined', confined);
    expect(answer.status).toBe(403);
    expect(answer.json).toMatchObject({ id: null, error: { code: -31403 } });
    expect((await notify('a', 'notifications/x-confined', makeKey())).status).toBe(401);
    expect((await notify('a', 'notifications/x-confined', admin)).status).toBe(401);
    expect(await seen('notifications/x-confined')).toBe(0);
    expect((await notify('b', 'notifications/x-confined', confined)).status).toBe(202);
    await expect.poll(() => seen('notifications/x-confined')).toBe(1);
  });

  it('costs a token like a request', async () => {
    const statuses: number[] = [];
    for (let i = 0; i < 4; i += 1) statuses.push((await notify('a', 'notifications/x-slow', slow)).status);
    expect(statuses).toEqual([202, 202, 429, 429]);
    expect((await rpc(`${gateway.mcp}/a`, rpcRequest('ping'), { key: slow.key })).status).toBe(429);
    await expect.poll(() => seen('notifications/x-slow')).toBe(2);
  });

  it('leaves a record with who sent it and where it went', async () => {
    expect((await notify('a', 'notifications/x-record', free)).status).toBe(202);
    const record = (): Promise<unknown> =>
      gateway.auditLines().then((lines) => lines.find(({ method }) => method === 'notifications/x-record'));
    await expect.poll(record).toMatchObject({ event_type: 'request', identity: 'free', server: 'a', status: 202 });
  });

  it('shows only as "other" in metrics, whatever it is called', async () => {
    for (let i = 0; i < 5; i += 1) await notify('a', `notifications/x-${i}`, free);
    const { body } = await http('GET', `${gateway.url}/metrics`, { key: admin.key });
    expect(body).toContain('mcp_guard_requests_total{method="other",status="202"');
    expect(body).not.toContain('notifications/x-');
  });
});
