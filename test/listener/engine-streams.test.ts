import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import type { Application, Exchange } from '../../src/core/exchange.ts';
import type { ListenerSettings } from '../../src/listener/settings.ts';
import {
  application,
  converse,
  delay,
  ENGINES,
  type EngineName,
  get,
  parseAnswers,
  post,
  startEngine,
  type TestListener,
} from './support.ts';

const MIB = 1024 * 1024;

describe.each(ENGINES)('large and streamed answers of the %s engine', (engine: EngineName) => {
  const running: TestListener[] = [];
  const start = async (app: Application, overrides: Partial<ListenerSettings> = {}): Promise<TestListener> => {
    const listener = await startEngine(engine, app, overrides);
    running.push(listener);
    return listener;
  };
  afterEach(() => {
    for (const listener of running.splice(0)) listener.close();
  });

  it('sends a large answer whole to a reader that pauses', async () => {
    const body = randomBytes(4 * MIB).toString('hex');
    const { port } = await start(application((exchange) => exchange.send(200, [], body)));
    for (const request of [post('x', ['Connection: close']), get('/big'), post('x')]) {
      const client = converse(port);
      client.socket.write(request);
      client.socket.pause();
      await delay(150);
      client.socket.resume();
      const text = await client.until((all) => all.length > body.length && all.endsWith(body.slice(-64)), 10_000);
      expect(parseAnswers(text)[0]?.body === body).toBe(true);
      client.socket.destroy();
    }
  });

  it.each([
    ['a kept POST', post('x'), false],
    ['a GET', get('/stream'), true],
    ['a chunked POST', 'POST /mcp HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n', true],
  ])('streams to a slow reader of %s without losing or reordering a byte', async (_name, request, isClosing) => {
    const sent: string[] = [];
    const { port } = await start(
      application((exchange) => {
        exchange.open(200, ['content-type', 'text/event-stream']);
        streamPieces(exchange, sent, 400);
      }),
    );
    const client = converse(port);
    client.socket.write(request);
    for (let round = 0; round < 8; round += 1) {
      client.socket.pause();
      await delay(40);
      client.socket.resume();
      await delay(5);
    }
    const text = await client.until((all) => all.endsWith('\r\n0\r\n\r\n'), 15_000);
    expect(parseAnswers(text)[0]?.body === sent.join('')).toBe(true);
    expect(sent.join('').length).toBeGreaterThan(7 * MIB);
    if (isClosing) await client.closed(8000);
    expect(client.isClosed()).toBe(isClosing);
    client.socket.destroy();
  });

  it('delivers what was written before a stream falls silent', async () => {
    const { port } = await start(
      application((exchange) => {
        exchange.open(200, []);
        let wrote = 0;
        while (exchange.write('p'.repeat(10_000)) || wrote < 500_000) {
          wrote += 10_000;
          if (wrote >= 900_000) break;
        }
        exchange.write('LAST WORDS');
      }),
    );
    const client = converse(port);
    client.socket.pause();
    client.socket.write(get('/stream'));
    await delay(200);
    client.socket.resume();
    await client.until((text) => text.includes('LAST WORDS'));
    expect(client.isClosed()).toBe(false);
    client.socket.destroy();
  });

  it('shows the first piece of a stream before the second exists', async () => {
    let stream: Exchange | null = null;
    const { port } = await start(
      application((exchange) => {
        stream = exchange;
        exchange.open(200, []);
        exchange.write('first');
      }),
    );
    const client = converse(port);
    client.socket.write(post('x'));
    await client.until((text) => text.includes('first'));
    const opened = stream as Exchange | null;
    opened?.write('second');
    opened?.end();
    await client.until((text) => text.endsWith('0\r\n\r\n'));
    expect(parseAnswers(client.text())[0]?.body).toBe('firstsecond');
    client.socket.destroy();
  });

  it('calls no reader slow that has not been asked yet, unless much was written before the head is out', async () => {
    const told: boolean[] = [];
    let drains = 0;
    const { port } = await start(
      application((exchange) => {
        exchange.onDrain = () => {
          drains += 1;
          exchange.end();
        };
        exchange.open(200, []);
        for (let i = 0; i < 3; i += 1) told.push(exchange.write(`piece ${i}`));
        told.push(exchange.write('f'.repeat(200_000)));
      }),
    );
    const client = converse(port);
    client.socket.write(post('x'));
    await client.until((text) => text.endsWith('0\r\n\r\n'));
    expect({ told, drains }).toEqual({ told: [true, true, true, false], drains: 1 });
    expect(parseAnswers(client.text())[0]?.body).toBe(`piece 0piece 1piece 2${'f'.repeat(200_000)}`);
    client.socket.destroy();
  });

  it('drops a connection whose reader lets more pile up than it may', async () => {
    let goneCount = 0;
    const { port } = await start(
      application((exchange) => {
        exchange.onGone = () => {
          goneCount += 1;
        };
        exchange.open(200, []);
        for (let i = 0; i < 400 && !exchange.isClosed; i += 1) exchange.write('f'.repeat(65_536));
        setTimeout(() => {
          for (let i = 0; i < 400 && !exchange.isClosed; i += 1) exchange.write('f'.repeat(65_536));
        }, 30);
      }),
      { maxBufferedBytes: 256 * 1024 },
    );
    const client = converse(port);
    client.socket.pause();
    client.socket.write(post('x'));
    await delay(200);
    client.socket.resume();
    await client.closed();
    expect(goneCount).toBe(1);
    expect(client.text()).not.toContain('\r\n0\r\n\r\n');
  });

  it('drops a reader that takes nothing for the stall limit', async () => {
    let goneCount = 0;
    const { port } = await start(
      application((exchange) => {
        exchange.onGone = () => {
          goneCount += 1;
        };
        exchange.open(200, []);
        const pump = (): void => {
          while (!exchange.isClosed && exchange.write('f'.repeat(65_536)));
        };
        exchange.onDrain = pump;
        pump();
      }),
      { stallMs: 300 },
    );
    const client = converse(port);
    client.socket.pause();
    client.socket.write(post('x'));
    const startedMs = performance.now();
    while (goneCount === 0 && performance.now() - startedMs < 5000) await delay(20);
    expect(goneCount).toBe(1);
    client.socket.destroy();
  });
});

/** Writes `count` numbered pieces of up to 40 KB, honouring what `write` says. */
function streamPieces(exchange: Exchange, sent: string[], count: number): void {
  const next = (): void => {
    while (sent.length < count) {
      const piece = `data: ${sent.length} ${'.'.repeat(1000 + ((sent.length * 7919) % 40_000))}\n\n`;
      sent.push(piece);
      if (!exchange.write(piece)) return;
    }
    exchange.onDrain = null;
    exchange.end();
  };
  exchange.onDrain = next;
  next();
}
