import { createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { HttpControl, HttpReceiver } from '../../src/upstream/http-client.ts';
import { WireClient } from '../../src/upstream/http-wire.ts';
import { guardedLookup } from '../../src/upstream/ssrf.ts';

interface Outcome {
  status: number;
  body: string;
  error: Error | null;
  wasSent: boolean;
}

interface RawServer {
  readonly origin: string;
  readonly sockets: Socket[];
  readonly received: string[];
}

const servers: Server[] = [];
const clients: WireClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
  for (const server of servers.splice(0)) server.close();
});

/** A server that answers each chunk it reads with what `answer` says. */
async function rawServer(answer: (text: string, socket: Socket, connection: number) => string | null): Promise<RawServer> {
  const sockets: Socket[] = [];
  const received: string[] = [];
  const server = createServer((socket) => {
    const connection = sockets.push(socket);
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      received.push(chunk.toString('latin1'));
      const text = answer(chunk.toString('latin1'), socket, connection);
      if (text !== null) socket.write(text, 'latin1');
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sockets, received };
}

function clientOf(origin: string): WireClient {
  const client = new WireClient(origin, guardedLookup({ arePrivateNetworksAllowed: true }), systemClock);
  clients.push(client);
  return client;
}

const HEADERS = ['content-type', 'application/json'];

function post(client: WireClient, body = '{}', onControl?: (control: HttpControl, receiver: HttpReceiver) => void): Promise<Outcome> {
  const outcome: Outcome = { status: 0, body: '', error: null, wasSent: true };
  return new Promise((resolve) => {
    const receiver: HttpReceiver = {
      onHead: (status) => {
        outcome.status = status;
      },
      onData: (chunk) => {
        outcome.body += chunk.toString();
      },
      onEnd: () => resolve(outcome),
      onError: (error, wasSent) => resolve({ ...outcome, error, wasSent }),
    };
    const control = client.send({ method: 'POST', path: '/mcp?x=1', headers: HEADERS, body: Buffer.from(body) }, receiver);
    onControl?.(control, receiver);
  });
}

const answerOf = (body: string): string => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

describe('WireClient', () => {
  it('sends one head and body, and nothing but what it was given', async () => {
    const server = await rawServer(() => answerOf('ok'));
    expect(await post(clientOf(server.origin), '{"a":1}')).toMatchObject({ status: 200, body: 'ok', error: null });
    const host = new URL(server.origin).host;
    expect(server.received).toEqual([
      `POST /mcp?x=1 HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\r\n{"a":1}`,
    ]);
  });

  it('uses a connection again, and a further one for a request at the same time', async () => {
    const server = await rawServer(() => answerOf('x'));
    const client = clientOf(server.origin);
    for (let index = 0; index < 5; index++) await post(client);
    expect(server.sockets).toHaveLength(1);
    await Promise.all([post(client), post(client), post(client)]);
    expect(server.sockets).toHaveLength(3);
  });

  it('opens a new connection after the server closed or announced to close', async () => {
    const server = await rawServer(() => `HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx`);
    const client = clientOf(server.origin);
    await post(client);
    await post(client);
    expect(server.sockets).toHaveLength(2);
  });

  it('never uses a connection again on which unasked bytes came', async () => {
    const server = await rawServer((_text, _socket, connection) => answerOf('a') + (connection === 1 ? answerOf('stolen') : ''));
    const client = clientOf(server.origin);
    expect((await post(client)).body).toBe('a');
    expect((await post(client)).body).toBe('a');
    expect(server.sockets).toHaveLength(2);
  });

  it('drops an idle connection on which bytes arrive later', async () => {
    const server = await rawServer(() => answerOf('a'));
    const client = clientOf(server.origin);
    await post(client);
    const closed = new Promise((resolve) => server.sockets[0]?.once('close', resolve));
    server.sockets[0]?.write(answerOf('late'));
    await closed;
    expect((await post(client)).body).toBe('a');
  });

  it('reports a connection that cannot be made as not sent', async () => {
    const server = await rawServer(() => null);
    servers[0]?.close();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await post(clientOf(server.origin))).toMatchObject({ status: 0, wasSent: false, error: { code: 'ECONNREFUSED' } });
  });

  it('refuses a name that resolves to an address that is not allowed', async () => {
    const client = new WireClient('http://localhost:9', guardedLookup({ arePrivateNetworksAllowed: false }), systemClock);
    clients.push(client);
    const outcome = await post(client);
    expect(outcome.wasSent).toBe(false);
    expect(String(outcome.error?.message)).toContain('allow_private_networks');
  });

  it('reports a connection that breaks in the middle as sent', async () => {
    const server = await rawServer((_text, socket) => {
      setTimeout(() => socket.destroy(), 10);
      return 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc';
    });
    expect(await post(clientOf(server.origin))).toMatchObject({ status: 200, body: 'abc', wasSent: true, error: { code: 'ECONNRESET' } });
  });

  it('reports a malformed response and closes the connection', async () => {
    const server = await rawServer(() => 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx');
    const outcome = await post(clientOf(server.origin));
    expect(outcome.error?.message).toBe('malformed HTTP response');
    expect(outcome.status).toBe(0);
  });

  it('reads a response that ends with the connection', async () => {
    const server = await rawServer((_text, socket) => {
      setTimeout(() => socket.end(), 10);
      return 'HTTP/1.1 200 OK\r\n\r\nall of it';
    });
    expect(await post(clientOf(server.origin))).toMatchObject({ body: 'all of it', error: null });
  });

  it('stops reading while paused, so that the server feels it', async () => {
    const total = 30 * 1024 * 1024;
    const server = await rawServer((_text, socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`);
      socket.write(Buffer.alloc(total, 0x61));
      return null;
    });
    let control: HttpControl | null = null;
    const answered = post(clientOf(server.origin), '{}', (given) => {
      control = given;
      given.pause();
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(server.sockets[0]?.writableLength).toBeGreaterThan(0);
    (control as HttpControl | null)?.resume();
    expect((await answered).body).toHaveLength(total);
  });

  it('calls nothing after abort, and closes the connection', async () => {
    const server = await rawServer(() => 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc');
    const client = clientOf(server.origin);
    let calls = 0;
    const receiver: HttpReceiver = {
      onHead: () => (calls += 1),
      onData: () => (calls += 1),
      onEnd: () => (calls += 1),
      onError: () => (calls += 1),
    };
    const control = client.send({ method: 'POST', path: '/', headers: HEADERS, body: null }, receiver);
    control.abort();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(calls).toBe(0);
    control.pause();
    control.resume();
    control.abort();
  });

  it('has no hold on a connection that already carries another request', async () => {
    const server = await rawServer((text) => (text.includes('"slow"') ? null : answerOf('x')));
    const client = clientOf(server.origin);
    let first: HttpControl | null = null;
    await post(client, '{}', (control) => {
      first = control;
    });
    const second = post(client, '"slow"');
    (first as HttpControl | null)?.abort();
    await new Promise((resolve) => setTimeout(resolve, 30));
    server.sockets[0]?.write(answerOf('for the second'));
    expect((await second).body).toBe('for the second');
  });

  it('fails what is in progress when it is closed', async () => {
    const server = await rawServer(() => null);
    const client = clientOf(server.origin);
    const waiting = post(client);
    await new Promise((resolve) => setTimeout(resolve, 30));
    await client.close();
    expect((await waiting).error?.message).toBe('closed');
  });

  it.each([
    ['x', 'a\nb: c'],
    ['x', 'a\r\nb: c'],
    ['x', 'a\r\n\r\nPOST / HTTP/1.1'],
    ['x', 'a\0'],
    ['x', '\u20ac'],
    ['x\r\ny', 'a'],
    ['x: y', 'a'],
    ['', 'a'],
  ])('refuses to write a header that would split the request: %j', (name, value) => {
    const client = clientOf('http://127.0.0.1:9');
    const receiver: HttpReceiver = { onHead: () => {}, onData: () => {}, onEnd: () => {}, onError: () => {} };
    expect(() => client.send({ method: 'POST', path: '/', headers: [name, value], body: null }, receiver)).toThrow('cannot be written');
  });
});
