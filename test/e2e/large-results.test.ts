import { connect } from 'node:net';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  keyEntry,
  makeKey,
  rpc,
  sleep,
  startGateway,
  startHttpUpstream,
  toolCall,
  waitUntil,
  wildUpstream,
  type Gateway,
  type UpstreamAnswer,
} from './harness.ts';
import { childrenOf, residentBytes } from './worker-processes.ts';

const MIB = 1024 * 1024;
const KEY = makeKey();

/** A gateway before an upstream that answers tool calls with these events. */
async function gatewayBefore(engine: string, eventsFor: (id: unknown) => readonly unknown[]): Promise<Gateway> {
  const upstream = await startHttpUpstream({
    answer: ({ message }): UpstreamAnswer | undefined => {
      if (message['method'] !== 'tools/call') return undefined;
      const body = eventsFor(message['id'])
        .map((event) => `data: ${JSON.stringify(event)}\n\n`)
        .join('');
      return { headers: { 'content-type': 'text/event-stream' }, body };
    },
  });
  return await startGateway({
    config: {
      server: { engine },
      auth: { api_keys: [keyEntry('alice', KEY)] },
      upstream: { transport: 'http', url: upstream.url, allow_private_networks: true },
    },
  });
}

/** Sends a tool call and reads its answer a little at a time: on only when `next`, called with each chunk, is done. */
async function readSlowly(gateway: Gateway, path: string, message: object, next: () => Promise<unknown>): Promise<Buffer> {
  const body = JSON.stringify(message);
  const head = [
    `POST ${path} HTTP/1.1`,
    `Host: 127.0.0.1:${gateway.port}`,
    `Authorization: Bearer ${KEY.key}`,
    'Content-Type: application/json',
    'Accept: application/json, text/event-stream',
    'Connection: close',
    `Content-Length: ${body.length}`,
  ];
  const chunks: Buffer[] = [];
  await new Promise<void>((resolve, reject) => {
    const socket = connect(gateway.port, '127.0.0.1', () => socket.write(`${head.join('\r\n')}\r\n\r\n${body}`));
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      socket.pause();
      void next().then(() => socket.resume());
    });
    socket.on('error', reject);
    socket.on('close', () => resolve());
  });
  return Buffer.concat(chunks);
}

describe.each(['uws', 'node'])('large results in an event stream, engine %s', (engine) => {
  it('reach a client that reads slowly whole, however much larger than the buffer of a stream they are', async () => {
    const text = 'x'.repeat(8 * MIB);
    const gateway = await gatewayBefore(engine, (id) => [{ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text }] } }]);
    const received = (await readSlowly(gateway, '/mcp', toolCall('echo'), () => sleep(2))).toString('latin1');
    expect(received.endsWith('\r\n0\r\n\r\n')).toBe(true);
    expect(received.length).toBeGreaterThan(8 * MIB);
    const records = await waitUntil(async () => (await gateway.auditLines()).filter((line) => line['event_type'] === 'tool_response'), {
      what: 'the record of the answer',
    });
    expect(records.map((line) => line['status'])).toEqual([200]);
    await gateway.stop();
  });

  it('end once, as a client that went away, when it reads none of what came before', async () => {
    const data = 'x'.repeat(9 * MIB);
    const gateway = await gatewayBefore(engine, (id) => [
      { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data } },
      { jsonrpc: '2.0', id, result: { content: [] } },
    ]);
    const socket = connect(gateway.port, '127.0.0.1').pause();
    const body = JSON.stringify(toolCall('echo'));
    const lines = [`Host: 127.0.0.1:${gateway.port}`, `Authorization: Bearer ${KEY.key}`, 'Content-Type: application/json'];
    socket.write(`POST /mcp HTTP/1.1\r\n${lines.join('\r\n')}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    const ends = await waitUntil(
      async () => {
        const found = (await gateway.auditLines()).filter((line) => line['event_type'] === 'tool_response');
        return found.length > 0 ? found : undefined;
      },
      { what: 'the record of the end', timeoutMs: 15_000, describe: gateway.stderr },
    );
    await sleep(100);
    expect(ends.map((line) => line['status'])).toEqual([499]);
    expect(gateway.stderr()).not.toContain('internal error');
    socket.destroy();
    await gateway.stop();
  });
});

const LARGE = 8 * MIB;
const READERS = 4;

describe.each(['uws', 'node'])('large results that nobody reads on, engine %s', (engine) => {
  const other = makeKey();
  let gateway: Gateway;

  beforeAll(async () => {
    const upstream = await startHttpUpstream({
      answer: ({ message: { id, method, params } }): UpstreamAnswer | undefined => {
        if (method !== 'tools/call' || (params as { name: string }).name !== 'large') return undefined;
        return { body: { jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: JSON.stringify('x'.repeat(LARGE)) }] } } };
      },
    });
    const servers = [
      { name: 'http', transport: 'http', url: upstream.url, allow_private_networks: true },
      { name: 'stdio', ...wildUpstream() },
    ];
    gateway = await startGateway({
      config: {
        server: { engine },
        auth: { api_keys: [keyEntry('alice', KEY), keyEntry('bob', other)] },
        rate_limit: { enabled: false },
        upstream: { servers },
      },
    });
  });

  it.each(['http', 'stdio'])('trap 15: over %s: another caller is served meanwhile, and memory is bounded', async (server) => {
    const [worker = 0] = (await childrenOf(gateway.pid)) ?? [];
    const before = await residentBytes(worker);
    const released = Promise.withResolvers<undefined>();
    const readers = Array.from({ length: READERS }, () => {
      const begun = Promise.withResolvers<undefined>();
      let isOver = false;
      const next = async (): Promise<void> => {
        begun.resolve(undefined);
        await released.promise;
      };
      const all = readSlowly(gateway, `/mcp/${server}`, toolCall('large', { chars: LARGE }), next).finally(() => (isOver = true));
      return { begun: begun.promise, all, isOver: () => isOver };
    });
    await Promise.all(readers.map(({ begun }) => begun));
    for (let round = 0; round < 3; round++) {
      const answer = await rpc(`${gateway.mcp}/${server}`, toolCall('self'), { key: other.key });
      expect(answer.status).toBe(200);
    }
    expect(readers.map(({ isOver }) => isOver())).toEqual(readers.map(() => false));
    expect((await residentBytes(worker)) - before).toBeLessThan(6 * READERS * LARGE);
    released.resolve(undefined);
    const texts = await Promise.all(readers.map(({ all }) => all));
    expect(texts.map((text) => text.includes('x'.repeat(LARGE)))).toEqual(readers.map(() => true));
  });
});
