import { afterEach, describe, expect, it } from 'vitest';
import type { Application } from '../../src/core/exchange.ts';
import type { ListenerSettings } from '../../src/listener/settings.ts';
import {
  application,
  converse,
  delay,
  ENGINES,
  type EngineName,
  echo,
  freePort,
  get,
  parseAnswers,
  post,
  startEngine,
  type TestListener,
} from './support.ts';

const MIB = 1024 * 1024;

describe.each(ENGINES)('connections of the %s engine', (engine: EngineName) => {
  const running: TestListener[] = [];
  const start = async (app: Application, overrides: Partial<ListenerSettings> = {}): Promise<TestListener> => {
    const listener = await startEngine(engine, app, overrides);
    running.push(listener);
    return listener;
  };
  afterEach(() => {
    for (const listener of running.splice(0)) listener.close();
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

  it.each([
    ['declared', 'Content-Length: 100\r\n\r\nhalf'],
    ['chunked', 'Transfer-Encoding: chunked\r\n\r\n64\r\nhalf'],
    ['not begun', 'Content-Length: 100\r\n\r\n'],
  ])('tells that a client left which ends its side in the middle of its body (%s), and answers nothing', async (_framing, rest) => {
    const told: string[] = [];
    const { port, errors } = await start(
      application((exchange) => {
        exchange.onGone = () => told.push('gone');
        exchange.readBody(MIB, (_body, lost) => {
          told.push(lost?.code ?? 'body');
          exchange.send(lost?.status ?? 200, [], '');
        });
      }),
    );
    const client = converse(port);
    client.socket.write(`POST /mcp HTTP/1.1\r\nHost: localhost\r\n${rest}`);
    await delay(50);
    client.socket.end();
    expect(await client.closed()).toBe('');
    expect([told, errors]).toEqual([['gone', 'REQUEST_TIMEOUT'], []]);
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
