import { afterEach, describe, expect, it } from 'vitest';
import type { HttpSettings, UpstreamSettings } from '../../src/core/config.ts';
import {
  UPSTREAM_BUSY,
  UPSTREAM_DOWN,
  UPSTREAM_FAILED,
  UPSTREAM_INVALID,
  UPSTREAM_TIMEOUT,
  UPSTREAM_TOO_LARGE,
} from '../../src/core/errors.ts';
import { HttpUpstream } from '../../src/upstream/http.ts';
import { json, McpHttpServer, progress, reply, stream } from './http-server.ts';
import type { Behaviour, Handler } from './http-server.ts';
import { ask, begin, call, deps, envelope, httpSettings, ready, RecordedEvents, resultOf, Sink, until } from './support.ts';

const opened: HttpUpstream[] = [];
const servers: McpHttpServer[] = [];

interface Opened {
  readonly upstream: HttpUpstream;
  readonly server: McpHttpServer;
  readonly events: RecordedEvents;
}

async function open(
  behaviour: Behaviour = {},
  more: Partial<UpstreamSettings> = {},
  http: Partial<HttpSettings> = {},
  path = '',
): Promise<Opened> {
  const server = await new McpHttpServer(behaviour).listen();
  const { upstream, events } = connect(server.url + path, more, http);
  servers.push(server);
  return { upstream, server, events };
}

function connect(
  url: string,
  more: Partial<UpstreamSettings> = {},
  http: Partial<HttpSettings> = {},
): { upstream: HttpUpstream; events: RecordedEvents } {
  const settings = httpSettings(url, more, http);
  const events = new RecordedEvents();
  const upstream = new HttpUpstream(settings, settings.http, deps(events));
  opened.push(upstream);
  upstream.start();
  return { upstream, events };
}

function handlers(x: Handler, behaviour: Behaviour = {}): Behaviour {
  return { ...behaviour, handlers: { ...behaviour.handlers, x } };
}

afterEach(async () => {
  await Promise.all(opened.splice(0).map((upstream) => upstream.close()));
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

describe('HttpUpstream: what it sends', () => {
  it('posts with both types, the version this upstream negotiated and its session', async () => {
    const { upstream, server } = await open({ sessions: true, protocolVersion: '2025-03-26' });
    expect(await resultOf(upstream, call('x', { a: 1 }, 'q'))).toEqual({ a: 1 });
    const [initialize, initialized, request] = server.seen;
    expect(initialize?.headers['mcp-protocol-version']).toBeUndefined();
    expect(initialize?.message.params).toMatchObject({
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'mcp-guard' },
    });
    expect(initialized?.message.method).toBe('notifications/initialized');
    expect(request).toMatchObject({ method: 'POST', path: '/mcp', message: { id: expect.any(Number), method: 'x' } });
    expect(request?.headers).toMatchObject({
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'accept-encoding': 'identity',
      'mcp-protocol-version': '2025-03-26',
      'mcp-session-id': 'session-1',
      'user-agent': 'mcp-guard/0.0.0',
    });
  });

  it('adds the configured headers to every request, and nothing else that could be of a client', async () => {
    const { upstream, server } = await open({ sessions: true }, {}, { headers: { Authorization: 'Bearer static', 'X-Team': 'a' } });
    await resultOf(upstream, call('x'));
    upstream.notify(envelope({ jsonrpc: '2.0', method: 'notifications/x' }), { restPath: '', principalKey: 'p' });
    await until(() => server.calls('notifications/x').length === 1, 'the notification');
    await upstream.close();
    expect(server.seen.map(({ headers }) => [headers['authorization'], headers['x-team']])).toEqual(
      server.seen.map(() => ['Bearer static', 'a']),
    );
    const names = new Set(server.seen.flatMap(({ headers }) => Object.keys(headers)));
    expect([...names].sort()).toEqual([
      'accept',
      'accept-encoding',
      'authorization',
      'content-length',
      'content-type',
      'host',
      'mcp-protocol-version',
      'mcp-session-id',
      'user-agent',
      'x-team',
    ]);
  });

  it('uses its connection again', async () => {
    const { upstream, server } = await open();
    for (let count = 0; count < 20; count += 1) await resultOf(upstream, call('x'));
    expect(server.seen.length).toBe(22);
    expect(server.connections).toBeLessThanOrEqual(2);
  });

  it('appends the rest of the path, before the query', async () => {
    const { upstream, server } = await open({}, {}, {}, '/?k=v');
    await ready(upstream);
    const sink = new Sink();
    upstream.request(call('x'), { restPath: '/deep/er', principalKey: 'p' }, sink);
    await sink.outcome;
    expect(server.seen.map(({ path }) => path)).toEqual(['/mcp/?k=v', '/mcp/?k=v', '/mcp/deep/er?k=v']);
  });

  it('ends its session when it closes', async () => {
    const { upstream, server } = await open({ sessions: true });
    await ready(upstream);
    await upstream.close();
    const last = server.seen.at(-1);
    expect([last?.method, last?.headers['mcp-session-id']]).toEqual(['DELETE', 'session-1']);
  });

  it('answers requests of the server with its own replies', async () => {
    const x: Handler = (response, { id }) => {
      const send = stream(response);
      send({ id: 'p1', method: 'ping' });
      send({ id: 7, method: 'sampling/createMessage', params: {} });
      send({ id, result: 'done' });
      response.end();
    };
    const { upstream, server, events } = await open(handlers(x));
    expect(await resultOf(upstream, call('x'))).toBe('done');
    await until(() => server.seen.filter(({ message }) => message.method === undefined).length === 2, 'two answers');
    const answers = server.seen.map(({ message }) => message).filter(({ method }) => method === undefined);
    expect(answers).toEqual(
      expect.arrayContaining([
        { jsonrpc: '2.0', id: 'p1', result: {} },
        { jsonrpc: '2.0', id: 7, error: { code: -32601, message: 'Method not found' } },
      ]),
    );
    expect(events.count('server_request')).toBe(2);
  });
});

describe('HttpUpstream: answers', () => {
  it('gives each caller its own answer, whatever the order and however equal the ids', async () => {
    const x: Handler = (response, { id, params }) => void setTimeout(() => reply(response, id, params['nonce']), Number(params['ms']));
    const { upstream } = await open(handlers(x));
    await ready(upstream);
    const calls = Array.from({ length: 200 }, async (_, index) => {
      const { reply: answer } = await ask(upstream, call('x', { ms: (index * 37) % 100, nonce: `n${index}` }, 1), `api_key:${index % 20}`);
      expect(answer).toEqual({ jsonrpc: '2.0', id: 1, result: `n${index}` });
    });
    await Promise.all(calls);
    expect(upstream.inFlight).toBe(0);
  });

  it('relays events as they arrive, under the token of the client, however the bytes are cut', async () => {
    const go = Promise.withResolvers<void>();
    const x: Handler = (response, { id, params }) => {
      const token = (params['_meta'] as { progressToken: number }).progressToken;
      response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
      const bytes = Buffer.from(
        `: hello\n\nid: 1\ndata:\n\nevent: message\ndata: ${JSON.stringify({ jsonrpc: '2.0', ...progress(token, 1) })}\n\n`,
      );
      for (const byte of bytes) response.write(Buffer.of(byte));
      void go.promise.then(() => {
        response.write(`data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"ü"}}\r\n\r\n`);
        response.end(`data: {"jsonrpc":"2.0",\ndata: "id":${id},"result":"done"}\n\n`);
      });
    };
    const { upstream } = await open(handlers(x));
    await ready(upstream);
    const sink = new Sink();
    begin(upstream, call('x', { _meta: { progressToken: 'tok' } }, 'q'), sink);
    await until(() => sink.messages.length === 1, 'the first event, before the answer exists');
    expect([sink.streams, sink.outcomes]).toEqual([1, 0]);
    go.resolve();
    expect((await sink.outcome).reply).toEqual({ jsonrpc: '2.0', id: 'q', result: 'done' });
    expect(sink.messages).toMatchObject([
      { method: 'notifications/progress', params: { progressToken: 'tok', progress: 1 } },
      { method: 'notifications/message', params: { data: 'ü' } },
    ]);
  });

  it('passes on no event that names another request or nobody', async () => {
    const x: Handler = (response, { id, params }) => {
      const send = stream(response);
      if (params['wait'] === true) return void setTimeout(() => send({ id, result: 'waited' }), 300);
      send(progress(id - 1, 1));
      send(progress(id, 1));
      send(progress('tok', 1));
      send({ method: 'notifications/tools/list_changed' });
      send({ method: 'notifications/cancelled', params: { requestId: id } });
      response.write('data: not json\n\n');
      send({ id, result: 'done' });
    };
    const { upstream, events } = await open(handlers(x));
    await ready(upstream);
    const bystander = new Sink();
    begin(upstream, call('x', { wait: true, _meta: { progressToken: 1 } }), bystander, 'api_key:bob');
    const sink = new Sink();
    expect((await ask(upstream, call('x'), 'api_key:alice', sink)).reply?.result).toBe('done');
    expect((await bystander.outcome).reply?.result).toBe('waited');
    expect([sink.messages, bystander.messages]).toEqual([[], []]);
    expect([events.count('unmatched'), events.count('not_json'), events.changedLists]).toEqual([4, 1, ['tools']]);
  });

  it('pauses the upstream while the client reads slowly, and goes on after it resumed', async () => {
    let written = 0;
    const padding = 'x'.repeat(32 * 1024);
    const x: Handler = (response, { id, params }) => {
      const token = (params['_meta'] as { progressToken: number }).progressToken;
      const send = stream(response);
      const step = (): void => {
        while (written < 1000) {
          written += 1;
          send({ method: 'notifications/progress', params: { progressToken: token, progress: written, padding } });
          if (response.writableNeedDrain) return void response.once('drain', step);
        }
        send({ id, result: 'done' });
        response.end();
      };
      step();
    };
    const { upstream } = await open(handlers(x));
    await ready(upstream);
    const sink = new Sink();
    sink.keepsUp = false;
    const flight = begin(upstream, call('x', { _meta: { progressToken: 1 } }), sink);
    await until(() => sink.messages.length > 0, 'the first event');
    await new Promise((resolve) => setTimeout(resolve, 300));
    const soFar = sink.messages.length;
    expect(soFar).toBeLessThan(100);
    expect(written).toBeLessThan(1000);
    sink.keepsUp = true;
    flight.resume();
    expect((await sink.outcome).reply?.result).toBe('done');
    expect(sink.messages.map(({ params }) => params['progress'])).toEqual(Array.from({ length: 1000 }, (_, index) => index + 1));
  });

  it('awaits and drops the answer for a client that left, without breaking the connection', async () => {
    const held = Promise.withResolvers<void>();
    let isCut = false;
    const x: Handler = (response, { id }) => {
      response.on('close', () => void (isCut = !response.writableEnded));
      void held.promise.then(() => reply(response, id, 1));
    };
    const { upstream } = await open(handlers(x));
    await ready(upstream);
    const sink = new Sink();
    begin(upstream, call('x'), sink).detach(() => undefined);
    expect(upstream.inFlight).toBe(1);
    held.resolve();
    await until(() => upstream.inFlight === 0, 'the answer');
    expect([sink.outcomes, isCut]).toEqual([0, false]);
  });

  it('translates a cancellation for the owner of the request only', async () => {
    const { upstream, server } = await open(handlers(() => {}));
    await ready(upstream);
    begin(upstream, call('x', {}, 'q'), new Sink(), 'api_key:alice');
    await until(() => server.calls('x').length === 1, 'the request');
    const cancel = envelope({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'q' } });
    upstream.notify(cancel, { restPath: '', principalKey: 'api_key:mallory' });
    upstream.notify(cancel, { restPath: '', principalKey: 'api_key:alice' });
    await until(() => server.calls('notifications/cancelled').length > 0, 'the cancellation');
    await resultOf(upstream, call('y'));
    expect(server.calls('notifications/cancelled').map(({ message }) => message.params)).toEqual([
      { requestId: server.calls('x')[0]?.message.id },
    ]);
  });

  it('gives up what was cancelled: its place is free at once, its exchange ends, no answer is delivered', async () => {
    let closed = 0;
    const { upstream, server } = await open(
      handlers((response) => void response.on('close', () => (closed += 1))),
      { maxConcurrency: 1 },
    );
    await ready(upstream);
    const sink = new Sink();
    begin(upstream, call('x', {}, 'q'), sink, 'api_key:alice');
    await until(() => server.calls('x').length === 1, 'the request');
    const cancel = envelope({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'q' } });
    expect(upstream.notify(cancel, { restPath: '', principalKey: 'api_key:alice' })).toBeNull();
    expect([(await sink.outcome).detail, upstream.inFlight]).toEqual(['cancelled', 0]);
    expect(await resultOf(upstream, call('y'))).toBeDefined();
    await until(() => closed === 1, 'the end of the exchange');
    expect([sink.outcomes, upstream.state]).toEqual([1, 'ready']);
  });
});

const text = (id: number, result = '1'): string => `{"jsonrpc":"2.0","id":${id},"result":${result}}`;

const HOSTILE: readonly (readonly [title: string, handler: Handler, refusal: object])[] = [
  ['another id', (response, { id }) => json(response, text(id + 1)), UPSTREAM_INVALID],
  ['its id as a string', (response, { id }) => json(response, `{"jsonrpc":"2.0","id":"${id}","result":1}`), UPSTREAM_INVALID],
  ['no id', (response) => json(response, '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}'), UPSTREAM_INVALID],
  ['its id twice', (response, { id }) => json(response, `{"jsonrpc":"2.0","id":${id + 1},"id":${id},"result":1}`), UPSTREAM_INVALID],
  [
    'result and error',
    (response, { id }) => json(response, `{"jsonrpc":"2.0","id":${id},"result":1,"error":{"code":1,"message":"x"}}`),
    UPSTREAM_INVALID,
  ],
  ['a look-alike of a key', (response, { id }) => json(response, `{"jsonrpc":"2.0","id":${id},"Result":2,"result":1}`), UPSTREAM_INVALID],
  ['a batch', (response, { id }) => json(response, `[${text(id)}]`), UPSTREAM_INVALID],
  ['two messages', (response, { id }) => json(response, `${text(id)}\n${text(id)}`), UPSTREAM_INVALID],
  ['a request', (response, { id }) => json(response, `{"jsonrpc":"2.0","id":${id},"method":"ping"}`), UPSTREAM_INVALID],
  ['half a message', (response, { id }) => json(response, text(id).slice(0, -3)), UPSTREAM_INVALID],
  ['nothing', (response) => json(response, ''), UPSTREAM_INVALID],
  ['a depth bomb', (response, { id }) => json(response, text(id, '['.repeat(100_000) + ']'.repeat(100_000))), UPSTREAM_INVALID],
  [
    'invalid UTF-8',
    (response, { id }) =>
      json(response, Buffer.concat([Buffer.from(`{"jsonrpc":"2.0","id":${id},"result":"`), Buffer.of(0xc3, 0x28), Buffer.from('"}')])),
    UPSTREAM_INVALID,
  ],
  ['a compressed body', (response, { id }) => json(response, text(id), { 'content-encoding': 'gzip' }), UPSTREAM_INVALID],
  ['a web page', (response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'), UPSTREAM_INVALID],
  ['no content type', (response, { id }) => void response.writeHead(200).end(text(id)), UPSTREAM_INVALID],
  ['202', (response) => void response.writeHead(202).end(), UPSTREAM_INVALID],
  ['204', (response) => void response.writeHead(204).end(), UPSTREAM_INVALID],
  ['a stream with the answer to another', (response, { id }) => stream(response)({ id: id + 1, result: 1 }), UPSTREAM_INVALID],
  ['a stream without an answer', (response) => void (stream(response)(progress(1, 1)), response.end()), UPSTREAM_FAILED],
  ['401', (response) => void response.writeHead(401, { 'www-authenticate': 'Bearer realm="secret"' }).end('secret'), UPSTREAM_FAILED],
  ['403', (response) => void response.writeHead(403).end(), UPSTREAM_FAILED],
  ['404 without a session', (response) => void response.writeHead(404).end(), UPSTREAM_FAILED],
  ['500', (response) => void response.writeHead(500).end('secret stack trace'), UPSTREAM_FAILED],
  ['an endless 503', (response) => endless(response.writeHead(503)), UPSTREAM_FAILED],
  ['a reset', (response) => void response.socket?.resetAndDestroy(), UPSTREAM_FAILED],
  [
    'a reset in the middle',
    (response, { id }) =>
      void (response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' }).write(text(id)),
      setTimeout(() => response.socket?.resetAndDestroy(), 20)),
    UPSTREAM_FAILED,
  ],
  [
    'a stream reset in the middle',
    (response) => void (stream(response)(progress(1, 1)), setTimeout(() => response.socket?.resetAndDestroy(), 20)),
    UPSTREAM_FAILED,
  ],
  ['something that is no HTTP', (response) => void response.socket?.end('SSH-2.0-OpenSSH\r\n\r\n'), UPSTREAM_FAILED],
  [
    '100 MB announced',
    (response) => void response.writeHead(200, { 'content-type': 'application/json', 'content-length': '104857600' }).write('{'),
    UPSTREAM_TOO_LARGE,
  ],
  ['endless JSON', (response) => endless(response.writeHead(200, { 'content-type': 'application/json' })), UPSTREAM_TOO_LARGE],
  [
    'an endless event',
    (response) => endless(response.writeHead(200, { 'content-type': 'text/event-stream' }), 'data: '),
    UPSTREAM_TOO_LARGE,
  ],
  ['an endless head', (response) => void response.socket?.write(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}`), UPSTREAM_FAILED],
];

function endless(response: import('node:http').ServerResponse, start = ''): void {
  const chunk = Buffer.alloc(64 * 1024, 0x20);
  response.write(start);
  const more = (): void => {
    while (!response.destroyed && response.write(chunk)) void 0;
    response.once('drain', more);
  };
  more();
}

describe('HttpUpstream: hostile answers', () => {
  it.each(HOSTILE)('refuses %s, and the next request succeeds', async (_title, handler, refusal) => {
    const { upstream } = await open(handlers(handler));
    await ready(upstream);
    const outcome = await ask(upstream, call('x'));
    expect(outcome.refusal).toBe(refusal);
    expect(outcome.detail).not.toContain('secret');
    expect(await resultOf(upstream, call('y', { next: true }))).toEqual({ next: true });
  });

  it('does not follow a redirect, wherever it leads', async () => {
    const trap = await new McpHttpServer().listen();
    servers.push(trap);
    for (const status of [301, 302, 303, 307, 308]) {
      const x: Handler = (response) => void response.writeHead(status, { location: trap.url }).end();
      const { upstream } = await open(handlers(x));
      await ready(upstream);
      expect(await ask(upstream, call('x'))).toMatchObject({ refusal: UPSTREAM_FAILED, detail: expect.stringContaining(String(status)) });
    }
    expect(trap.connections).toBe(0);
  });

  it('times out an upstream that accepts and never answers, closes the connection and says so', async () => {
    let closed = 0;
    const x: Handler = (response) => void response.on('close', () => (closed += 1));
    const { upstream, server } = await open(handlers(x), { timeoutMs: 300 });
    await ready(upstream);
    expect((await ask(upstream, call('x'))).refusal).toBe(UPSTREAM_TIMEOUT);
    await until(() => closed === 1 && server.calls('notifications/cancelled').length === 1, 'closed and cancelled');
    expect(server.calls('notifications/cancelled')[0]?.message.params?.['requestId']).toBe(server.calls('x')[0]?.message.id);
  });

  it('does not cut a stream while events flow, and ends it at its hard deadline', async () => {
    const x: Handler = (response, { id, params }) => {
      const send = stream(response);
      let step = 0;
      const timer = setInterval(() => {
        step += 1;
        if (step === Number(params['steps'])) send({ id, result: 'done' });
        else send({ method: 'notifications/message', params: { step } });
      }, 100);
      response.on('close', () => clearInterval(timer));
    };
    const { upstream } = await open(handlers(x), { timeoutMs: 400, timeoutMaxMs: 1800 });
    await ready(upstream);
    const [served, endless_] = await Promise.all([ask(upstream, call('x', { steps: 10 })), ask(upstream, call('x', { steps: 100_000 }))]);
    expect(served.reply?.result).toBe('done');
    expect(endless_).toMatchObject({ refusal: UPSTREAM_TIMEOUT, detail: expect.stringContaining('hard') });
  });

  it('closes a stream that stays open behind its answer', async () => {
    let closed = 0;
    const x: Handler = (response, { id }) => {
      stream(response)({ id, result: 'done' });
      response.on('close', () => (closed += 1));
    };
    const { upstream } = await open(handlers(x));
    expect(await resultOf(upstream, call('x'))).toBe('done');
    await until(() => closed === 1, 'the connection closes');
    expect(closed).toBe(1);
  });

  it('refuses a malformed session id and a malformed initialize', async () => {
    const initialize: Handler = (response, { id }) => {
      response.setHeader('mcp-session-id', 'with space');
      reply(response, id, { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: { name: 'n', version: 'v' } });
    };
    const first = await open({ initialize });
    const second = await open({ initialize: (response, { id }) => reply(response, id, { protocolVersion: '2025-11-25' }) });
    await until(() => first.upstream.state === 'down' && second.upstream.state === 'down', 'both down');
    expect([first.upstream.detail, second.upstream.detail]).toEqual([
      expect.stringContaining('session id'),
      expect.stringContaining('serverInfo'),
    ]);
  });
});

describe('HttpUpstream: where it connects', () => {
  it('stays down with the remedy when the address needs the switch', async () => {
    const { upstream, server } = await open({}, {}, { arePrivateNetworksAllowed: false });
    expect(upstream.state).toBe('down');
    expect(upstream.detail).toContain('allow_private_networks');
    expect((await ask(upstream, call('x'))).refusal).toBe(UPSTREAM_DOWN);
    expect(server.connections).toBe(0);
  });

  it('does not start with headers that break requests', () => {
    const { upstream } = connect('http://127.0.0.1:9/mcp', {}, { headers: { 'X-A': 'a\r\nX-B: b' } });
    expect(upstream.state).toBe('down');
    expect(upstream.detail).toContain('x-a');
  });
});

describe('HttpUpstream: sessions and failures', () => {
  it('makes a new session when the upstream forgot the old one, and sends the refused request once more', async () => {
    const { upstream, server } = await open({ sessions: true });
    await resultOf(upstream, call('x'));
    server.sessions.clear();
    const results = await Promise.all(Array.from({ length: 20 }, (_, index) => resultOf(upstream, call('x', { index }, index))));
    expect(results).toEqual(Array.from({ length: 20 }, (_, index) => ({ index })));
    expect(server.calls('initialize').length).toBe(2);
    expect(upstream.state).toBe('ready');
  });

  it('does not ask for sessions in a loop when the upstream forgets each of them', async () => {
    const { upstream, server } = await open({ sessions: true });
    await resultOf(upstream, call('x'));
    server.sessions.add = () => server.sessions;
    server.sessions.clear();
    for (let count = 0; count < 10; count += 1) expect((await ask(upstream, call('x'))).refusal).not.toBeNull();
    expect(server.calls('initialize').length).toBeLessThanOrEqual(3);
  });

  it('recovers from an upstream that was restarted and answers 400 to the old session', async () => {
    const { upstream, server } = await open({ sessions: true, lostStatus: 400 });
    await resultOf(upstream, call('x'));
    server.sessions.clear();
    expect((await ask(upstream, call('x'))).refusal).toBe(UPSTREAM_FAILED);
    await until(() => server.calls('initialize').length === 2 && upstream.state === 'ready', 'a new session');
    expect(await resultOf(upstream, call('x', { again: 1 }))).toEqual({ again: 1 });
  });

  it('is down when nobody listens, refuses at once, and comes back by itself', async () => {
    const server = await new McpHttpServer().listen();
    await server.stop();
    const { upstream, events } = connect(server.url);
    servers.push(server);
    await until(() => upstream.state === 'down', 'down');
    expect(upstream.detail).toContain('ECONNREFUSED');
    await server.listen();
    await ready(upstream);
    expect(await resultOf(upstream, call('x'))).toEqual({});
    expect(events.states[0]).toBe('down');
  });

  it('fails what is in flight when the upstream dies, is down with the next request, and recovers', async () => {
    const { upstream, server } = await open(handlers(() => {}, { sessions: true }));
    await ready(upstream);
    const pending = ask(upstream, call('x'));
    await until(() => server.calls('x').length === 1, 'the request');
    await server.stop();
    expect((await pending).refusal).toBe(UPSTREAM_FAILED);
    expect((await ask(upstream, call('y'))).refusal).not.toBeNull();
    await until(() => upstream.state === 'down', 'down');
    await server.listen();
    await ready(upstream);
    expect(await resultOf(upstream, call('y', { again: 1 }))).toEqual({ again: 1 });
  });

  it('notices without traffic that the upstream is gone', async () => {
    const { upstream, server } = await open();
    await ready(upstream);
    const startMs = performance.now();
    await server.stop();
    await until(() => upstream.state === 'down', 'down');
    expect(performance.now() - startMs).toBeLessThan(10_000);
  });

  it('stays ready while an upstream without ping support answers pings with errors', async () => {
    const { upstream, server, events } = await open({ handlers: { ping: (response) => void response.writeHead(405).end() } });
    await ready(upstream);
    await until(() => server.calls('ping').length >= 2, 'two pings');
    expect(events.states).toEqual(['ready']);
  });

  it('refuses more requests at once than configured', async () => {
    const { upstream } = await open(
      handlers(() => {}),
      { maxConcurrency: 1 },
    );
    await ready(upstream);
    begin(upstream, call('x'), new Sink());
    expect((await ask(upstream, call('x'))).refusal).toBe(UPSTREAM_BUSY);
  });

  it('bounds the notifications under way to an upstream that answers none', async () => {
    const server = await new McpHttpServer().listen();
    servers.push(server);
    const { upstream } = connect(server.url);
    await ready(upstream);
    const note = envelope({ jsonrpc: '2.0', method: 'notifications/x' });
    const refusals = Array.from({ length: 100 }, () => upstream.notify(note, { restPath: '', principalKey: 'p' }));
    expect([refusals[0], refusals.at(-1)]).toEqual([null, UPSTREAM_BUSY]);
  });

  it('tells the callers when it closes, and refuses new ones', async () => {
    const { upstream } = await open(handlers(() => {}));
    await ready(upstream);
    const pending = ask(upstream, call('x'));
    await Promise.all([upstream.close(), upstream.close()]);
    expect((await pending).refusal).toBe(UPSTREAM_DOWN);
    expect((await ask(upstream, call('x'))).refusal).toBe(UPSTREAM_DOWN);
    expect(upstream.state).toBe('closed');
  });
});
