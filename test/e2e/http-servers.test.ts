import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  http,
  keyEntry,
  makeKey,
  rpc,
  rpcStream,
  runCli,
  sleep,
  startGateway,
  startHttpUpstream,
  stdioUpstream,
  tempDir,
  toolCall,
  toolText,
  waitUntil,
  type Gateway,
  type HttpAnswer,
  type HttpUpstream,
  type RpcStream,
  type UpstreamAnswer,
  type UpstreamRequest,
} from './harness.ts';
import { listen, openSession } from './sessions.ts';

const KEY = makeKey();
const ADMIN = makeKey();
const auth = { api_keys: [keyEntry('alice', KEY), keyEntry('root', ADMIN, { roles: ['admin'] })] };
const rate_limit = { enabled: false };

function remote({ url }: { readonly url: string }, extra: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return { transport: 'http', url, allow_private_networks: true, ...extra };
}

async function call(gateway: Gateway, name = 'echo', args: unknown = {}, path = '/mcp'): Promise<HttpAnswer> {
  return await rpc(`${gateway.url}${path}`, toolCall(name, args), { key: KEY.key });
}

function result(request: UpstreamRequest, value: unknown): Record<string, unknown> {
  return { jsonrpc: '2.0', id: request.message['id'], result: value };
}

function nameOf(request: UpstreamRequest): unknown {
  return request.message['method'] === 'tools/call' ? (request.message['params'] as { name: unknown }).name : request.message['method'];
}

const DONE = { content: [{ type: 'text', text: 'done' }] };

describe('what an HTTP upstream sees', () => {
  const canaries = {
    cookie: 'session=client-cookie',
    'proxy-authorization': 'Basic client-proxy',
    'x-api-key': 'client-api-key',
    'x-client-cert-cn': 'client-cn',
    'x-forwarded-for': '203.0.113.9',
    'x-forwarded-user': 'client-user',
    forwarded: 'for=203.0.113.9',
    'last-event-id': 'client-event',
    'user-agent': 'client-agent',
    'x-custom': 'client-custom',
    'x-tenant': 'client-tenant',
    'mcp-protocol-version': '2025-11-25',
  };
  let gateway: Gateway;
  let upstream: HttpUpstream;
  let answer: HttpAnswer;

  beforeAll(async () => {
    upstream = await startHttpUpstream({
      answer: (request): UpstreamAnswer | undefined => {
        const headers = { 'set-cookie': 'up=1', 'www-authenticate': 'Bearer up', 'x-powered-by': 'up', 'mcp-session-id': 'up-session' };
        if (request.message['method'] === 'initialize') {
          const capabilities = { tools: {} };
          const serverInfo = { name: 'up', version: '1' };
          return { headers, body: result(request, { protocolVersion: '2025-06-18', capabilities, serverInfo }) };
        }
        return request.message['id'] === undefined ? undefined : { headers, body: result(request, DONE) };
      },
    });
    gateway = await startGateway({
      config: {
        auth,
        rate_limit,
        upstream: remote(upstream, { headers: { Authorization: 'Bearer ${UP_TOKEN}', 'X-Tenant': 'configured' } }),
      },
      env: { UP_TOKEN: 'token-from-environment' },
    });
    answer = await rpc(gateway.mcp, toolCall('echo', {}, 'mine'), { key: KEY.key, headers: canaries });
  });

  it('row 163: trap 9: POSTs that accept JSON and event streams, with the version and the session of that upstream, not of the client', () => {
    expect(answer.status).toBe(200);
    const [initialize] = upstream.of('initialize');
    expect(initialize?.headers['mcp-session-id']).toBeUndefined();
    expect(initialize?.message['params']).toMatchObject({
      protocolVersion: '2025-11-25',
      clientInfo: { name: 'mcp-guard' },
      capabilities: {},
    });
    for (const method of ['notifications/initialized', 'tools/call']) {
      const [request] = upstream.of(method);
      expect(request?.headers).toMatchObject({ 'mcp-protocol-version': '2025-06-18', 'mcp-session-id': 'up-session' });
    }
    for (const { method, url, headers } of upstream.requests) {
      expect([method, url, headers['content-type'], headers.accept]).toEqual([
        'POST',
        '/mcp',
        'application/json',
        'application/json, text/event-stream',
      ]);
      expect(headers.host).toBe(`127.0.0.1:${upstream.port}`);
    }
  });

  it('row 163: the upstream sees an id of the gateway, the client its own', () => {
    expect(upstream.of('tools/call')[0]?.message['id']).toEqual(expect.any(Number));
    expect(answer.json?.['id']).toBe('mine');
  });

  it('row 164: static headers go with every request, the environment fills them in', () => {
    expect(upstream.requests.length).toBeGreaterThanOrEqual(3);
    for (const { headers } of upstream.requests) {
      expect([headers.authorization, headers['x-tenant']]).toEqual(['Bearer token-from-environment', 'configured']);
    }
  });

  it("row 164: trap 14: nothing of the client's headers is forwarded, its Authorization least of all", () => {
    const seen = JSON.stringify(upstream.requests.map(({ rawHeaders }) => rawHeaders));
    expect(seen).not.toContain('client-');
    expect(seen).not.toContain('203.0.113.9');
    expect(JSON.stringify(upstream.requests)).not.toContain(KEY.key);
  });

  it("row 164: trap 14: no header of the upstream's answer reaches the client", () => {
    const names = Object.keys(answer.headers);
    for (const name of ['set-cookie', 'www-authenticate', 'x-powered-by', 'mcp-session-id']) expect(names).not.toContain(name);
    expect(answer.body).not.toContain('up-session');
  });

  it("row 164: the upstream's token is in no log, audit record, banner or config show", async () => {
    const shown = await runCli(['config', 'show', '-c', 'mcp-guard.json'], {
      cwd: gateway.dir,
      env: { UP_TOKEN: 'token-from-environment' },
    });
    expect(shown.code).toBe(0);
    const audit = JSON.stringify(
      await waitUntil(async () => (await gateway.auditLines()).length > 0 && (await gateway.auditLines()), { what: 'audit' }),
    );
    for (const text of [gateway.stdout(), gateway.stderr(), audit, shown.stdout]) expect(text).not.toContain('token-from-environment');
  });

  it('row 164: configured headers that would break the request are refused by validate', async () => {
    const broken = {
      host: 'evil',
      'Content-Length': '5',
      'transfer-encoding': 'chunked',
      'Mcp-Session-Id': 'fixed',
      'MCP-Protocol-Version': '1',
      Connection: 'close',
      accept: 'text/html',
      'x bad': 'name',
      'x-bad': 'va\r\nlue: 1',
    };
    const servers = Object.entries(broken).map(([name, value], index) => ({
      name: `s${index}`,
      ...remote(upstream, { headers: { [name]: value } }),
    }));
    const cwd = await tempDir();
    await writeFile(join(cwd, 'c.json'), JSON.stringify({ auth, upstream: { servers } }));
    const { code, stderr } = await runCli(['validate', '-c', 'c.json'], { cwd });
    expect(code).toBe(1);
    for (const index of servers.keys()) expect(stderr).toContain(`upstream.servers[${index}].headers`);
  });

  it('row 169: calls one after the other share a connection; at the same time they share a few', async () => {
    for (let index = 0; index < 20; index++) expect((await call(gateway)).status).toBe(200);
    const before = upstream.connections;
    for (let index = 0; index < 40; index++) expect((await call(gateway)).status).toBe(200);
    expect(upstream.connections - before).toBeLessThanOrEqual(1);
    for (let round = 0; round < 5; round++) await Promise.all(Array.from({ length: 10 }, () => call(gateway)));
    const afterBursts = upstream.connections;
    expect(afterBursts).toBeLessThanOrEqual(before + 1 + 12);
    const byConnection = new Set(upstream.of('tools/call').map(({ connection }) => connection));
    expect(byConnection.size).toBeLessThan(20);
  });
});

describe('what an HTTP upstream puts into the headers of its answers', () => {
  const OWN = { 'set-cookie': 'inner=1', 'www-authenticate': 'Bearer realm="inner"', 'mcp-session-id': 'inner-session' };
  let gateway: Gateway;
  let upstream: HttpUpstream;

  /** Of a call, the name says the status. */
  function answerOf(request: UpstreamRequest): UpstreamAnswer {
    const { id, method } = request.message;
    if (request.method === 'GET') return { headers: OWN, events: [{ jsonrpc: '2.0', method: 'notifications/tools/list_changed' }] };
    if (method === 'initialize') {
      const serverInfo = { name: 'up', version: '1' };
      return { headers: OWN, body: result(request, { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo }) };
    }
    if (method === 'ping') return { headers: OWN, body: result(request, {}) };
    if (id === undefined) return { status: request.method === 'DELETE' ? 200 : 202, headers: OWN, body: '' };
    if (nameOf(request) === 'events') return { headers: OWN, events: [result(request, DONE)] };
    const status = Number(nameOf(request));
    return { status, headers: OWN, body: status === 200 ? result(request, DONE) : 'inner' };
  }

  function expectNoneOf({ headers, body }: Pick<HttpAnswer, 'headers' | 'body'>): void {
    for (const name of ['set-cookie', 'www-authenticate']) expect(headers[name]).toBeUndefined();
    expect(JSON.stringify(headers) + body).not.toContain('inner');
  }

  beforeAll(async () => {
    upstream = await startHttpUpstream({ answer: answerOf });
    gateway = await startGateway({ config: { auth, rate_limit, upstream: remote(upstream) } });
  });

  it.each([
    ['200', 200],
    ['events', 200],
    ['401', 502],
    ['403', 502],
    ['404', 502],
    ['500', 502],
  ])('row 164: trap 14: stays there: answer %s, shared by all', async (name, status) => {
    const answer = await call(gateway, name);
    expect([answer.status, answer.headers['mcp-session-id']]).toEqual([status, undefined]);
    expectNoneOf(answer);
  });

  it('row 164: trap 14: stays there in a session as well, and its requests carry nothing of the client but the message', async () => {
    const session = await openSession(gateway.mcp, { key: KEY.key });
    expectNoneOf(session.answer);
    for (const [name, status] of [
      ['200', 200],
      ['events', 200],
      ['401', 502],
    ] as const) {
      const answer = await session.post(toolCall(name));
      expect(answer.status).toBe(status);
      expectNoneOf(answer);
    }
    const noted = await session.post({ jsonrpc: '2.0', method: 'notifications/x' });
    expect(noted.status).toBe(202);
    expectNoneOf(noted);
    const stream = await listen(gateway.mcp, KEY.key, session.id);
    await stream.awaits('list_changed');
    expectNoneOf({ headers: stream.headers, body: stream.text() });
    const ended = await http('DELETE', gateway.mcp, { key: KEY.key, headers: { 'mcp-session-id': session.id } });
    expect(ended.status).toBe(200);
    expectNoneOf(ended);
    await waitUntil(() => upstream.requests.some(({ method }) => method === 'DELETE'), { what: 'the end of the session upstream' });
    expect(new Set(upstream.requests.map(({ method }) => method))).toEqual(new Set(['POST', 'GET', 'DELETE']));
    for (const { headers } of upstream.requests) expect(headers.authorization).toBeUndefined();
    for (const secret of [KEY.key, session.id]) expect(JSON.stringify(upstream.requests)).not.toContain(secret);
  });
});

describe('an HTTP upstream that redirects', () => {
  it('row 165: no kind of redirect is followed: each is a 502', async () => {
    const target = await startHttpUpstream();
    const upstream = await startHttpUpstream({
      answer: (request) => {
        const status = Number(nameOf(request));
        return status > 0 ? { status, headers: { location: target.url }, body: '' } : undefined;
      },
    });
    const gateway = await startGateway({ config: { auth, rate_limit, upstream: remote(upstream) } });
    for (const status of [300, 301, 302, 303, 304, 305, 307, 308]) {
      const answer = await call(gateway, String(status));
      expect([status, answer.status, answer.headers.location]).toEqual([status, 502, undefined]);
      expect(answer.json?.['error']).toMatchObject({ code: -31502, message: 'Upstream error' });
      expect(answer.body).not.toContain(String(target.port));
    }
    expect(target.requests).toHaveLength(0);
    expect((await call(gateway)).status).toBe(200);
    await gateway.stop();
  });

  it('row 165: a redirect of initialize marks it down, and neither its target nor a metadata address is asked', async () => {
    const target = await startHttpUpstream();
    const upstream = await startHttpUpstream({ answer: () => ({ status: 307, headers: { location: target.url }, body: '' }) });
    const gateway = await startGateway({ config: { auth, rate_limit, upstream: remote(upstream) }, isReadyAwaited: false });
    const route = async (): Promise<unknown> => (await http('GET', `${gateway.url}/routes`, { key: ADMIN.key })).json?.['routes']?.[0];
    await waitUntil(async () => ((await route()) as { health: string }).health === 'down', { what: 'it is down' });
    expect(await route()).toMatchObject({ detail: expect.stringContaining('redirect') });
    expect((await http('GET', `${gateway.url}/ready`)).status).toBe(503);
    expect(target.requests).toHaveLength(0);
    await gateway.stop();
  });
});

/** A server that the test drives by hand, after the standard answers to what the gateway itself asks. */
async function startManual(
  handle: (id: unknown, response: ServerResponse, name: string) => void,
): Promise<{ url: string; server: Server }> {
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      const message = (body === '' ? {} : JSON.parse(body)) as { id?: unknown; method?: string; params?: { name: string } };
      if (message.method === 'tools/call') return handle(message.id, response, message.params?.name ?? '');
      if (message.id === undefined) {
        notifications.push(message);
        return void response.writeHead(202).end();
      }
      const serverInfo = { name: 'manual', version: '1' };
      const value = message.method === 'ping' ? {} : { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo };
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ jsonrpc: '2.0', id: message.id, result: value }));
    });
  });
  manual.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`, server };
}

const manual: Server[] = [];
/** What the servers driven by hand were told without being asked. */
const notifications: unknown[] = [];
afterAll(() => {
  for (const server of manual) {
    server.closeAllConnections();
    server.close();
  }
});

function event(message: unknown): string {
  return `event: message\nid: up-17\ndata: ${JSON.stringify(message)}\n\n`;
}

function progress(id: unknown, step: number, padding = ''): string {
  const params = { progressToken: id, progress: step, ...(padding === '' ? {} : { message: padding }) };
  return event({ jsonrpc: '2.0', method: 'notifications/progress', params });
}

function answerWith(response: ServerResponse, body: string, type = 'application/json'): void {
  response.writeHead(200, { 'content-type': type }).end(body);
}

/** Answers that are none to the call with this id. */
const ODD_ANSWERS: readonly (readonly [kind: string, give: (response: ServerResponse, id: unknown) => void])[] = [
  ['500', (response) => void response.writeHead(500).end('stack at /srv/app.js')],
  ['401', (response) => void response.writeHead(401, { 'www-authenticate': 'Bearer realm="inner"' }).end()],
  ['404 without a session', (response) => void response.writeHead(404).end()],
  ['202', (response) => void response.writeHead(202).end()],
  ['HTML', (response) => answerWith(response, '<html>inner</html>', 'text/html')],
  ['broken JSON', (response) => answerWith(response, '{"jsonrpc":"2.0",')],
  ['JSON that is no JSON-RPC', (response) => answerWith(response, '{"result":{}}')],
  ['an answer to another id', (response) => answerWith(response, '{"jsonrpc":"2.0","id":424242,"result":{"inner":1}}')],
  ['an answer with the id as text', (response, id) => answerWith(response, `{"jsonrpc":"2.0","id":"${String(id)}","result":{"inner":1}}`)],
  ['two ids', (response, id) => answerWith(response, `{"jsonrpc":"2.0","id":1000001,"id":${String(id)},"result":{"inner":1}}`)],
  ['a batch', (response, id) => answerWith(response, `[{"jsonrpc":"2.0","id":${String(id)},"result":{"inner":1}}]`)],
  ['nothing', (response) => answerWith(response, '')],
  [
    'gzip that was not asked for',
    (response) => void response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end('x'),
  ],
  ['a reset', (response) => void response.destroy()],
  [
    'a reset in the middle of the body',
    (response) =>
      void response
        .writeHead(200, { 'content-type': 'application/json', 'content-length': '500' })
        .write('{"json', () => response.destroy()),
  ],
  [
    'an invalid encoding',
    (response, id) =>
      void response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(
          Buffer.concat([Buffer.from(`{"jsonrpc":"2.0","id":${String(id)},"result":{"a":"`), Buffer.of(0xff, 0xfe), Buffer.from('"}}')]),
        ),
  ],
];

async function residentBytes(pid: number): Promise<number> {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

async function workerOf(gateway: Gateway): Promise<number> {
  const text = await readFile(`/proc/${gateway.pid}/task/${gateway.pid}/children`, 'utf8');
  return Number(text.trim().split(' ')[0]);
}

describe('answers of an HTTP upstream', () => {
  const STEPS = 2000;
  const PADDING = 'p'.repeat(50_000);
  const MIB = 1024 * 1024;
  const LASTING_STEPS = 4;
  const LASTING_MS = 32_000;
  const open: Record<string, { readonly id: unknown; readonly response: ServerResponse }[]> = {};
  let gateway: Gateway;
  /** Steps written, by the name of the call. */
  const written: Record<string, number> = {};
  let stalled: RpcStream;
  let lasting: Promise<RpcStream>;

  /** Events as fast as they are taken, then the answer. */
  function flood(id: unknown, response: ServerResponse, name: string): void {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    let step = 0;
    const pour = (): void => {
      while (step < STEPS) {
        step += 1;
        written[name] = step;
        if (!response.write(progress(id, step, PADDING))) return void response.once('drain', pour);
      }
      response.end(event({ jsonrpc: '2.0', id, result: DONE }));
    };
    pour();
  }

  /** A step now and then, then the answer. */
  async function last(id: unknown, response: ServerResponse): Promise<void> {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (let step = 1; step <= LASTING_STEPS; step++) {
      response.write(progress(id, step));
      await sleep(LASTING_MS / LASTING_STEPS);
    }
    response.end(event({ jsonrpc: '2.0', id, result: DONE }));
  }

  function handle(id: unknown, response: ServerResponse, name: string): void {
    if (name === 'lasting') return void last(id, response);
    if (name === 'prompt') return answerWith(response, JSON.stringify({ jsonrpc: '2.0', id, result: DONE }));
    if (name.startsWith('flood')) return flood(id, response, name);
    (open[name] ??= []).push({ id, response });
  }

  async function arrived(name: string): Promise<{ readonly id: unknown; readonly response: ServerResponse }> {
    return await waitUntil(() => open[name]?.shift(), { what: `the call ${name} arrives` });
  }

  beforeAll(async () => {
    const one = await startManual(handle);
    gateway = await startGateway({
      config: {
        auth,
        rate_limit: { requests_per_second: 10_000, burst_size: 10_000, max_in_flight: 3 },
        upstream: {
          servers: [
            { name: 'main', path_prefix: '/', timeout_secs: 20, ...remote(one) },
            { name: 'quick', timeout_secs: 0.6, timeout_max_secs: 2, max_response_size: 100_000, ...remote(one) },
          ],
        },
      },
    });
    // Looked at by a later test, as it takes its time.
    lasting = rpcStream(gateway.mcp, toolCall('lasting', {}, 'l', { progressToken: 'l' }), { key: ADMIN.key });
    // Looked at by the last test: a client that never reads.
    stalled = await rpcStream(gateway.mcp, toolCall('flood-stalled', {}, 1, { progressToken: 1 }), { key: ADMIN.key, isPaused: true });
  });

  it('row 37: trap 7: are relayed event by event: the first is there while the upstream still works', async () => {
    const answer = rpcStream(gateway.mcp, toolCall('steps', {}, 'c', { progressToken: 'tok' }), { key: KEY.key });
    const { id, response } = await arrived('steps');
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(progress(id, 1));
    const stream = await answer;
    expect([stream.status, stream.headers['content-type'], stream.headers['mcp-session-id']]).toEqual([
      200,
      'text/event-stream',
      undefined,
    ]);
    for (const step of [1, 2, 3]) {
      if (step > 1) response.write(progress(id, step));
      const events = await stream.awaitEvents(step);
      expect(events.at(-1)).toEqual({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 'tok', progress: step } });
    }
    expect(response.writableEnded).toBe(false);
    response.end(event({ jsonrpc: '2.0', id, result: DONE }));
    expect(await stream.ended).toBe('complete');
    expect(stream.events()).toHaveLength(4);
    expect(stream.events().at(-1)).toEqual({ jsonrpc: '2.0', id: 'c', result: DONE });
  });

  it('row 37: go on for longer than half a minute, where proxies and default deadlines cut them', async () => {
    const stream = await lasting;
    expect(await stream.ended).toBe('complete');
    const steps = stream.events().map((one) => one['params']?.['progress']);
    expect(steps).toEqual([...Array.from({ length: LASTING_STEPS }, (_, index) => index + 1), undefined]);
    expect(stream.events().at(-1)).toEqual({ jsonrpc: '2.0', id: 'l', result: DONE });
  }, 50_000);

  it('trap 15: of many MiB hold up nobody: another caller is served between any two pieces of them', async () => {
    const worker = await workerOf(gateway);
    const before = await residentBytes(worker);
    const large = call(gateway, 'large');
    const { id, response } = await arrived('large');
    const data = Buffer.alloc(6 * MIB, 'mcp').toString('base64');
    const text = JSON.stringify({ jsonrpc: '2.0', id, result: { content: [{ type: 'image', mimeType: 'image/png', data }] } });
    response.writeHead(200, { 'content-type': 'application/json' });
    for (let at = 0; at < text.length; at += MIB) {
      await new Promise((resolve) => response.write(text.slice(at, at + MIB), resolve));
      expect(toolText(await rpc(gateway.mcp, toolCall('prompt'), { key: ADMIN.key }))).toBe('done');
    }
    response.end();
    const { status, json } = await large;
    expect([status, json?.['id'], String(json?.['result']?.['content']?.['0']?.['data']) === data]).toEqual([200, 1, true]);
    expect((await residentBytes(worker)) - before).toBeLessThan(96 * MIB);
  });

  it('show the client their head while the upstream has not said anything yet', async () => {
    const answer = rpcStream(gateway.mcp, toolCall('silent', {}, 'c'), { key: KEY.key });
    const { id, response } = await arrived('silent');
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    const stream = await answer;
    expect([stream.status, stream.events()]).toEqual([200, []]);
    response.end(event({ jsonrpc: '2.0', id, result: DONE }));
    expect(await stream.ended).toBe('complete');
    expect(stream.events()).toEqual([{ jsonrpc: '2.0', id: 'c', result: DONE }]);
  });

  it('cut anywhere, even within a character or a line end, come out whole', async () => {
    const answer = rpcStream(gateway.mcp, toolCall('cut', {}, 'c', { progressToken: 'tok' }), { key: KEY.key });
    const { id, response } = await arrived('cut');
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const note = { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'Grüße 😀\u2028' } };
    const last = { jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: 'ü'.repeat(50) }] } };
    const bytes = Buffer.from(`: comment\r\n\r\ndata: ${JSON.stringify(note)}\r\n\r\n:\n\ndata: ${JSON.stringify(last)}\n\n`);
    for (const byte of bytes) {
      response.write(Buffer.of(byte));
      if (byte > 127 || byte === 13) await new Promise((resolve) => setImmediate(resolve));
    }
    response.end();
    const stream = await answer;
    expect(await stream.ended).toBe('complete');
    expect(stream.events()).toEqual([note, { ...last, id: 'c' }]);
  });

  it('do not carry what belongs to nobody or to somebody else: progress of other requests, answers to other ids', async () => {
    const answer = rpcStream(gateway.mcp, toolCall('strange', {}, 'c', { progressToken: 'tok' }), { key: KEY.key });
    const { id, response } = await arrived('strange');
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const token of [Number(id) + 1, String(id), 'tok', 0, -1]) response.write(progress(token, 99));
    response.write('data: not json\n\ndata: {"jsonrpc":"2.0","id":"srv-1","method":"sampling/createMessage","params":{}}\n\n');
    response.write(progress(id, 1));
    response.write(event({ jsonrpc: '2.0', id: Number(id) + 1, result: { forged: true } }));
    const stream = await answer;
    await stream.ended;
    const events = stream.events();
    expect(events[0]?.['params']).toEqual({ progressToken: 'tok', progress: 1 });
    expect(events.slice(1)).toEqual([expect.objectContaining({ id: 'c', error: expect.objectContaining({ code: -31502 }) })]);
    response.end();
  });

  it.each(ODD_ANSWERS)('of the kind »%s« are a 502 that tells nothing of it, and the next call is served', async (_what, reply) => {
    const answer = call(gateway, 'odd');
    const { id, response } = await arrived('odd');
    reply(response, id);
    const { status, json, body, headers } = await answer;
    expect([status, json?.['id'], json?.['error']?.['code']]).toEqual([502, 1, -31502]);
    expect(body).not.toMatch(/inner|stack|srv/);
    expect(headers['www-authenticate']).toBeUndefined();
    expect(toolText(await call(gateway, 'prompt'))).toBe('done');
  });

  it('that end without a word after they began as a stream end with an error in the stream', async () => {
    const answer = call(gateway, 'empty');
    const { response } = await arrived('empty');
    answerWith(response, ': nothing\n\n', 'text/event-stream');
    const { status, events } = await answer;
    expect(status).toBe(200);
    expect(events).toEqual([{ jsonrpc: '2.0', id: 1, error: expect.objectContaining({ code: -31502 }) }]);
  });

  it('trap 15: over max_response_size are cut off: declared, endless, or as one endless event', async () => {
    const json = call(gateway, 'declared', {}, '/mcp/quick');
    const declared = await arrived('declared');
    declared.response.writeHead(200, { 'content-type': 'application/json', 'content-length': '99999999999' }).flushHeaders();
    expect((await json).status).toBe(502);
    for (const type of ['application/json', 'text/event-stream']) {
      const endless = rpc(`${gateway.mcp}/quick`, toolCall('endless'), { key: KEY.key, headers: { accept: 'application/json' } });
      const { response } = await arrived('endless');
      response.writeHead(200, { 'content-type': type }).write('data: "');
      const timer = setInterval(() => response.write('x'.repeat(65_536)), 1);
      response.on('close', () => clearInterval(timer));
      expect((await endless).status).toBe(502);
      await waitUntil(() => response.destroyed, { what: 'the upstream is cut off' });
    }
  });

  it('row 150: that do not come are a 504 after timeout_secs, and the upstream is told', async () => {
    const begin = performance.now();
    const late = call(gateway, 'never', {}, '/mcp/quick');
    const { id, response } = await arrived('never');
    const { status, json } = await late;
    const tookMs = performance.now() - begin;
    expect([status, json?.['id'], json?.['error']?.['code'], json?.['error']?.['message']]).toEqual([504, 1, -31504, 'Upstream timeout']);
    expect([tookMs >= 590, tookMs < 3000]).toEqual([true, true]);
    await waitUntil(() => response.destroyed, { what: 'the connection is given up' });
    const cancelled = expect.objectContaining({ method: 'notifications/cancelled', params: { requestId: id, reason: 'timed out' } });
    await waitUntil(() => JSON.stringify(notifications).includes('cancelled'), { what: 'the upstream is told' });
    expect(notifications).toContainEqual(cancelled);
  });

  it('row 150: that trickle, byte by byte or as comments, are no progress', async () => {
    for (const [type, piece] of [
      ['application/json', ' '],
      ['text/event-stream', ': still here\n\n'],
    ] as const) {
      const begin = performance.now();
      const late = call(gateway, 'trickle', {}, '/mcp/quick');
      const { response } = await arrived('trickle');
      response.writeHead(200, { 'content-type': type });
      const timer = setInterval(() => response.write(piece), 100);
      response.on('close', () => clearInterval(timer));
      const answer = await late;
      expect(answer.json?.['error']?.['code']).toBe(-31504);
      expect(performance.now() - begin).toBeLessThan(3000);
    }
  });

  it('row 150: that make progress may take longer than timeout_secs, but not longer than timeout_max_secs', async () => {
    for (const [limitMs, expected] of [
      [1200, undefined],
      [60_000, -31504],
    ] as const) {
      const begin = performance.now();
      const answer = rpc(`${gateway.mcp}/quick`, toolCall('long', {}, 1, { progressToken: 1 }), { key: KEY.key });
      const { id, response } = await arrived('long');
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      let step = 0;
      const timer = setInterval(() => {
        if (performance.now() - begin < limitMs) return void response.write(progress(id, ++step));
        clearInterval(timer);
        response.end(event({ jsonrpc: '2.0', id, result: DONE }));
      }, 300);
      response.on('close', () => clearInterval(timer));
      const { json } = await answer;
      const tookMs = performance.now() - begin;
      expect(json?.['error']?.['code']).toBe(expected);
      expect([tookMs > 1150, tookMs < 5000]).toEqual([true, true]);
    }
  });

  it('row 151: trap 6: go on without a client that leaves: the upstream may finish, and only then is the place of the call free', async () => {
    const options = { key: KEY.key };
    const streams = ['a', 'b', 'c'].map(async (id) => {
      const stream = rpcStream(gateway.mcp, toolCall('slow', {}, id, { progressToken: id }), options);
      const { id: internal, response } = await arrived('slow');
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(progress(internal, 1));
      return { stream: await stream, response, internal };
    });
    const all = await Promise.all(streams);
    expect((await call(gateway, 'refused')).status).toBe(429);
    for (const { stream } of all) stream.leave();
    await Promise.all(all.map(({ stream }) => stream.ended));
    expect((await call(gateway, 'refused')).status).toBe(429);
    for (const { response, internal } of all) {
      expect(response.destroyed).toBe(false);
      response.write(progress(internal, 2));
      response.end(event({ jsonrpc: '2.0', id: internal, result: DONE }));
      await waitUntil(() => response.writableFinished, { what: 'the upstream could finish' });
    }
    await waitUntil(async () => (await call(gateway, 'prompt')).status === 200, { what: 'a place is free' });
    const gone = await waitUntil(
      async () =>
        (await gateway.auditLines()).filter((line) => line['event_type'] === 'tool_response' && line['status'] === 499).length >= 3,
      { what: 'the audit says that the client left' },
    );
    expect(gone).toBe(true);
  });

  it('trap 15: are held back for a slow reader, who gets all of them in order when it reads again', async () => {
    const worker = await workerOf(gateway);
    const before = await residentBytes(worker);
    const message = toolCall('flood-slow', {}, 'slow', { progressToken: 's' });
    const slow = await rpcStream(gateway.mcp, message, { key: KEY.key, isPaused: true });
    let last = -1;
    await waitUntil(
      async () => {
        const isStill = written['flood-slow'] === last;
        last = written['flood-slow'] ?? 0;
        await sleep(150);
        return isStill;
      },
      { what: 'the upstream is held back', timeoutMs: 10_000 },
    );
    expect(last).toBeLessThan(STEPS);
    expect((await residentBytes(worker)) - before).toBeLessThan(80 * 1024 * 1024);
    slow.read();
    expect(await slow.ended).toBe('complete');
    const steps = slow.events().map((one) => one['params']?.['progress']);
    expect(steps).toEqual([...Array.from({ length: STEPS }, (_, index) => index + 1), undefined]);
  });

  it('are not kept for a client that never reads: it is cut off, and the gateway goes on', async () => {
    expect(stalled.events()).toEqual([]);
    await waitUntil(async () => (await gateway.auditLines()).some((line) => line['identity'] === 'root' && line['status'] === 499), {
      what: 'the client is given up',
      timeoutMs: 15_000,
    });
    stalled.read();
    expect(await stalled.ended).toBe('cut');
    expect(toolText(await call(gateway, 'prompt'))).toBe('done');
  });
});

describe('an HTTP upstream that goes and comes back', () => {
  it('is 503 while it is gone and served again without a restart; other servers do not notice', async () => {
    const first = await startHttpUpstream();
    const { port } = first;
    const gateway = await startGateway({
      config: {
        auth,
        rate_limit,
        upstream: {
          servers: [
            { name: 'far', ...remote(first) },
            { name: 'near', ...stdioUpstream() },
          ],
        },
      },
    });
    expect((await call(gateway, 'echo', {}, '/mcp/far')).status).toBe(200);
    await first.close();
    await waitUntil(async () => (await call(gateway, 'echo', {}, '/mcp/far')).status === 503, { what: 'it is down' });
    expect((await call(gateway, 'echo', {}, '/mcp/near')).status).toBe(200);
    await waitUntil(async () => (await http('GET', `${gateway.url}/ready`)).status === 503, { what: '/ready says so' });
    await startHttpUpstream({ port });
    await waitUntil(async () => (await call(gateway, 'echo', {}, '/mcp/far')).status === 200, { what: 'it is back', timeoutMs: 10_000 });
    await waitUntil(async () => (await http('GET', `${gateway.url}/ready`)).status === 200, { what: '/ready says so' });
    await gateway.stop();
  });
});
