import { randomBytes, randomUUID } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import type { Application } from '../../src/core/exchange.ts';
import { limitPolicy } from '../../src/core/limit-fields.ts';
import type { ListenerSettings } from '../../src/listener/settings.ts';
import {
  application,
  converse,
  delay,
  ENGINES,
  type EngineName,
  echo,
  get,
  parseAnswers,
  post,
  startEngine,
  type TestListener,
} from './support.ts';

const MIB = 1024 * 1024;

describe.each(ENGINES)('requests and answers of the %s engine', (engine: EngineName) => {
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

  it('writes the figures of a limit into the head of an answer, and of a stream', async () => {
    const figures = { limitPolicy: limitPolicy('tool', 3, 2), limit: 3, limitRemaining: 2, limitResetSecs: 1 };
    const { port } = await start(
      application((exchange) => {
        if (exchange.head.path === '/send') return exchange.send(200, ['content-type', 'text/plain'], 'whole', figures);
        exchange.open(200, ['content-type', 'text/plain'], figures);
        exchange.write('piece');
        exchange.end();
      }),
    );
    for (const path of ['/send', '/open']) {
      const client = converse(port);
      client.socket.write(get(path));
      const [answer] = parseAnswers(await client.closed());
      expect(Object.fromEntries(answer?.headers ?? [])).toMatchObject({
        'ratelimit-policy': '"tool";q=3;w=2',
        ratelimit: '"tool";r=2;t=1',
        'x-ratelimit-limit': '3',
        'x-ratelimit-remaining': '2',
        'x-ratelimit-reset': '1',
        'x-frame-options': 'DENY',
      });
      expect(answer?.body).toMatch(/^(?:whole|piece)$/);
    }
  });

  it('writes the head that most answers have, with the id and the figures of each', async () => {
    const ids = [randomUUID(), randomUUID(), randomUUID()];
    const { port } = await start(
      application((exchange) => {
        const index = Number(exchange.head.path.slice(1));
        const figures = { limitPolicy: limitPolicy('tool', 300, 2), limit: 300, limitRemaining: 10 ** index, limitResetSecs: index };
        const headers = ['x-request-id', ids[index] ?? '', 'content-type', 'application/json', 'cache-control', 'no-store'];
        exchange.send(200, headers, `{"index":${index}}`, index === 2 ? undefined : figures);
      }),
    );
    const client = converse(port);
    for (const index of [0, 1]) {
      client.socket.write(post('x', [], `/${index}`));
      await client.until((text) => text.includes(`{"index":${index}}`));
    }
    client.socket.write(get('/2'));
    const answers = parseAnswers(await client.closed());
    expect(answers.map(({ body }) => body)).toEqual(['{"index":0}', '{"index":1}', '{"index":2}']);
    expect(answers.map(({ headers }) => headers.get('x-request-id'))).toEqual(ids);
    expect(answers.map(({ headers }) => headers.get('ratelimit'))).toEqual(['"tool";r=1;t=0', '"tool";r=10;t=1', undefined]);
    for (const { headers } of answers) {
      expect(Object.fromEntries(headers)).toMatchObject({
        'content-type': 'application/json',
        'cache-control': 'no-store',
        'x-frame-options': 'DENY',
      });
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

  it.each([
    ['small', 300, ''],
    ['larger than what is held unasked', 300_000, ''],
    ['small, and announced', 300, 'Expect: 100-continue'],
  ])('keeps every packet of a %s body, before and after it is asked for', async (_name, bytes, header) => {
    const body = Array.from({ length: bytes }, (_, index) => String.fromCharCode(97 + (index % 26))).join('');
    const { port } = await start(application((exchange) => void setTimeout(() => echo(exchange), 25)));
    const client = converse(port);
    const whole = post(body, header === '' ? [] : [header]);
    const headBytes = whole.length - body.length;
    client.socket.write(whole.slice(0, headBytes));
    for (let sent = 0; sent < 10; sent++) {
      await delay(5);
      client.socket.write(whole.slice(headBytes + (sent * bytes) / 10, headBytes + ((sent + 1) * bytes) / 10));
    }
    await client.until((text) => text.length > bytes && text.endsWith(body.slice(-20)));
    expect(parseAnswers(client.text())[0]?.body).toBe(`POST /mcp ${body}`);
    client.socket.write(post('next'));
    await client.until((text) => text.endsWith('next'));
    client.socket.destroy();
  });

  it('tells who asks late that the body broke off, and forgets a client that left before', async () => {
    const lost: (string | undefined)[] = [];
    const { port } = await start(
      application((exchange) => {
        setTimeout(() => exchange.readBody(1000, (body, refusal) => void lost.push(body === null ? refusal?.code : 'a body')), 40);
      }),
    );
    const client = converse(port);
    client.socket.write(post('x'.repeat(100)).slice(0, -50));
    await delay(10);
    client.socket.destroy();
    await expect.poll(() => lost).toHaveLength(1);
    expect(lost).not.toContain('a body');
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
      application((exchange) => exchange.readBody(1000, (_body, lost) => exchange.send(lost?.status ?? 200, [], lost?.code ?? 'fine'))),
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
    const { port } = await start(
      application((exchange) => exchange.readBody(MIB, (_body, lost) => exchange.send(lost?.status ?? 200, [], ''))),
    );
    const client = converse(port);
    client.socket.write('POST /mcp HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n');
    const chunk = Buffer.from(`10000\r\n${'e'.repeat(65_536)}\r\n`);
    let sentBytes = 0;
    while (!client.isClosed() && sentBytes < 160 * MIB) {
      sentBytes += chunk.length;
      if (!client.socket.write(chunk)) await Promise.race([new Promise((resolve) => client.socket.once('drain', resolve)), delay(50)]);
    }
    expect(await client.closed()).toMatch(/^HTTP\/1\.1 413 /);
    // The limit, the 64 MiB that are thrown away while the answer travels, and what the sockets hold.
    expect(sentBytes).toBeLessThan(90 * MIB);
  });

  it('gets an early answer through to a client whose body nobody wants', async () => {
    const { port } = await start(application((exchange) => exchange.send(401, [], 'who?')));
    const answer = await fetch(`http://127.0.0.1:${port}/mcp`, { method: 'POST', body: 'x'.repeat(900_000) });
    expect(answer.status).toBe(401);
    expect(await answer.text()).toBe('who?');
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
});
