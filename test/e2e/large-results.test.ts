import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import {
  keyEntry,
  makeKey,
  sleep,
  startGateway,
  startHttpUpstream,
  toolCall,
  waitUntil,
  type Gateway,
  type UpstreamAnswer,
} from './harness.ts';

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

/** Sends a tool call and reads its answer a little at a time, or not at all. */
async function readSlowly(gateway: Gateway, pauseMs: number): Promise<Buffer> {
  const body = JSON.stringify(toolCall('echo'));
  const head = [
    'POST /mcp HTTP/1.1',
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
      setTimeout(() => socket.resume(), pauseMs).unref();
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
    const received = (await readSlowly(gateway, 2)).toString('latin1');
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
