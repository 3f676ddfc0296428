import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { type Clock, systemClock } from '../../src/core/clock.ts';
import type { Application, Exchange, Listener } from '../../src/core/exchange.ts';
import type { Refusal } from '../../src/core/refusal.ts';
import { createHeadGuard, type HeadGuard } from '../../src/listener/head-guard.ts';
import { startNodeHttp } from '../../src/listener/node-http.ts';
import type { ListenerSettings } from '../../src/listener/settings.ts';
import { startUws } from '../../src/listener/uws.ts';

export type EngineName = 'uws' | 'node';
export const ENGINES: readonly EngineName[] = ['uws', 'node'];

export function testSettings(overrides: Partial<ListenerSettings> = {}): ListenerSettings {
  return {
    engine: 'uws',
    entrance: 'main',
    host: '127.0.0.1',
    port: 0,
    isPortExclusive: true,
    tls: null,
    maxRequestBytes: 1_048_576,
    maxHeadBytes: 16_384,
    maxHeaderLines: 98,
    allowedHosts: ['localhost', '127.0.0.1', '[::1]'],
    allowedOrigins: [],
    areLoopbackOriginsAllowed: true,
    chunkedBodies: 'close',
    isWebSocketEnabled: false,
    trustedProxies: [],
    idleTimeoutMs: 60_000,
    maxConnections: 10_000,
    maxConnectionsPerIp: 0,
    maxBufferedBytes: 1_048_576,
    stallMs: 10_000,
    ...overrides,
  };
}

export interface TestListener extends Listener {
  /** What the listener reported as programmer errors. */
  readonly errors: unknown[];
}

export async function startEngine(
  engine: EngineName,
  application: Application,
  overrides: Partial<ListenerSettings> = {},
  parts: { readonly clock?: Clock; readonly guard?: HeadGuard } = {},
): Promise<TestListener> {
  const settings = testSettings({ engine, ...overrides });
  const errors: unknown[] = [];
  const hooks = { failed: (error: unknown) => void errors.push(error) };
  const start = engine === 'uws' ? startUws : startNodeHttp;
  const listener = await start(settings, application, parts.clock ?? systemClock, hooks, parts.guard ?? createHeadGuard(settings));
  return new Proxy(listener, {
    get: (target, key) => {
      if (key === 'errors') return errors;
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  }) as TestListener;
}

const JSON_TYPE = ['content-type', 'application/json'];

/** An application that answers refusals in the usual form and leaves the rest to `handle`. */
export function application(handle: (exchange: Exchange) => void): Application & { readonly refusals: Refusal[] } {
  const refusals: Refusal[] = [];
  return {
    refusals,
    handle,
    refuse(exchange, refusal) {
      refusals.push(refusal);
      exchange.send(refusal.status, JSON_TYPE, JSON.stringify({ code: refusal.code }));
    },
  };
}

/** Answers with method, path and body of what it was asked. */
export function echo(exchange: Exchange): void {
  exchange.readBody(exchange.head.bodyBytes < 0 ? 1_048_576 : Math.max(exchange.head.bodyBytes, 0), (body, lost) => {
    if (lost !== null) exchange.send(lost.status, JSON_TYPE, JSON.stringify({ code: lost.code }));
    else exchange.send(200, JSON_TYPE, `${exchange.head.method} ${exchange.head.path} ${body?.toString('latin1')}`);
  });
}

export interface Conversation {
  readonly socket: Socket;
  /** Everything received so far, latin1. */
  readonly text: () => string;
  readonly isClosed: () => boolean;
  /** Resolves when the text satisfies the predicate, or the connection closed; rejects after `limitMs`. */
  until(predicate: (text: string) => boolean, limitMs?: number): Promise<string>;
  closed(limitMs?: number): Promise<string>;
}

/** A raw TCP client. */
export function converse(port: number, host = '127.0.0.1'): Conversation {
  const socket = connect(port, host);
  let received = '';
  let isClosed = false;
  const waiters = new Set<() => void>();
  const wake = (): void => waiters.forEach((waiter) => waiter());
  const text = (): string => received;
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1');
    wake();
  });
  socket.on('error', () => undefined);
  socket.on('close', () => {
    isClosed = true;
    wake();
  });
  const until = (predicate: (all: string) => boolean, limitMs = 5000): Promise<string> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => finish(() => reject(new Error(`Still waiting, received: ${text().slice(0, 500)}`))), limitMs);
      const finish = (settle: () => void): void => {
        clearTimeout(timer);
        waiters.delete(check);
        settle();
      };
      const check = (): void => {
        if (isClosed || predicate(text())) finish(() => resolve(text()));
      };
      waiters.add(check);
      check();
    });
  return { socket, text, isClosed: () => isClosed, until, closed: (limitMs) => until(() => false, limitMs) };
}

export interface Answer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** Splits a byte stream into HTTP/1.1 answers; throws on bytes that are none. `heads`: so many first ones answer HEAD. */
export function parseAnswers(text: string, heads = 0): Answer[] {
  const answers: Answer[] = [];
  let rest = text;
  while (rest !== '') {
    const end = rest.indexOf('\r\n\r\n');
    if (!rest.startsWith('HTTP/1.1 ') || end < 0) throw new Error(`Not an answer: ${JSON.stringify(rest.slice(0, 200))}`);
    const lines = rest.slice(0, end).split('\r\n');
    const headers = new Map(
      lines.slice(1).map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
    );
    const status = Number((lines[0] ?? '').slice(9, 12));
    rest = rest.slice(end + 4);
    if (status === 100) continue;
    const [body, after] = answers.length < heads ? ['', rest] : takeBody(rest, headers);
    rest = after;
    answers.push({ status, headers, body });
  }
  return answers;
}

function takeBody(rest: string, headers: ReadonlyMap<string, string>): [string, string] {
  if (headers.get('transfer-encoding') === 'chunked') return takeChunks(rest);
  const length = Number(headers.get('content-length') ?? (headers.get('connection') === 'close' ? rest.length : 0));
  if (rest.length < length) throw new Error(`Body of ${rest.length} bytes, ${length} were declared`);
  return [rest.slice(0, length), rest.slice(length)];
}

function takeChunks(text: string): [string, string] {
  const parts: string[] = [];
  let at = 0;
  for (;;) {
    const end = text.indexOf('\r\n', at);
    const size = Number.parseInt(text.slice(at, end), 16);
    if (end < 0 || !/^[0-9a-f]+$/i.test(text.slice(at, end)))
      throw new Error(`Bad chunk at ${at}: ${JSON.stringify(text.slice(at, at + 40))}`);
    if (text.slice(end + 2 + size, end + 4 + size) !== '\r\n') throw new Error(`Chunk at ${at} does not end`);
    parts.push(text.slice(end + 2, end + 2 + size));
    at = end + 4 + size;
    if (size === 0) return [parts.join(''), text.slice(at)];
  }
}

export function post(body: string, headers: readonly string[] = [], path = '/mcp'): string {
  const lines = [`POST ${path} HTTP/1.1`, 'Host: localhost', `Content-Length: ${Buffer.byteLength(body)}`, ...headers];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}

export function get(path = '/health', headers: readonly string[] = []): string {
  return `${[`GET ${path} HTTP/1.1`, 'Host: localhost', ...headers].join('\r\n')}\r\n\r\n`;
}

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
