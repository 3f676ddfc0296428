import { afterEach, describe, expect, it } from 'vitest';
import { application, converse, ENGINES, get, parseAnswers, post, startEngine, type TestListener } from './support.ts';

const started: TestListener[] = [];
afterEach(() => {
  for (const listener of started.splice(0)) listener.close();
});

/** Around the largest answer that goes out in one write, and around µWS's cork buffer of 16 KiB. */
const SIZES = [0, 1, 5_000, 6_143, 6_144, 6_145, 7_500, 15_000, 16_384, 20_000, 70_000, 300_000];
const CHUNKED = 'POST /mcp HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n';

describe.each(ENGINES)('an answer that closes its connection (%s)', (engine) => {
  it.each([
    ['a GET', get('/metrics')],
    ['a GET that asks to close', get('/metrics', ['Connection: close'])],
    ['a POST that asks to close', post('x', ['Connection: close'])],
    ['a chunked POST', CHUNKED],
  ])('reaches %s whole, whatever its size, also when it is given later', async (_name, request) => {
    for (const isLater of [false, true]) {
      for (const size of SIZES) {
        const body = 'a'.repeat(size);
        const answer = (send: () => void): void => void (isLater ? setImmediate(send) : send());
        const listener = await startEngine(
          engine,
          application((exchange) => exchange.readBody(1024, () => answer(() => exchange.send(200, ['content-type', 'text/plain'], body)))),
        );
        started.push(listener);
        const client = converse(listener.port);
        client.socket.write(request);
        const text = await client.closed();
        expect([size, text.length > 0 && parseAnswers(text)[0]?.body.length]).toEqual([size, size]);
        client.socket.destroy();
        expect(listener.errors).toEqual([]);
      }
    }
  });
});
