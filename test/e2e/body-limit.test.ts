import { once } from 'node:events';
import { connect } from 'node:net';
import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  keyEntry,
  makeKey,
  rawExchange,
  rpc,
  startGateway,
  startHttpUpstream,
  toolCall,
  toolText,
  within,
  type Gateway,
  type HttpAnswer,
  type HttpUpstream,
} from './harness.ts';
import { expectRpcError, parseRaw } from './refusals.ts';

const MIB = 1_048_576;
const key = makeKey();

/** A call whose JSON has exactly this many bytes. */
function callOfBytes(bytes: number): Buffer {
  const empty = Buffer.byteLength(JSON.stringify(toolCall('echo', { pad: '' })));
  const call = Buffer.from(JSON.stringify(toolCall('echo', { pad: 'x'.repeat(bytes - empty) })));
  expect(call).toHaveLength(bytes);
  return call;
}

function head(framing: string): string {
  return `POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${key.key}\r\nContent-Type: application/json\r\n${framing}\r\n\r\n`;
}

function chunk(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
}

/** The body in chunks, without the last one. */
function chunks(body: Buffer, size = 60_000): Buffer[] {
  return Array.from({ length: Math.ceil(body.length / size) }, (_, index) => chunk(body.subarray(index * size, (index + 1) * size)));
}

const LAST_CHUNK = Buffer.from('0\r\n\r\n');

describe.each(['uws', 'node'])('the limit on request bodies of the %s engine', (engine) => {
  let upstream: HttpUpstream;
  let gateway: Gateway;
  let small: Gateway;
  let large: Gateway;
  beforeAll(async () => {
    upstream = await startHttpUpstream();
    [gateway, small, large] = await Promise.all([start({}), start({ max_request_size: 1000 }), start({ max_request_size: 3 * MIB })]);
  });

  async function start(server: Readonly<Record<string, unknown>>): Promise<Gateway> {
    return await startGateway({
      config: {
        server: { engine, workers: 0, ...server },
        auth: { api_keys: [keyEntry('alice', key)] },
        rate_limit: { requests_per_second: 100_000, burst_size: 100_000 },
        upstream: { transport: 'http', url: upstream.url, allow_private_networks: true },
      },
    });
  }

  /** Largest body that passes and smallest that does not, with and without Content-Length. */
  async function expectLimit(limited: Gateway, limit: number): Promise<void> {
    const send = (bytes: number): Promise<HttpAnswer> => rpc(limited.mcp, callOfBytes(bytes), { key: key.key });
    const sendChunked = async (bytes: number): Promise<HttpAnswer & { isClosed: boolean }> => {
      const pieces = [Buffer.concat([Buffer.from(head('Transfer-Encoding: chunked')), ...chunks(callOfBytes(bytes)), LAST_CHUNK])];
      const { text, isClosed } = await rawExchange(limited.port, pieces);
      return { ...parseRaw(text), isClosed };
    };
    for (const bytes of [limit - 1, limit]) {
      expect((await send(bytes)).status).toBe(200);
      expect((await sendChunked(bytes)).status).toBe(200);
    }
    const before = upstream.of('tools/call').length;
    expectRpcError(await send(limit + 1), 413, -31413);
    const chunked = await sendChunked(limit + 1);
    expectRpcError(chunked, 413, -31413);
    expect(chunked.isClosed).toBe(true);
    expect(upstream.of('tools/call').length).toBe(before);
    expect(toolText(await rpc(limited.mcp, toolCall('echo', { after: 413 }), { key: key.key }))).toContain('"after":413');
  }

  it('row 51: by default 1 MiB passes, one byte more is 413, declared or chunked', async () => {
    await expectLimit(gateway, MIB);
  });

  it('row 51: a small configured limit is honoured to the byte', async () => {
    await expectLimit(small, 1000);
  });

  it('row 51: a large configured limit is honoured to the byte', async () => {
    await expectLimit(large, 3 * MIB);
  });

  describe('without buffering', () => {
    it('row 51: a declared length over the limit is 413 before any of the body was sent, and the connection closes', async () => {
      const lengths = ['1048577', '10000000000', '999999999999999'].map((length) => `Content-Length: ${length}`);
      const framings = [...lengths, 'Content-Length: 1048577\r\nExpect: 100-continue'];
      const answers = await Promise.all(framings.map((framing) => rawExchange(gateway.port, [head(framing)])));
      for (const { text, isClosed } of answers) {
        // µWS invites by itself, before anything of ours runs, and may do so twice.
        expectRpcError(parseRaw(text.replace(/^(?:HTTP\/1\.1 100 [^]*?\r\n\r\n)+/, '')), 413, -31413);
        expect(isClosed).toBe(true);
      }
    });

    it('row 51: a body without an end is cut off soon after the limit, and is not kept in memory', async () => {
      const rssKib = async (): Promise<number> => Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${gateway.pid}/status`, 'utf8'))?.[1]);
      const pushes = 6;
      const before = await rssKib();
      const sockets = await Promise.all(Array.from({ length: pushes }, () => pushForEver(gateway.port)));
      for (const { answer, sentBytes } of sockets) {
        // Who never stops sending may be reset before he reads: then he has no answer, and never another one.
        if (answer !== '') expectRpcError(parseRaw(answer), 413, -31413);
        // The limit, the 64 MiB that are thrown away while the answer travels, and whatever the buffers of the two sockets hold.
        expect(sentBytes).toBeLessThan(80 * MIB);
      }
      expect(((await rssKib()) - before) * 1024).toBeLessThan(pushes * 8 * MIB);
      expect((await rpc(gateway.mcp, toolCall('echo'), { key: key.key })).status).toBe(200);
    });

    it('row 51: somebody without a credential gets 401 and none of his body is kept', async () => {
      const anonymous = head('Transfer-Encoding: chunked').replace(/Authorization: .*\r\n/, '');
      const pieces = [Buffer.concat([Buffer.from(anonymous), ...chunks(callOfBytes(MIB + 1)), LAST_CHUNK])];
      expectRpcError(parseRaw((await rawExchange(gateway.port, pieces)).text), 401, -31401);
    });
  });
});

/** Sends chunks as fast as they are taken until the peer closes. */
async function pushForEver(port: number): Promise<{ answer: string; sentBytes: number }> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  const piece = chunk(Buffer.alloc(64 * 1024, 0x20));
  let answer = '';
  socket.setEncoding('latin1').on('data', (text: string) => (answer += text));
  socket.on('error', () => undefined);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  await once(socket, 'connect');
  const push = (): void => {
    while (socket.writable && socket.write(piece));
  };
  socket.on('drain', push);
  socket.write(head('Transfer-Encoding: chunked'));
  push();
  await within(closed, 12_000, () => `still open after ${socket.bytesWritten} bytes, got ${answer}`);
  return { answer, sentBytes: socket.bytesWritten };
}
