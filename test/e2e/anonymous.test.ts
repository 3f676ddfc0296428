import { beforeAll, describe, expect, it } from 'vitest';
import { rpc, startGateway, stdioUpstream, toolCall, type Gateway } from './harness.ts';

describe('anonymous callers', () => {
  let gateway: Gateway;

  beforeAll(async () => {
    gateway = await startGateway({
      config: {
        server: { trusted_proxies: ['127.0.0.1'] },
        auth: { allow_anonymous: true },
        rate_limit: { requests_per_second: 0.01, burst_size: 2 },
        upstream: stdioUpstream(),
      },
    });
  });

  it('share a budget within an IPv6 /64, and with nobody else', async () => {
    const statuses: number[] = [];
    for (const ip of ['2001:db8:0:1::1', '2001:db8:0:1::2', '2001:db8:0:1:ffff::3', '2001:db8:0:2::1', '192.0.2.1', '192.0.2.2']) {
      const { status } = await rpc(gateway.mcp, toolCall('echo'), { headers: { 'x-forwarded-for': ip } });
      statuses.push(status);
    }
    expect(statuses).toEqual([200, 200, 429, 200, 200, 200]);
  });
});
