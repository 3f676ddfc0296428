import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, type PeerCertificate } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Clock, systemClock, type Timer } from '../../src/core/clock.ts';
import { startListener } from '../../src/listener/build.ts';
import type { Listener } from '../../src/core/exchange.ts';
import { application, converse, delay, echo, parseAnswers, post, startEngine, type TestListener, testSettings } from './support.ts';

/** Timers that fire when the test says so. */
function manualClock(): Clock & { fire(): void } {
  const callbacks = new Set<() => void>();
  const add = (callback: () => void): Timer => {
    callbacks.add(callback);
    return { cancel: () => void callbacks.delete(callback) };
  };
  return {
    ...systemClock,
    after: (_ms, callback) => add(callback),
    every: (_ms, callback) => add(callback),
    fire: () => [...callbacks].forEach((callback) => callback()),
  };
}

describe('the node engine', () => {
  const running: TestListener[] = [];
  afterEach(() => {
    for (const listener of running.splice(0)) listener.close();
  });

  it.each([
    ['NONSENSE\r\n\r\n', 501, 'UNKNOWN_METHOD'],
    ['GET / HTTP/1.1\r\nHost : localhost\r\n\r\n', 400, 'BAD_FRAMING'],
    [`GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431, 'HEAD_TOO_LARGE'],
    ['CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n', 405, 'METHOD_NOT_ALLOWED'],
    ['GET / HTTP/1.1\r\n\r\n', 400, 'BAD_HOST'],
    ['GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n', 400, 'BAD_TARGET'],
  ])('lets the application answer what the parser refuses: %j', async (bytes, status, code) => {
    const app = application(echo);
    const listener = await startEngine('node', app);
    running.push(listener);
    const client = converse(listener.port);
    client.socket.write(bytes);
    const [answer] = parseAnswers(await client.closed());
    expect(answer?.status).toBe(status);
    expect(answer?.body).toContain(code);
    expect(answer?.headers.get('x-frame-options')).toBe('DENY');
    expect(answer?.headers.get('connection')).toBe('close');
    expect(app.refusals.map((refusal) => refusal.code)).toEqual([code]);
  });

  it('answers in its own minimal form when the application fails at that', async () => {
    const listener = await startEngine('node', {
      handle: echo,
      refuse() {
        throw new Error('a bug');
      },
    });
    running.push(listener);
    const client = converse(listener.port);
    client.socket.write('GET / HTTP/1.1\r\nBad Header\r\n\r\n');
    const [answer] = parseAnswers(await client.closed());
    expect(JSON.parse(answer?.body ?? '')).toMatchObject({ jsonrpc: '2.0', id: null, error: { code: -31400 } });
    expect(listener.errors).toHaveLength(1);
  });

  it('gives 100 Continue only when the body is asked for', async () => {
    const listener = await startEngine(
      'node',
      application((exchange) => (exchange.head.path === '/refuse' ? exchange.send(401, [], 'no') : echo(exchange))),
    );
    running.push(listener);
    const head = 'Host: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n';
    const refused = converse(listener.port);
    refused.socket.write(`POST /refuse HTTP/1.1\r\n${head}`);
    await refused.until((text) => text.includes('401'));
    expect(refused.text()).not.toContain('100 Continue');
    refused.socket.destroy();
    const served = converse(listener.port);
    served.socket.write(`POST /mcp HTTP/1.1\r\n${head}`);
    expect(await served.until((text) => text.includes('100 Continue'))).toContain('100 Continue');
    served.socket.write('hello');
    await served.until((text) => text.includes('hello'));
    expect(parseAnswers(served.text()).map((answer) => answer.body)).toEqual(['POST /mcp hello']);
    served.socket.destroy();
  });

  it('tells the application of a body that breaks off in the middle of its chunks', async () => {
    const losses: (string | undefined)[] = [];
    const listener = await startEngine(
      'node',
      application((exchange) =>
        exchange.readBody(100, (_body, lost) => {
          losses.push(lost?.code);
          exchange.send(lost?.status ?? 200, [], lost?.code ?? '');
        }),
      ),
    );
    running.push(listener);
    const client = converse(listener.port);
    client.socket.write('POST /mcp HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n');
    expect(parseAnswers(await client.closed())[0]?.status).toBe(400);
    expect(losses).toEqual(['BAD_FRAMING']);
  });

  it('gives up on a body that stays silent', async () => {
    const clock = manualClock();
    const losses: (string | undefined)[] = [];
    const app = application((exchange) =>
      exchange.readBody(100, (_body, lost) => {
        losses.push(lost?.code);
        exchange.send(lost?.status ?? 200, [], '');
      }),
    );
    const listener = await startEngine('node', app, {}, { clock });
    running.push(listener);
    const client = converse(listener.port);
    client.socket.write('POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\nhalf');
    await delay(50);
    clock.fire();
    expect(parseAnswers(await client.closed())[0]?.status).toBe(408);
    expect(losses).toEqual(['REQUEST_TIMEOUT']);
  });

  it('serves an HTTP/1.0 client that names a Host, and closes', async () => {
    const listener = await startEngine('node', application(echo));
    running.push(listener);
    const client = converse(listener.port);
    client.socket.write('GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n');
    expect(await client.closed()).toContain('GET /health');
  });

  it('survives clients that reset the connection at any point', async () => {
    const listener = await startEngine('node', application(echo));
    running.push(listener);
    const heads = [
      'CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n',
      'GARBAGE\r\n\r\n',
      'GET / HT',
      post('x'),
      post('abc').slice(0, -1),
    ];
    for (const head of heads) {
      for (const waitMs of [0, 1, 5]) {
        const client = converse(listener.port);
        client.socket.write(head, () => setTimeout(() => client.socket.resetAndDestroy(), waitMs));
        await client.closed();
      }
    }
    await delay(30);
    const client = converse(listener.port);
    client.socket.write(post('alive', ['Connection: close']));
    expect(parseAnswers(await client.closed())[0]?.body).toBe('POST /mcp alive');
    expect(listener.connections).toBe(0);
    expect(listener.errors).toEqual([]);
  });

  it('treats an Upgrade as an ordinary request', async () => {
    const listener = await startEngine('node', application(echo));
    running.push(listener);
    const client = converse(listener.port);
    client.socket.write(post('hello', ['Connection: Upgrade', 'Upgrade: websocket']));
    await client.until((text) => text.includes('hello'));
    expect(parseAnswers(client.text())[0]?.status).toBe(200);
    client.socket.destroy();
  });
});

describe('TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-guard-tls-'));
  const path = (name: string): string => join(folder, name);
  const tls = { certPath: path('cert.pem'), keyPath: path('key.pem'), minVersion: 'TLSv1.2' } as const;
  let listener: Listener | null = null;

  beforeAll(() => {
    for (const name of ['first', 'second']) {
      const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
      const files = ['-keyout', path(`${name}.key`), '-out', path(`${name}.crt`)];
      execFileSync(
        'openssl',
        ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', ...subject, ...files],
        { stdio: 'ignore' },
      );
    }
    install('first');
  });
  afterEach(() => listener?.close());
  afterAll(() => rmSync(folder, { recursive: true }));

  function install(name: string): void {
    copyFileSync(path(`${name}.crt`), tls.certPath);
    copyFileSync(path(`${name}.key`), tls.keyPath);
  }

  function names(port: number): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
        const { subject } = socket.getPeerCertificate() as PeerCertificate;
        socket.destroy();
        resolve(String(subject.CN));
      });
      socket.once('error', reject);
    });
  }

  it('serves https, marks requests as secure and sends HSTS', async () => {
    listener = await startListener(
      testSettings({ engine: 'node', tls }),
      application((exchange) => exchange.send(200, [], String(exchange.head.secure))),
      systemClock,
    );
    const { port } = listener;
    const answer = await new Promise<{ hsts: unknown; body: string }>((resolve, reject) => {
      request({ port, host: '127.0.0.1', ca: readFileSync(path('first.crt')), path: '/' }, (res) => {
        let body = '';
        res.on('data', (chunk: Buffer) => {
          body += chunk.toString();
        });
        res.on('end', () => resolve({ hsts: res.headers['strict-transport-security'], body }));
      })
        .on('error', reject)
        .end();
    });
    expect(answer).toEqual({ hsts: 'max-age=31536000', body: 'true' });
  });

  it('speaks no TLS below 1.2, or below 1.3 when told so', async () => {
    listener = await startListener(
      testSettings({ engine: 'node', tls: { ...tls, minVersion: 'TLSv1.3' } }),
      application(echo),
      systemClock,
    );
    const { port } = listener;
    const versions = ['TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const;
    const outcomes = versions.map(
      (version) =>
        new Promise<string | null>((resolve) => {
          const options = {
            port,
            host: '127.0.0.1',
            rejectUnauthorized: false,
            minVersion: version,
            maxVersion: version,
            ciphers: 'DEFAULT@SECLEVEL=0',
          } as const;
          const socket = connectTls(options, () => {
            resolve(socket.getProtocol());
            socket.destroy();
          });
          socket.once('error', () => resolve(null));
        }),
    );
    expect(await Promise.all(outcomes)).toEqual([null, null, 'TLSv1.3']);
  });

  it('takes a changed certificate without a restart and keeps the old one while the new one is broken', async () => {
    const clock = manualClock();
    const reloads: string[] = [];
    install('first');
    listener = await startListener(testSettings({ engine: 'node', tls }), application(echo), clock, {
      certificateReloaded: (error) => reloads.push(error === null ? 'fine' : error.message),
    });
    const { port } = listener;
    await delay(50);
    expect(await names(port)).toBe('first');
    writeFileSync(tls.certPath, 'broken');
    clock.fire();
    await vi.waitFor(() => expect(reloads).toHaveLength(1));
    expect(reloads[0]).toContain(tls.certPath);
    expect(await names(port)).toBe('first');
    install('second');
    clock.fire();
    await vi.waitFor(() => expect(reloads[1]).toBe('fine'));
    expect(await names(port)).toBe('second');
    rmSync(tls.keyPath);
    clock.fire();
    await vi.waitFor(() => expect(reloads).toHaveLength(3));
    expect(await names(port)).toBe('second');
  });

  it('does not start with a missing or unfit certificate, and says which', async () => {
    install('first');
    const missing = { ...tls, certPath: path('none.pem') };
    await expect(
      (async () => startListener(testSettings({ engine: 'node', tls: missing }), application(echo), systemClock))(),
    ).rejects.toThrow('none.pem');
    const unfit = { ...tls, keyPath: path('second.key') };
    await expect(
      (async () => startListener(testSettings({ engine: 'node', tls: unfit }), application(echo), systemClock))(),
    ).rejects.toThrow('cannot be used together');
  });

  it('survives a client that speaks plain HTTP to it', async () => {
    install('first');
    listener = await startListener(testSettings({ engine: 'node', tls }), application(echo), systemClock);
    const client = converse(listener.port);
    client.socket.write(post('x'));
    expect(await client.closed()).not.toContain('200');
    expect(await names(listener.port)).toBe('first');
  });
});
