import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keyEntry, makeKey, rpc, rpcStream, startGateway, startHttpUpstream, waitUntil } from './harness.ts';
import type { Gateway, HttpAnswer, HttpUpstream, RpcStream, UpstreamAnswer, UpstreamRequest } from './harness.ts';
import { discoverResult, MODERN, modernAnswers, modernHeaders, modernMeta, modernRequest } from './modern.ts';

const key = makeKey();
const reader = makeKey();
const SUBSCRIPTION = 'io.modelcontextprotocol/subscriptionId';
let script: (request: UpstreamRequest) => UpstreamAnswer | undefined = () => undefined;
let gateway: Gateway;
let upstream: HttpUpstream;
const streams: RpcStream[] = [];

beforeAll(async () => {
  upstream = await startHttpUpstream({ answer: modernAnswers((request) => script(request)) });
  gateway = await startGateway({
    config: {
      auth: { api_keys: [keyEntry('tester', key), { ...keyEntry('reader', reader), allowed_tools: ['read_*'] }] },
      rate_limit: { enabled: false },
      upstream: { transport: 'http', url: upstream.url, allow_private_networks: true },
    },
  });
});
afterAll(() => {
  for (const stream of streams) stream.leave();
});

async function send(method: string, params: Record<string, unknown> = {}, who = key): Promise<HttpAnswer> {
  const name = params['name'] ?? params['uri'];
  return await rpc(gateway.mcp, modernRequest(method, params, 'id-1'), {
    key: who.key,
    headers: modernHeaders(method, name as string | undefined),
  });
}

/** Opens an event stream. */
async function open(method: string, params: Record<string, unknown>, id: string | number): Promise<RpcStream> {
  const headers = modernHeaders(method, params['name'] as string | undefined);
  const stream = await rpcStream(gateway.mcp, modernRequest(method, params, id), { key: key.key, headers });
  streams.push(stream);
  return stream;
}

function errorAnswer(code: number, status: number): (request: UpstreamRequest) => UpstreamAnswer | undefined {
  return ({ message }) => {
    if (message['method'] !== 'tools/call') return undefined;
    return { status, body: { jsonrpc: '2.0', id: message['id'], error: { code, message: 'no', data: { own: true } } } };
  };
}

describe('server/discover', () => {
  it('is answered with what the server says of itself, less what is not relayed', async () => {
    const { json } = await send('server/discover');
    const { _meta, ...rest } = discoverResult();
    expect(json?.['result']).toEqual({ ...rest, _meta });
    const before = upstream.of('server/discover').length;
    await send('server/discover');
    expect(upstream.of('server/discover').length).toBe(before);
  });

  it('promises no extension but tasks', async () => {
    const many = {
      tools: {},
      extensions: { 'io.modelcontextprotocol/tasks': { made: 'up' }, 'com.example/own': {} },
      experimental: { x: {} },
      logging: {},
    };
    const other = await startHttpUpstream({
      answer: modernAnswers(({ message }) =>
        message['method'] === 'server/discover' ? { body: { jsonrpc: '2.0', id: message['id'], result: discoverResult(many) } } : undefined,
      ),
    });
    const own = await startGateway({
      config: {
        auth: { api_keys: [keyEntry('tester', key)] },
        upstream: { transport: 'http', url: other.url, allow_private_networks: true },
      },
    });
    const { json } = await rpc(own.mcp, modernRequest('server/discover'), { key: key.key, headers: modernHeaders('server/discover') });
    expect(json?.['result']?.['capabilities']).toEqual({ tools: {}, logging: {}, extensions: { 'io.modelcontextprotocol/tasks': {} } });
  });
});

describe('results', () => {
  it('keep their members, the type and the cache hints included', async () => {
    const result = { tools: [], resultType: 'complete', ttlMs: 5, cacheScope: 'public' };
    script = ({ message }) => (message['method'] === 'tools/list' ? { body: { jsonrpc: '2.0', id: message['id'], result } } : undefined);
    expect((await send('tools/list')).json?.['result']).toEqual(result);
  });

  it('that show one caller’s tools are private to it, and show no other', async () => {
    const tools = ['read_file', 'write_file'].map((name) => ({ name, inputSchema: { type: 'object' } }));
    const result = { resultType: 'complete', ttlMs: 5, cacheScope: 'public', tools };
    script = ({ message }) => (message['method'] === 'tools/list' ? { body: { jsonrpc: '2.0', id: message['id'], result } } : undefined);
    expect((await send('tools/list', {}, reader)).json?.['result']).toEqual({ ...result, cacheScope: 'private', tools: [tools[0]] });
    expect((await send('tools/call', { name: 'write_file' }, reader)).status).toBe(403);
  });

  it('that ask for input, and the retry with its state, pass byte for byte', async () => {
    const state = '\\u00e9\\/"é=='.replaceAll('"', '\\"');
    const text = `{"resultType":"input_required","requestState":"${state}","inputRequests":{"k":{"method":"roots/list"}}}`;
    script = ({ message, body }) => {
      if (message['method'] !== 'tools/call') return undefined;
      const result = body.includes(`"requestState":"${state}"`) ? '{"resultType":"complete","content":[]}' : text;
      return {
        headers: { 'content-type': 'application/json' },
        body: `{"jsonrpc":"2.0","id":${String(message['id'])},"result":${result}}`,
      };
    };
    const first = await send('tools/call', { name: 'echo' });
    expect(first.body).toBe(`{"jsonrpc":"2.0","id":"id-1","result":${text}}`);
    const request = JSON.stringify(modernRequest('tools/call', { name: 'echo', inputResponses: { k: { roots: [] } } }, 'id-2'));
    const retry = request.replace('"name":"echo"', `"name":"echo","requestState":"${state}"`);
    const second = await rpc(gateway.mcp, retry, { key: key.key, headers: modernHeaders('tools/call', 'echo') });
    expect(second.json).toEqual({ jsonrpc: '2.0', id: 'id-2', result: { resultType: 'complete', content: [] } });
    expect(upstream.of('tools/call').at(-1)?.body).toContain(`"requestState":"${state}"`);
  });

  it.each([
    [-32601, 404],
    [-32020, 400],
    [-32021, 400],
    [-32022, 400],
    [-32602, 200],
    [-32603, 200],
    [-31000, 200],
  ])('trap 4: the error %d is HTTP %d, whatever status the server gave it', async (code, status) => {
    for (const given of [200, 400, 404]) {
      script = errorAnswer(code, given);
      const answer = await send('tools/call', { name: 'echo' });
      expect([answer.status, answer.json]).toEqual([
        status,
        { jsonrpc: '2.0', id: 'id-1', error: { code, message: 'no', data: { own: true } } },
      ]);
    }
  });

  it.each([401, 403, 500])('that are HTTP %d are the gateway’s own 502', async (status) => {
    script = errorAnswer(-32601, status);
    expect((await send('tools/call', { name: 'echo' })).status).toBe(502);
  });

  it.each([200, 400, 401, 404])('trap 14: of HTTP %d come without the headers of the server', async (status) => {
    const headers = { 'set-cookie': 'inner=1', 'www-authenticate': 'Bearer realm="inner"', 'mcp-session-id': 'inner-session' };
    script = (request) => ({ ...errorAnswer(-32601, status)(request), headers });
    const answer = await send('tools/call', { name: 'echo' });
    expect(Object.keys(answer.headers).filter((name) => name in headers)).toEqual([]);
    expect(JSON.stringify(answer.headers) + answer.body).not.toContain('inner');
    for (const sent of upstream.requests) expect(sent.headers.authorization).toBeUndefined();
  });

  it('that are no JSON-RPC, or another’s, are none', async () => {
    const bodies = ['{}', 'no', { jsonrpc: '2.0', id: 999, error: { code: -32601, message: 'x' } }];
    for (const body of bodies) {
      script = ({ message }) =>
        message['method'] === 'tools/call' ? { status: 404, headers: { 'content-type': 'application/json' }, body } : undefined;
      expect((await send('tools/call', { name: 'echo' })).status).toBe(502);
    }
  });
});

describe('a client that leaves', () => {
  it('row 151: trap 6: cancels its call: the connection to the server is closed, its places are free', async () => {
    script = ({ message }) => (message['method'] === 'tools/call' ? { events: [progressOf(1)], isKeptOpen: true } : undefined);
    const narrow = await startGateway({
      config: {
        auth: { api_keys: [keyEntry('tester', key)] },
        rate_limit: { max_in_flight: 1 },
        upstream: { transport: 'http', url: upstream.url, allow_private_networks: true, max_concurrency: 1 },
      },
    });
    const options = { key: key.key, headers: modernHeaders('tools/call', 'echo') };
    const stream = await rpcStream(narrow.mcp, modernRequest('tools/call', { name: 'echo' }), options);
    const sent = upstream.of('tools/call').at(-1);
    stream.leave();
    await waitUntil(async () => (await narrow.auditLines()).some(({ status, detail }) => status === 499 && detail === 'cancelled'), {
      what: 'a record of it',
    });
    await waitUntil(() => upstream.isGone(sent?.connection ?? 0), { what: 'the connection to be closed' });
    expect(stream.events()).toEqual([]);
    script = () => undefined;
    expect((await rpc(narrow.mcp, modernRequest('tools/call', { name: 'echo' }), options)).status).toBe(200);
  });
});

function progressOf(token: number): object {
  return { jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: token, progress: 1 } };
}

/** A server that acknowledges a subscription, tells `notes` of it and then waits. */
function listening(notes: readonly object[], end?: object): (request: UpstreamRequest) => UpstreamAnswer | undefined {
  return ({ message }) => {
    if (message['method'] !== 'subscriptions/listen') return undefined;
    const _meta = { [SUBSCRIPTION]: message['id'] };
    const tagged = notes.map((note) => ({ jsonrpc: '2.0', params: { _meta }, ...note }));
    const ack = {
      jsonrpc: '2.0',
      method: 'notifications/subscriptions/acknowledged',
      params: { notifications: { toolsListChanged: true }, _meta },
    };
    const last = end === undefined ? [] : [{ jsonrpc: '2.0', id: message['id'], result: { ...end, _meta } }];
    return { events: [ack, ...tagged, ...last], ...(end === undefined ? { isKeptOpen: true } : {}) };
  };
}

const FILTER = { notifications: { toolsListChanged: true } };

describe('subscriptions/listen', () => {
  it('trap 7: is acknowledged at once, in the words of the client, and told what happens', async () => {
    script = listening([{ method: 'notifications/tools/list_changed' }]);
    const stream = await open('subscriptions/listen', FILTER, 'my-listen');
    expect(stream.headers).toMatchObject({ 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' });
    const events = await stream.awaitEvents(2);
    expect(events).toEqual([
      {
        jsonrpc: '2.0',
        method: 'notifications/subscriptions/acknowledged',
        params: { notifications: { toolsListChanged: true }, _meta: { [SUBSCRIPTION]: 'my-listen' } },
      },
      { jsonrpc: '2.0', method: 'notifications/tools/list_changed', params: { _meta: { [SUBSCRIPTION]: 'my-listen' } } },
    ]);
  });

  it('takes no place of the server: who only listens keeps nobody out', async () => {
    script = listening([]);
    const narrow = await startGateway({
      config: {
        auth: { api_keys: [keyEntry('tester', key), keyEntry('reader', reader)] },
        rate_limit: { enabled: false },
        upstream: { transport: 'http', url: upstream.url, allow_private_networks: true, max_concurrency: 1 },
      },
    });
    for (const id of [1, 2, 3]) {
      const headers = modernHeaders('subscriptions/listen');
      const stream = await rpcStream(narrow.mcp, modernRequest('subscriptions/listen', FILTER, id), { key: key.key, headers });
      streams.push(stream);
      await stream.awaitEvents(1);
    }
    const params = { name: 'read_it', arguments: {} };
    const answer = await rpc(narrow.mcp, modernRequest('tools/call', params), {
      key: reader.key,
      headers: modernHeaders('tools/call', 'read_it'),
    });
    expect(answer.status).toBe(200);
  });

  it('is refused to a client that takes no event stream', async () => {
    script = listening([]);
    const before = upstream.of('subscriptions/listen').length;
    const headers = { ...modernHeaders('subscriptions/listen'), accept: 'application/json' };
    expect((await rpc(gateway.mcp, modernRequest('subscriptions/listen', FILTER, 1), { key: key.key, headers })).status).toBe(406);
    expect(upstream.of('subscriptions/listen')).toHaveLength(before);
  });

  it('ends in order when the key that opened it expires', async () => {
    script = listening([]);
    const brief = makeKey();
    const expiresMs = Date.now() + 8000;
    const own = await startGateway({
      config: {
        auth: { api_keys: [keyEntry('brief', brief, { expires_at: new Date(expiresMs).toISOString() })] },
        upstream: { transport: 'http', url: upstream.url, allow_private_networks: true },
      },
    });
    const headers = modernHeaders('subscriptions/listen');
    const stream = await rpcStream(own.mcp, modernRequest('subscriptions/listen', FILTER, 'brief'), { key: brief.key, headers });
    await stream.awaitEvents(1);
    expect(await stream.ended).toBe('complete');
    expect(Date.now()).toBeGreaterThanOrEqual(expiresMs);
    expect(stream.events().at(-1)).toMatchObject({ id: 'brief', result: { resultType: 'complete' } });
  });

  it('keeps two that have the same id apart, and passes on nothing that names another', async () => {
    script = listening([
      { method: 'notifications/tools/list_changed', params: { _meta: { [SUBSCRIPTION]: 99_999 } } },
      { method: 'notifications/message', params: { level: 'info', data: 'stray' } },
      { method: 'notifications/resources/updated' },
    ]);
    const [one, other] = [await open('subscriptions/listen', FILTER, 7), await open('subscriptions/listen', FILTER, 7)];
    for (const stream of [one, other]) {
      const events = await stream.awaitEvents(2);
      expect(events.map((event) => event['method'])).toEqual([
        'notifications/subscriptions/acknowledged',
        'notifications/resources/updated',
      ]);
      expect(JSON.stringify(events)).not.toContain('99999');
    }
    const ids = upstream
      .of('subscriptions/listen')
      .slice(-2)
      .map(({ message }) => message['id']);
    expect(new Set(ids).size).toBe(2);
  });

  it('ends with the server’s result, and closes the server’s stream when the client leaves', async () => {
    script = listening([], { resultType: 'complete' });
    const ended = await open('subscriptions/listen', FILTER, 'a');
    expect(await ended.ended).toBe('complete');
    expect(ended.events().at(-1)).toEqual({ jsonrpc: '2.0', id: 'a', result: { resultType: 'complete', _meta: { [SUBSCRIPTION]: 'a' } } });
    script = listening([]);
    const left = await open('subscriptions/listen', FILTER, 'b');
    await left.awaitEvents(1);
    const sent = upstream.of('subscriptions/listen').at(-1);
    left.leave();
    await waitUntil(() => upstream.isGone(sent?.connection ?? 0), { what: 'the connection to be closed' });
  });
});

describe('a gateway that ends', () => {
  it('ends its subscriptions in order, and does not wait for their clients', async () => {
    script = listening([]);
    const own = await startGateway({
      config: {
        server: { drain_timeout_secs: 120, workers: 2 },
        auth: { api_keys: [keyEntry('tester', key)] },
        upstream: { transport: 'http', url: upstream.url, allow_private_networks: true },
      },
    });
    const headers = modernHeaders('subscriptions/listen');
    const stream = await rpcStream(own.mcp, modernRequest('subscriptions/listen', FILTER, 'last'), { key: key.key, headers });
    await stream.awaitEvents(1);
    expect(await own.stop()).toEqual({ code: 0, signal: null });
    expect(await stream.ended).toBe('complete');
    expect(stream.events().at(-1)).toEqual({
      jsonrpc: '2.0',
      id: 'last',
      result: { resultType: 'complete', _meta: { [SUBSCRIPTION]: 'last' } },
    });
  });
});

describe('a notification', () => {
  it('trap 10: is 202 without a body, though the server never answers it', async () => {
    script = ({ message }) => (message['method'] === 'notifications/vendor' ? { isSilent: true } : undefined);
    const note = { jsonrpc: '2.0', method: 'notifications/vendor', params: {} };
    const answer = await rpc(gateway.mcp, note, { key: key.key, headers: { 'mcp-protocol-version': MODERN } });
    expect([answer.status, answer.body, answer.headers['content-type']]).toEqual([202, '', undefined]);
    await waitUntil(() => upstream.of('notifications/vendor').length === 1, { what: 'the notification' });
  });
});

describe('what a client can do', () => {
  it('is told to the server as the client says it, extensions too', async () => {
    script = () => undefined;
    const tasks = 'io.modelcontextprotocol/tasks';
    const capabilities = { elicitation: { form: {} }, extensions: { [tasks]: {}, 'com.example/own': { a: 1 } } };
    const meta = modernMeta({ 'io.modelcontextprotocol/clientCapabilities': capabilities });
    const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'echo', arguments: { text: tasks }, _meta: meta } };
    const answer = await rpc(gateway.mcp, message, { key: key.key, headers: modernHeaders('tools/call', 'echo') });
    expect(answer.status).toBe(200);
    const sent = upstream.of('tools/call').at(-1)?.message['params'];
    expect(sent).toEqual({
      name: 'echo',
      arguments: { text: tasks },
      _meta: meta,
    });
  });
});

describe('whether a server speaks the revision', () => {
  it('is not read from a refusal to talk: it is asked again', async () => {
    let status = 401;
    const shy = await startHttpUpstream({
      answer: modernAnswers(({ message }) =>
        message['method'] === 'server/discover' && status !== 200 ? { status, body: '' } : undefined,
      ),
    });
    const own = await startGateway({
      config: {
        auth: { api_keys: [keyEntry('tester', key)] },
        upstream: { transport: 'http', url: shy.url, allow_private_networks: true },
      },
      isReadyAwaited: false,
    });
    await waitUntil(() => shy.of('server/discover').length > 1, { what: 'to be asked again' });
    status = 200;
    await waitUntil(
      async () =>
        (await rpc(own.mcp, modernRequest('server/discover'), { key: key.key, headers: modernHeaders('server/discover') })).status === 200,
      { what: 'the revision to be served' },
    );
    expect(shy.of('server/discover').at(-1)?.headers).toMatchObject({ 'mcp-protocol-version': MODERN, 'mcp-method': 'server/discover' });
  });
});

describe('a method that does not fit into the header which repeats it', () => {
  const call = JSON.stringify({ jsonrpc: '2.0', id: 9, method: 'tools/call', params: { name: 'delete_file', arguments: {}, _meta: {} } });
  const smuggled =
    `notifications/x\r\ncontent-length: 0\r\n\r\nPOST /mcp HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n` +
    `mcp-method: tools/call\r\nmcp-name: delete_file\r\ncontent-length: ${call.length}\r\n\r\n${call}POST /x HTTP/1.1\r\nhost: a\r\nx: `;

  it.each([
    ['a request of its own', smuggled],
    ['a header', 'notifications/x\r\nauthorization: Bearer injected'],
    ['a line feed', 'notifications/x\ny: z'],
    ['NUL', 'notifications/x\0'],
    ['no Latin-1', 'notifications/\u20ac'],
    ['no end', `notifications/${'x'.repeat(200_000)}`],
  ])('is refused and nothing reaches the server: %s', async (_what, method) => {
    const before = upstream.requests.length;
    const { params } = modernRequest(method);
    const sanes = upstream.of('notifications/sane').length;
    const answer = await rpc(
      gateway.mcp,
      { jsonrpc: '2.0', method, params },
      { key: reader.key, headers: { 'mcp-protocol-version': MODERN } },
    );
    expect(answer.status).toBe(400);
    expect(answer.json).toMatchObject({ error: { code: -32020 } });
    const sane = await rpc(
      gateway.mcp,
      { jsonrpc: '2.0', method: 'notifications/sane', params },
      { key: reader.key, headers: { 'mcp-protocol-version': MODERN } },
    );
    expect(sane.status).toBe(202);
    await waitUntil(() => upstream.of('notifications/sane').length > sanes, { what: 'the sane notification' });
    expect(upstream.requests.slice(before).map(({ message: { method: seen } }) => seen)).not.toContain('tools/call');
    expect(upstream.requests.slice(before).every(({ headers }) => headers.authorization === undefined)).toBe(true);
  });
});
