import { createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { HttpClient, HttpReceiver, HttpRequest } from '../../src/upstream/http-client.ts';
import { HttpPoster } from '../../src/upstream/http-poster.ts';
import { WireClient } from '../../src/upstream/http-wire.ts';
import { guardedLookup } from '../../src/upstream/ssrf.ts';
import { FakeClock } from './fake-clock.ts';

const REQUEST: HttpRequest = { method: 'POST', path: '/', headers: [], body: null };

/** Takes requests until `isBroken`, and answers when told to. */
class Client implements HttpClient {
  isBroken = false;
  readonly receivers: HttpReceiver[] = [];

  send(_request: HttpRequest, receiver: HttpReceiver): { pause(): void; resume(): void; abort(): void } {
    if (this.isBroken) throw new Error('a header cannot be written');
    this.receivers.push(receiver);
    return { pause: () => {}, resume: () => {}, abort: () => {} };
  }

  async close(): Promise<void> {
    await Promise.resolve();
  }
}

describe('HttpPoster', () => {
  it('has so many under way at once, and room again when one has ended', () => {
    const client = new Client();
    const poster = new HttpPoster(client, new FakeClock(), 2);
    const send = (): boolean => poster.send(REQUEST, 1000, () => undefined);
    expect([send(), send(), send()]).toEqual([true, true, false]);
    client.receivers[0]?.onEnd();
    expect([send(), send()]).toEqual([true, false]);
  });

  it('loses no room to what cannot be written', () => {
    const client = new Client();
    const poster = new HttpPoster(client, new FakeClock(), 2);
    client.isBroken = true;
    for (let i = 0; i < 5; i++) expect(() => poster.send(REQUEST, 1000, () => undefined)).toThrow('cannot be written');
    client.isBroken = false;
    expect(poster.send(REQUEST, 1000, () => undefined)).toBe(true);
  });
});

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

interface Received {
  /** Bodies, by the number of the connection that they came by. */
  readonly bodies: readonly (readonly [number, string])[];
  readonly poster: HttpPoster;
}

/** A server that answers the first request of each connection, and does to the next what `then` says. */
async function closesKept(then: (socket: Socket) => void, isFirstAnswered = true): Promise<Received> {
  const bodies: [number, string][] = [];
  let count = 0;
  const server = createServer((socket) => {
    const connection = ++count;
    let isKept = false;
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      bodies.push([connection, chunk.toString('latin1').split('\r\n\r\n')[1] ?? '']);
      if (isKept || !isFirstAnswered) return then(socket);
      isKept = true;
      socket.write('HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = new WireClient(origin, guardedLookup({ arePrivateNetworksAllowed: true }), systemClock);
  closing.push(async () => await client.close().finally(() => server.close()));
  return { bodies, poster: new HttpPoster(client, systemClock) };
}

async function posted(poster: HttpPoster, text: string, mayRepeat: boolean): Promise<number> {
  return await new Promise((resolve) => {
    poster.send({ method: 'POST', path: '/', headers: [], body: Buffer.from(text) }, 5000, resolve, mayRepeat);
  });
}

describe('a message by a kept connection that the server closes in that moment', () => {
  it('is sent once more, by a new connection, when it may come twice', async () => {
    const { bodies, poster } = await closesKept((socket) => void socket.destroy());
    expect([await posted(poster, 'a', true), await posted(poster, 'b', true)]).toEqual([202, 202]);
    expect(bodies).toEqual([
      [1, 'a'],
      [1, 'b'],
      [2, 'b'],
    ]);
  });

  it('is not sent again when nobody knows what it would do twice', async () => {
    const { bodies, poster } = await closesKept((socket) => void socket.destroy());
    expect([await posted(poster, 'a', false), await posted(poster, 'b', false)]).toEqual([202, 0]);
    expect(bodies).toHaveLength(2);
  });

  it('is not sent again after the answer has begun: the server had it', async () => {
    const { bodies, poster } = await closesKept((socket) => void socket.end('HTTP/1.1 2'));
    expect([await posted(poster, 'a', true), await posted(poster, 'b', true)]).toEqual([202, 0]);
    expect(bodies).toHaveLength(2);
  });

  it('is sent twice at most: a server that closes every connection is left alone', async () => {
    const { bodies, poster } = await closesKept((socket) => void socket.destroy(), false);
    expect(await posted(poster, 'a', true)).toBe(0);
    expect(bodies).toEqual([[1, 'a']]);
  });
});
