import { setTimeout } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { HttpReceiver } from '../../src/upstream/http-client.ts';
import { systemClock } from '../../src/core/clock.ts';
import { WireClient } from '../../src/upstream/http-wire.ts';
import { guardedLookup, SSRF_REFUSED } from '../../src/upstream/ssrf.ts';
import type { Resolve } from '../../src/upstream/ssrf.ts';
import { McpHttpServer } from './http-server.ts';

const closers: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Result {
  readonly status: number;
  readonly error: NodeJS.ErrnoException | null;
  readonly wasSent: boolean;
}

function post(client: WireClient): Promise<Result> {
  return new Promise((resolve) => {
    let status = 0;
    let isInside = true;
    const receiver: HttpReceiver = {
      onHead: (code) => void (status = code),
      onData: () => {},
      onEnd: () => resolve({ status, error: null, wasSent: !isInside }),
      onError: (error, wasSent) => resolve({ status, error, wasSent: wasSent || isInside }),
    };
    client.send(
      { method: 'POST', path: '/mcp', headers: ['content-type', 'application/json'], body: Buffer.from('{"id":1,"method":"x"}') },
      receiver,
    );
    isInside = false;
  });
}

/** A client for a name that no real resolver knows; it resolves to these addresses in turn. */
async function open(
  arePrivateNetworksAllowed: boolean,
  addresses: readonly string[],
  maxConnectionMs?: number,
): Promise<{ client: WireClient; server: McpHttpServer }> {
  const server = await new McpHttpServer().listen();
  let asked = 0;
  const resolve: Resolve = (_hostname, _options, callback) => {
    const address = addresses[Math.min(asked, addresses.length - 1)] ?? '';
    asked += 1;
    callback(null, [{ address, family: address.includes(':') ? 6 : 4 }]);
  };
  const origin = new URL(server.url.replace('127.0.0.1', 'rebinding.test')).origin;
  const client = new WireClient(origin, guardedLookup({ arePrivateNetworksAllowed }, resolve), systemClock, maxConnectionMs);
  closers.push(
    () => server.stop(),
    () => client.close(),
  );
  return { client, server };
}

describe('WireClient and names', () => {
  it('row 168: connects to the address that was checked, not to what the name means elsewhere', async () => {
    const { client, server } = await open(true, ['127.0.0.1']);
    expect(await post(client)).toMatchObject({ status: 200, error: null });
    expect(server.seen[0]?.headers.host).toContain('rebinding.test');
  });

  it('row 168: connects to nothing when the name means a refused address, also after it meant a good one', async () => {
    const closed = await open(false, ['127.0.0.1']);
    expect(await post(closed.client)).toMatchObject({ error: { code: SSRF_REFUSED }, wasSent: false });
    expect(closed.server.connections).toBe(0);
    const rebinding = await open(true, ['127.0.0.1', '169.254.169.254']);
    expect((await post(rebinding.client)).status).toBe(200);
    for (const socket of rebinding.server.sockets) socket.destroy();
    let second = await post(rebinding.client);
    // The closed connection may be noticed only by using it.
    if (second.wasSent) second = await post(rebinding.client);
    expect(second).toMatchObject({ error: { code: SSRF_REFUSED }, wasSent: false });
  });

  it('resolves and checks the name again when a connection is old, however busy it is', async () => {
    const addresses = ['127.0.0.1'];
    const { client, server } = await open(true, addresses, 300);
    // A pause between two requests, or the second would begin before the first connection is free.
    const pausedPost = async (): Promise<Result> => await setTimeout(10).then(() => post(client));
    expect((await pausedPost()).status).toBe(200);
    addresses[0] = '169.254.169.254';
    const begin = performance.now();
    expect((await pausedPost()).status).toBe(200);
    let last = await pausedPost();
    while (last.error === null && performance.now() - begin < 5000) last = await pausedPost();
    expect(last).toMatchObject({ error: { code: SSRF_REFUSED }, wasSent: false });
    expect([server.connections, performance.now() - begin > 200]).toEqual([1, true]);
  });

  it('says that nothing was sent when nobody listens', async () => {
    const { client, server } = await open(true, ['127.0.0.1']);
    await server.stop();
    expect(await post(client)).toMatchObject({ error: { code: 'ECONNREFUSED' }, wasSent: false });
  });

  it('writes no path that would split the request', async () => {
    const { client } = await open(true, ['127.0.0.1']);
    const receiver: HttpReceiver = { onHead: () => {}, onData: () => {}, onEnd: () => {}, onError: () => {} };
    for (const path of ['no slash', '/a b', '/a\r\nx: y', '/\u00e9', '']) {
      expect(() => client.send({ method: 'POST', path, headers: [], body: null }, receiver)).toThrow('path');
    }
  });

  it('tells nothing after an abort, before or after the connection is there', async () => {
    const { client, server } = await open(true, ['127.0.0.1']);
    const told: string[] = [];
    const receiver: HttpReceiver = {
      onHead: () => void told.push('head'),
      onData: () => {},
      onEnd: () => void told.push('end'),
      onError: () => void told.push('error'),
    };
    client.send({ method: 'POST', path: '/mcp', headers: [], body: Buffer.from('{"id":1,"method":"x"}') }, receiver).abort();
    expect((await post(client)).status).toBe(200);
    expect([told, server.calls('x').length]).toEqual([[], 1]);
  });
});
