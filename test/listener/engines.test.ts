import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import type { Application, Exchange } from '../../src/core/exchange.ts';
import type { ListenerSettings } from '../../src/listener/settings.ts';
import { application, converse, delay, ENGINES, type EngineName, echo, freePort, get, parseAnswers, post, startEngine, type TestListener } from './support.ts';

const MIB = 1024 * 1024;

describe.each(ENGINES)('the %s engine', (engine: EngineName) => {
  const running: TestListener[] = [];
  const start = async (app: Application, overrides: Partial<ListenerSettings> = {}): Promise<TestListener> => {
    const listener = await startEngine(engine, app, overrides);
    running.push(listener);
    return listener;
  };
  afterEach(() => {
    for (const listener of running.splice(0)) listener.close();
  });

  it('keeps the connection after a POST with one Content-Length and answers the next request on it', async () => {
    const { port } = await start(application(echo));
    const client = converse(port);
    for (const word of ['one', 'two', 'three']) {
      client.socket.write(post(word));
      await client.until((text) => text.includes(word));
    }
    const answers = parseAnswers(client.text());
    expect(answers.map((answer) => answer.body)).toEqual(['POST /mcp one', 'POST /mcp two', 'POST /mcp three']);
    expect(answers[0]?.headers.get('keep-alive')).toMatch(/^timeout=\d+$/);
    expect(client.isClosed()).toBe(false);
    client.socket.destroy();
  });

  it('closes the connection after a GET and says so', async () => {
    const { port } = await start(application(echo));
    const client = converse(port);
    client.socket.write(get());
    const [answer] = parseAnswers(await client.closed());
    expect(answer?.status).toBe(200);
    expect(answer?.headers.get('connection')).toBe('close');
  });

  it('closes when the client asked for it', async () => {
    const { port } = await start(application(echo));
    const client = converse(port);
    client.socket.write(post('x', ['Connection: close']));
    expect(parseAnswers(await client.closed())).toHaveLength(1);
    const listed = converse(port);
    listed.socket.write(post('x', ['Connection: te, close']));
    expect(parseAnswers(await listed.closed())).toHaveLength(1);
  });

  it('puts the security headers on every answer, refusals included', async () => {
    const { port } = await start(application(echo));
    for (const request of [post('x', ['Connection: close']), get('/a', ['Host: twice']), 'PUT / HTTP/1.1\r\nHost: localhost\r\n\r\n']) {
      const client = converse(port);
      client.socket.write(request);
      const [answer] = parseAnswers(await client.closed());
      expect(answer?.headers.get('x-content-type-options')).toBe('nosniff');
      expect(answer?.headers.get('x-frame-options')).toBe('DENY');
      expect(answer?.headers.get('content-security-policy')).toBe("default-src 'none'; frame-ancestors 'none'");
      expect(answer?.headers.get('referrer-policy')).toBe('no-referrer');
      expect(answer?.headers.has('uwebsockets')).toBe(false);
    }
  });

  it('lets a pipelined request take down the connection instead of running it', async () => {
    const seen: string[] = [];
    const gone: string[] = [];
    const { port } = await start(
      application((exchange) => {
        seen.push(exchange.head.path);
        exchange.onGone = () => gone.push(exchange.head.path);
        setTimeout(() => exchange.send(200, [], 'late'), 50);
      }),
    );
    const client = converse(port);
    client.socket.write(post('a', [], '/first') + post('b', [], '/second'));
    expect(await client.closed()).toBe('');
    expect(seen).toEqual(['/first']);
    expect(gone).toEqual(['/first']);
  });

  it('meets a pipelined request with a pending one even when the application answers at once', async () => {
    const seen: string[] = [];
    const { port } = await start(
      application((exchange) => {
        seen.push(exchange.head.path);
        exchange.send(200, [], 'now');
      }),
    );
    const client = converse(port);
    client.socket.write(post('a', [], '/first') + post('b', [], '/second'));
    await client.closed();
    expect(seen).toEqual(['/first']);
  });

  it('answers HEAD with the length of the body and no body', async () => {
    const { port } = await start(application((exchange) => exchange.send(200, ['content-type', 'text/plain'], 'twelve bytes')));
    const client = converse(port);
    client.socket.write('HEAD /health HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const text = await client.closed();
    expect(text.endsWith('\r\n\r\n')).toBe(true);
    expect(parseAnswers(text, 1)[0]?.headers.get('content-length')).toBe('12');
  });

  it('answers 202 with an empty body that a keep-alive client does not wait for', async () => {
    const { port } = await start(application((exchange) => exchange.send(202, [], '')));
    const client = converse(port);
    client.socket.write(post('{}'));
    await client.until((text) => text.includes('\r\n\r\n'));
    client.socket.write(post('{}'));
    await client.until((text) => text.split('HTTP/1.1 202').length === 3);
    expect(parseAnswers(client.text()).map((answer) => answer.headers.get('content-length'))).toEqual(['0', '0']);
    client.socket.destroy();
  });

  it('answers 204 without a body or a length', async () => {
    const { port } = await start(application((exchange) => exchange.send(204, [], 'ignored')));
    const client = converse(port);
    client.socket.write('OPTIONS /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const text = await client.closed();
    expect(text).toMatch(/^HTTP\/1\.1 204 /);
    expect(text.toLowerCase()).not.toContain('content-length');
    expect(text.endsWith('\r\n\r\n')).toBe(true);
  });

  it('hands over a body of the declared size that arrives in pieces', async () => {
    const body = randomBytes(300_000).toString('hex');
    const sizes: number[] = [];
    const { port } = await start(
      application((exchange) =>
        exchange.readBody(MIB, (bytes) => {
          sizes.push(bytes?.length ?? -1);
          exchange.send(200, [], bytes?.toString('latin1') === body ? 'same' : 'different');
        }),
      ),
    );
    const client = converse(port);
    const request = post(body);
    for (let at = 0; at < request.length; at += 100_000) {
      client.socket.write(request.slice(at, at + 100_000));
      await delay(5);
    }
    await client.until((text) => text.endsWith('same'));
    expect(parseAnswers(client.text())[0]?.body).toBe('same');
    expect(sizes).toEqual([600_000]);
    client.socket.destroy();
  });

  it('keeps a body that is asked for late, whatever its size', async () => {
    const body = 'z'.repeat(700_000);
    const { port } = await start(application((exchange) => void setTimeout(() => echo(exchange), 60)));
    const client = converse(port);
    client.socket.write(post(body));
    await client.until((text) => text.includes('zzz') && text.length > 700_000);
    expect(parseAnswers(client.text())[0]?.body).toBe(`POST /mcp ${body}`);
    client.socket.destroy();
  });

  it('accepts a chunked body, decodes it, and closes', async () => {
    const { port } = await start(application(echo));
    const client = converse(port);
    client.socket.write('POST /mcp HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n');
    await delay(20);
    client.socket.write('6\r\n world\r\n0\r\n\r\n');
    const [answer] = parseAnswers(await client.closed());
    expect(answer?.body).toBe('POST /mcp hello world');
    expect(answer?.headers.get('connection')).toBe('close');
  });

  it('refuses a chunked body with 411 in the hardened mode', async () => {
    const { port } = await start(application(echo), { chunkedBodies: 'refuse' });
    const client = converse(port);
    client.socket.write('POST /mcp HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n');
    expect(parseAnswers(await client.closed())[0]?.status).toBe(411);
  });

  it.each([
    ['limit − 1', 999, 200],
    ['the limit', 1000, 200],
    ['limit + 1', 1001, 413],
  ])('with Content-Length answers a body of %s with its status', async (_name, bytes, status) => {
    const { port } = await start(application(echo), { maxRequestBytes: 1000 });
    const client = converse(port);
    client.socket.write(post('b'.repeat(bytes), ['Connection: close']));
    expect(parseAnswers(await client.closed())[0]?.status).toBe(status);
  });

  it.each([
    ['limit − 1', 999, 200],
    ['the limit', 1000, 200],
    ['limit + 1', 1001, 413],
  ])('without Content-Length answers a body of %s with its status', async (_name, bytes, status) => {
    const { port } = await start(
      application((exchange) =>
        exchange.readBody(1000, (_body, lost) => exchange.send(lost?.status ?? 200, [], lost?.code ?? 'fine')),
      ),
      { maxRequestBytes: 1000 },
    );
    const client = converse(port);
    client.socket.write('POST /mcp HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n');
    client.socket.write(`${bytes.toString(16)}\r\n${'b'.repeat(bytes)}\r\n0\r\n\r\n`);
    expect(parseAnswers(await client.closed())[0]?.status).toBe(status);
  });

  it('refuses 10 GB by their declaration, before anything is read', async () => {
    const app = application(echo);
    const { port } = await start(app);
    const client = converse(port);
    client.socket.write('POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10737418240\r\n\r\n');
    await client.until((text) => text.includes('BODY_TOO_LARGE'));
    expect(app.refusals.map((refusal) => refusal.code)).toEqual(['BODY_TOO_LARGE']);
    client.socket.destroy();
  });

  it('gets a 413 through to a client that is still sending', async () => {
    const { port } = await start(application(echo));
    for (const bytes of [MIB + 1, 3 * MIB]) {
      const answer = await fetch(`http://127.0.0.1:${port}/mcp`, { method: 'POST', body: 'x'.repeat(bytes) });
      expect(answer.status).toBe(413);
      expect(await answer.text()).toContain('BODY_TOO_LARGE');
    }
  });

  it('cuts an endless chunked body at the limit', async () => {
    const { port } = await start(application((exchange) => exchange.readBody(MIB, (_body, lost) => exchange.send(lost?.status ?? 200, [], ''))));
    const client = converse(port);
    client.socket.write('POST /mcp HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n');
    const chunk = Buffer.from(`10000\r\n${'e'.repeat(65_536)}\r\n`);
    let sentBytes = 0;
    while (!client.isClosed() && sentBytes < 50 * MIB) {
      sentBytes += chunk.length;
      if (!client.socket.write(chunk)) await Promise.race([new Promise((resolve) => client.socket.once('drain', resolve)), delay(50)]);
    }
    expect(await client.closed()).toMatch(/^HTTP\/1\.1 413 /);
    expect(sentBytes).toBeLessThan(30 * MIB);
  });

  it('gets an early answer through to a client whose body nobody wants', async () => {
    const { port } = await start(application((exchange) => exchange.send(401, [], 'who?')));
    const answer = await fetch(`http://127.0.0.1:${port}/mcp`, { method: 'POST', body: 'x'.repeat(900_000) });
    expect(answer.status).toBe(401);
    expect(await answer.text()).toBe('who?');
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

  it('tells once that the client went away', async () => {
    let goneCount = 0;
    const losses: (string | null)[] = [];
    const { port } = await start(
      application((exchange) => {
        exchange.onGone = () => {
          goneCount += 1;
          exchange.destroy();
        };
        exchange.readBody(MIB, (_body, lost) => losses.push(lost?.code ?? null));
      }),
    );
    const waiting = converse(port);
    waiting.socket.write(post('complete'));
    const sending = converse(port);
    sending.socket.write('POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf');
    await delay(50);
    waiting.socket.destroy();
    sending.socket.resetAndDestroy();
    await delay(50);
    expect(goneCount).toBe(2);
    expect(losses).toEqual([null, 'REQUEST_TIMEOUT']);
  });

  it('ignores everything said after the end', async () => {
    let goneCount = 0;
    const { port } = await start(
      application((exchange) => {
        exchange.onGone = () => {
          goneCount += 1;
        };
        exchange.send(200, [], 'once');
        exchange.send(500, [], 'twice');
        exchange.open(200, []);
        exchange.write('x');
        exchange.end();
        setTimeout(() => {
          exchange.send(500, [], 'late');
          exchange.write('y');
          exchange.end();
          exchange.destroy();
        }, 20);
      }),
    );
    const client = converse(port);
    client.socket.write(post('x'));
    await delay(60);
    expect(parseAnswers(client.text()).map((answer) => answer.body)).toEqual(['once']);
    expect(client.isClosed()).toBe(false);
    client.socket.destroy();
    await delay(20);
    expect(goneCount).toBe(0);
  });

  it('destroys a connection without an answer when told to', async () => {
    const { port } = await start(application((exchange) => exchange.destroy()));
    const client = converse(port);
    client.socket.write(post('x'));
    expect(await client.closed()).toBe('');
  });

  it.each([
    ['a line break in a value', ['x-a', 'b\r\nSet-Cookie: c=d']],
    ['a NUL', ['x-a', 'b\0']],
    ['a space in a name', ['x a', 'b']],
    ['a header of its own', ['transfer-encoding', 'chunked']],
  ])('turns an answer with %s into a 500 and closes', async (_name, headers) => {
    const listener = await start(application((exchange) => exchange.send(200, headers, 'secret')));
    const client = converse(listener.port);
    client.socket.write(post('x', ['Connection: close']));
    const [answer] = parseAnswers(await client.closed());
    expect(answer?.status).toBe(500);
    expect(answer?.body).toMatch(/"error_id":"[0-9a-f-]{36}"/);
    expect(answer?.body).not.toContain('secret');
    expect(listener.errors).toHaveLength(1);
  });

  it('answers 500 when the application throws, and lives on', async () => {
    let isFirst = true;
    const listener = await start(
      application((exchange) => {
        if (!isFirst) return echo(exchange);
        isFirst = false;
        throw new Error('a bug');
      }),
    );
    const client = converse(listener.port);
    client.socket.write(post('x', ['Connection: close']));
    expect(parseAnswers(await client.closed())[0]?.status).toBe(500);
    expect(listener.errors).toHaveLength(1);
    const next = converse(listener.port);
    next.socket.write(post('y', ['Connection: close']));
    expect(parseAnswers(await next.closed())[0]?.status).toBe(200);
  });

  it('answers 500 and closes when the application throws in a body callback', async () => {
    const listener = await start(
      application((exchange) =>
        exchange.readBody(MIB, () => {
          throw new Error('a bug');
        }),
      ),
    );
    const client = converse(listener.port);
    client.socket.write(post('x'));
    expect(parseAnswers(await client.closed())[0]?.status).toBe(500);
    expect(listener.errors).toHaveLength(1);
  });

  it('counts connections and refuses those above the limit', async () => {
    const listener = await start(application(echo), { maxConnections: 2 });
    const first = converse(listener.port);
    const second = converse(listener.port);
    await delay(50);
    expect(listener.connections).toBe(2);
    const third = converse(listener.port);
    third.socket.write(post('x'));
    expect(await third.closed()).toBe('');
    first.socket.destroy();
    await delay(50);
    expect(listener.connections).toBe(1);
    const fourth = converse(listener.port);
    fourth.socket.write(post('again'));
    await fourth.until((text) => text.includes('again'));
    expect(listener.connections).toBe(2);
    second.socket.destroy();
    fourth.socket.destroy();
  });

  it('limits the connections of one address and forgets the closed ones, however they ended', async () => {
    const { port } = await start(application(echo), { maxConnectionsPerIp: 3 });
    const endings = [get('/a'), post('x', ['Connection: close']), post('x'), 'NONSENSE\r\n\r\n', post('x', [], '//'), ''];
    for (let round = 0; round < 4; round += 1) {
      for (const request of endings) {
        const client = converse(port);
        client.socket.write(request);
        await delay(15);
        client.socket.destroy();
        await delay(5);
      }
    }
    const clients = [1, 2, 3].map(() => converse(port));
    for (const client of clients) {
      client.socket.write(post('in'));
      await client.until((text) => text.includes('in'));
      expect(parseAnswers(client.text())).toHaveLength(1);
    }
    const fourth = converse(port);
    fourth.socket.write(post('x'));
    expect(await fourth.closed()).toBe('');
    clients[0]?.socket.destroy();
    await delay(30);
    const fifth = converse(port);
    fifth.socket.write(post('x', ['Connection: close']));
    expect(parseAnswers(await fifth.closed())).toHaveLength(1);
    for (const client of clients) client.socket.destroy();
  });

  it('does not count the connections of a trusted proxy', async () => {
    const { port } = await start(application(echo), { maxConnectionsPerIp: 1, trustedProxies: ['127.0.0.0/8'] });
    const clients = [1, 2, 3].map(() => converse(port));
    for (const client of clients) {
      client.socket.write(post('x'));
      await client.until((text) => text.includes('POST'));
      expect(client.text()).toContain('200 OK');
      client.socket.destroy();
    }
  });

  it('names the client behind a trusted proxy and the peer otherwise', async () => {
    const app = application((exchange) => exchange.send(200, [], `${exchange.head.peerIp} ${exchange.head.clientIp}`));
    const trusting = await start(app, { trustedProxies: ['127.0.0.1'] });
    const suspicious = await start(app);
    const bodies = [];
    for (const { port } of [trusting, suspicious]) {
      const client = converse(port);
      client.socket.write(get('/', ['X-Forwarded-For: 203.0.113.7']));
      bodies.push(parseAnswers(await client.closed())[0]?.body);
    }
    expect(bodies).toEqual(['127.0.0.1 203.0.113.7', '127.0.0.1 127.0.0.1']);
  });

  it('listens on an IPv6 literal and names its peers by it', async () => {
    const { port } = await start(
      application((exchange) => exchange.send(200, [], exchange.head.peerIp)),
      { host: '::1' },
    );
    const client = converse(port, '::1');
    client.socket.write(`GET / HTTP/1.1\r\nHost: [::1]:${port}\r\n\r\n`);
    expect(parseAnswers(await client.closed())[0]?.body).toBe('::1');
  });

  it('writes an IPv4 peer of a dual-stack socket as IPv4', async () => {
    const { port } = await start(
      application((exchange) => exchange.send(200, [], exchange.head.peerIp)),
      { host: '::' },
    );
    const client = converse(port);
    client.socket.write(get('/'));
    expect(parseAnswers(await client.closed())[0]?.body).toBe('127.0.0.1');
  });

  it('rejects with EADDRINUSE when the port is taken', async () => {
    const { port } = await start(application(echo));
    await expect(startEngine(engine, application(echo), { port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  it('shares a port between listeners when it is not exclusive', async () => {
    const port = await freePort();
    const first = await start(application(echo), { isPortExclusive: false, port });
    const second = await start(application(echo), { isPortExclusive: false, port });
    expect([first.port, second.port]).toEqual([port, port]);
    await expect(start(application(echo), { port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  it('stops accepting, answers what kept connections ask once more, and closes them', async () => {
    const listener = await start(application(echo));
    const kept = converse(listener.port);
    kept.socket.write(post('before'));
    await kept.until((text) => text.includes('before'));
    listener.stopAccepting();
    const late = converse(listener.port);
    await late.closed();
    kept.socket.write(post('during'));
    const answers = parseAnswers(await kept.closed());
    expect(answers.map((answer) => answer.headers.get('connection') === 'close')).toEqual([false, true]);
    expect(answers[1]?.body).toBe('POST /mcp during');
  });

  it('closes everything at once, pending requests included, and may be closed twice', async () => {
    let goneCount = 0;
    const listener = await start(
      application((exchange) => {
        exchange.onGone = () => {
          goneCount += 1;
        };
      }),
    );
    const client = converse(listener.port);
    client.socket.write(post('x'));
    await delay(30);
    listener.close();
    listener.close();
    await client.closed();
    await delay(30);
    expect(goneCount).toBe(1);
    expect(listener.connections).toBe(0);
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
