import { beforeAll, describe, expect, it } from 'vitest';
import {
  http,
  keyEntry,
  makeKey,
  rawExchange,
  readRecord,
  rpc,
  rpcRequest,
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
  type RpcOptions,
} from './harness.ts';
import { expectRpcError, parseRaw } from './refusals.ts';

const key = makeKey();
const PARSE_ERROR = -32700;
const INVALID_REQUEST = -32600;
const INVALID_PARAMS = -32602;

/** What the echo upstream does with the tools and methods of these tests. */
function scripted(request: { readonly message: Readonly<Record<string, unknown>> }): object | undefined {
  const { id, method } = request.message;
  const name = (request.message['params'] as { name?: string } | undefined)?.name;
  if (name === 'null') return { body: { jsonrpc: '2.0', id, result: null } };
  if (name === 'null_stream') return { events: [{ jsonrpc: '2.0', id, result: null }] };
  if (method === 'notifications/slow') return { isSilent: true };
  if (method === 'notifications/failing') return { status: 500, body: 'no' };
  return undefined;
}

describe.each(['uws', 'node'])('messages to an MCP endpoint of the %s engine', (engine) => {
  let gateway: Gateway;
  let upstream: HttpUpstream;
  let recordFile: string;
  const send = (message: unknown, options: RpcOptions = {}, path = ''): Promise<HttpAnswer> =>
    rpc(gateway.mcp + path, message, { key: key.key, ...options });

  beforeAll(async () => {
    upstream = await startHttpUpstream({ answer: scripted, capabilities: { tools: {}, resources: {}, prompts: {} } });
    recordFile = `${await tempDir()}/record`;
    gateway = await startGateway({
      config: {
        server: { engine },
        auth: { api_keys: [keyEntry('alice', key)] },
        rate_limit: { requests_per_second: 100_000, burst_size: 100_000 },
        upstream: {
          servers: [
            { name: 'echo', path_prefix: '/', transport: 'http', url: upstream.url, allow_private_networks: true },
            { name: 'child', ...stdioUpstream({ recordFile }) },
          ],
        },
      },
    });
  });

  /** What reached the upstream; the gateway's own pings do not count. */
  const reached = (): number => upstream.requests.filter(({ message }) => message['method'] !== 'ping').length;

  /** What was refused never reached an upstream, and the same client goes on as if nothing had been. */
  async function expectUntouched(before: number): Promise<void> {
    expect(reached()).toBe(before);
    expect(toolText(await send(toolCall('echo', { still: 'here' })))).toContain('"still":"here"');
  }

  describe('requests', () => {
    const IDS = ['1', '0', '-7', '9007199254740993', '123456789012345678901234567890', '"a"', '""', '"0"', '"\\u0061\\"/\\\\"', '"ü🦊"'];

    it.each(IDS)('row 32: a request is answered with its own id: %s', async (id) => {
      for (const path of ['', '/echo', '/child']) {
        const answer = await send(
          `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"echo","arguments":{"x":[1]}}}`,
          {},
          path,
        );
        expect(answer.status).toBe(200);
        expect(answer.headers['content-type']).toBe('application/json');
        // The token itself: parsed, a large number would hide a difference.
        expect(answer.body).toContain(`"id":${id},`);
        expect(toolText(answer)).toContain('"x":[1]');
        expect(answer.json['jsonrpc']).toBe('2.0');
      }
    });

    it('row 32: every relayed method and the ones the gateway answers itself keep the id', async () => {
      for (const method of ['initialize', 'ping', 'tools/list', 'resources/list', 'resources/templates/list', 'prompts/list']) {
        for (const id of ['own', 41, 0]) {
          const params =
            method === 'initialize' ? { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 't', version: '1' } } : {};
          const answer = await send(rpcRequest(method, params, id));
          expect([answer.status, answer.json['id'], answer.json['error']], method).toEqual([200, id, undefined]);
        }
      }
    });

    it('row 32: a method that is not relayed is an error in band, with the id', async () => {
      const before = reached();
      expectRpcError(await send(rpcRequest('vendor/secret', {}, 'mine')), 200, -32601, 'mine');
      expect(reached()).toBe(before);
    });

    it('row 32: the upstream never sees the id of a client, so no client can answer for another', async () => {
      await send(toolCall('echo', {}, 'visible-id'));
      const last = upstream.of('tools/call').at(-1);
      expect(last?.body).not.toContain('visible-id');
      expect(last?.headers['authorization']).toBeUndefined();
    });

    it.each([
      ['/echo', 'null'],
      ['/echo', 'null_stream'],
      ['/child', 'null'],
    ])('row 33: a null result of %s (tool %s) reaches the client as null', async (path, tool) => {
      const answer = await send(toolCall(tool, {}, 9), {}, path);
      expect(answer.status).toBe(200);
      expect(Object.keys(answer.json)).toContain('result');
      expect(answer.json).toEqual({ jsonrpc: '2.0', id: 9, result: null });
    });
  });

  describe('notifications', () => {
    it('row 34: a notification is 202 without a body, the upstream gets it, and nothing after it is affected', async () => {
      const note = { jsonrpc: '2.0', method: 'notifications/custom', params: { value: [1, { deep: 'ü' }] } };
      const answer = await send(note);
      expect([answer.status, answer.body]).toEqual([202, '']);
      expect(answer.headers['content-type']).toBeUndefined();
      await waitUntil(() => upstream.of('notifications/custom').length === 1, { what: 'the notification upstream' });
      expect(upstream.of('notifications/custom')[0]?.message).toEqual(note);
      expect((await send({ ...note, method: 'notifications/child' }, {}, '/child')).status).toBe(202);
      await waitUntil(async () => (await readRecord(recordFile)).messages.some(({ method }) => method === 'notifications/child'), {
        what: 'the notification on stdin',
      });
      for (const path of ['', '/child']) expect((await send(toolCall('echo', { n: 1 }, 5), {}, path)).json['id']).toBe(5);
    });

    it('row 34: trap 10: the answer waits for no upstream, and one that never answers or refuses it changes nothing', async () => {
      for (const method of ['notifications/slow', 'notifications/failing']) {
        const { status, body, headers } = await send({ jsonrpc: '2.0', method });
        expect([status, body, headers['content-type']]).toEqual([202, '', undefined]);
      }
      await waitUntil(() => upstream.of('notifications/slow').length === 1, { what: 'the notification that is not answered' });
      await waitUntil(() => upstream.of('notifications/failing').length === 1, { what: 'the failing notification' });
      await expectUntouched(reached());
    });

    it('row 34: the notifications of the handshake are accepted, and the upstream has had its own', async () => {
      for (const method of ['notifications/initialized', 'notifications/cancelled']) {
        expect((await send({ jsonrpc: '2.0', method, params: { requestId: 1 } })).status).toBe(202);
      }
      expect(upstream.of('notifications/initialized')).toHaveLength(1);
    });

    it('row 34: on one kept connection, requests and notifications follow each other', async () => {
      const head = `POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${key.key}\r\nContent-Type: application/json\r\n`;
      const text = (message: unknown, extra = ''): string => {
        const body = JSON.stringify(message);
        return `${head}${extra}Content-Length: ${body.length}\r\n\r\n${body}`;
      };
      const pieces = [
        text({ jsonrpc: '2.0', method: 'notifications/a' }),
        text(rpcRequest('ping', {}, 1)),
        text({ jsonrpc: '2.0', method: 'notifications/b' }),
        text(rpcRequest('ping', {}, 2), 'Connection: close\r\n'),
      ];
      const { text: received } = await rawExchange(gateway.port, pieces, { gapMs: 150 });
      const statuses: number[] = [];
      for (let rest = received; rest !== ''; ) {
        const answer = parseRaw(rest);
        statuses.push(answer.status);
        rest = answer.rest;
      }
      expect(statuses).toEqual([202, 200, 202, 200]);
    });

    it('row 34: a call without an id is no notification: it would run and nobody would be told', async () => {
      const before = reached();
      for (const method of ['tools/call', 'tools/list', 'initialize', 'vendor/secret']) {
        expectRpcError(await send({ jsonrpc: '2.0', method, params: { name: 'echo' } }), 400, INVALID_REQUEST);
      }
      await expectUntouched(before);
    });
  });

  describe('what is no JSON', () => {
    const BROKEN: readonly (readonly [string, string | Buffer])[] = [
      ['cut off', '{"jsonrpc":"2.0","id":1,"method":"ping"'],
      ['a trailing comma', '{"jsonrpc":"2.0","id":1,"method":"ping",}'],
      ['single quotes', "{'jsonrpc':'2.0','id':1,'method':'ping'}"],
      ['no quotes', '{jsonrpc:"2.0",id:1,method:"ping"}'],
      ['a comment', '{"jsonrpc":"2.0",/* x */"id":1,"method":"ping"}'],
      ['NaN', '{"jsonrpc":"2.0","id":NaN,"method":"ping"}'],
      ['a leading zero', '{"jsonrpc":"2.0","id":01,"method":"ping"}'],
      ['two documents', '{"jsonrpc":"2.0","id":1,"method":"ping"}{"jsonrpc":"2.0","id":2,"method":"ping"}'],
      ['two lines', '{"jsonrpc":"2.0","id":1,"method":"ping"}\n{"jsonrpc":"2.0","id":2,"method":"ping"}'],
      ['text behind it', '{"jsonrpc":"2.0","id":1,"method":"ping"} x'],
      ['a byte order mark', '\ufeff{"jsonrpc":"2.0","id":1,"method":"ping"}'],
      ['a raw line break in a string', '{"jsonrpc":"2.0","id":1,"method":"pi\nng"}'],
      ['a NUL byte', '{"jsonrpc":"2.0","id":1,"method":"ping"}\0'],
      ['broken UTF-8', Buffer.from('{"jsonrpc":"2.0","id":1,"method":"p\xc3\x28ing"}', 'latin1')],
      ['an encoded surrogate', Buffer.from('{"jsonrpc":"2.0","id":1,"method":"\xed\xa0\x80"}', 'latin1')],
      ['UTF-16', Buffer.from('{"jsonrpc":"2.0","id":1,"method":"ping"}', 'utf16le')],
      ['a form', 'jsonrpc=2.0&id=1&method=ping'],
      ['an unknown escape', '{"jsonrpc":"2.0","id":1,"method":"\\x70ing"}'],
      ['an empty key missing its value', '{"":}'],
    ];

    it.each(BROKEN)('row 46: %s is 400 with a parse error and an error_id', async (_, body) => {
      const before = reached();
      const answer = await send(body);
      expectRpcError(answer, 400, PARSE_ERROR);
      expect(answer.json['error']?.['message']).toBe('Parse error');
      await expectUntouched(before);
    });

    it('row 50: an empty body is 400', async () => {
      const before = reached();
      for (const body of ['', ' ', '\r\n\t ']) expectRpcError(await send(body), 400, PARSE_ERROR);
      await expectUntouched(before);
    });

    it('row 50: an empty chunked body is 400, a POST that frames no body at all 411', async () => {
      const head = `POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${key.key}\r\nContent-Type: application/json\r\n`;
      const empty = await rawExchange(gateway.port, [`${head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`]);
      expectRpcError(parseRaw(empty.text), 400, PARSE_ERROR);
      expect(empty.isClosed).toBe(true);
      const unframed = await rawExchange(gateway.port, [`${head}\r\n`]);
      expectRpcError(parseRaw(unframed.text), 411, -31411);
    });
  });

  describe('what is no message', () => {
    const SHAPES: readonly (readonly [string, unknown, unknown])[] = [
      ['a string', '"ping"', null],
      ['a number', '7', null],
      ['true', 'true', null],
      ['null', 'null', null],
      ['an empty object', '{}', null],
      ['no jsonrpc', { id: 1, method: 'ping' }, 1],
      ['jsonrpc 1.0', { jsonrpc: '1.0', id: 2, method: 'ping' }, 2],
      ['jsonrpc 2', '{"jsonrpc":2.0,"id":"three","method":"ping"}', 'three'],
      ['jsonrpc with a space', { jsonrpc: '2.0 ', id: 4, method: 'ping' }, 4],
      ['jsonrpc null', { jsonrpc: null, id: 5, method: 'ping' }, 5],
      ['no method', { jsonrpc: '2.0', id: 6 }, 6],
      ['a method that is a number', { jsonrpc: '2.0', id: 7, method: 1 }, 7],
      ['a method that is null', { jsonrpc: '2.0', id: 8, method: null }, 8],
      ['params that are a list', { jsonrpc: '2.0', id: 9, method: 'ping', params: [1] }, 9],
      ['params that are a string', { jsonrpc: '2.0', id: 10, method: 'ping', params: 'x' }, 10],
      ['an id that is null', { jsonrpc: '2.0', id: null, method: 'ping' }, null],
      ['an id that is an object', { jsonrpc: '2.0', id: {}, method: 'ping' }, null],
      ['an id that is true', { jsonrpc: '2.0', id: true, method: 'ping' }, null],
      ['an id with a fraction', { jsonrpc: '2.0', id: 1.5, method: 'ping' }, null],
      ['an id with an exponent', '{"jsonrpc":"2.0","id":1e3,"method":"ping"}', null],
      ['an id of 2,000 characters', { jsonrpc: '2.0', id: 'x'.repeat(2000), method: 'ping' }, null],
      ['a request that is a response too', { jsonrpc: '2.0', id: 11, method: 'ping', result: {} }, 11],
      ['a response that is a result and an error', { jsonrpc: '2.0', id: 12, result: {}, error: { code: 1, message: 'x' } }, 12],
      ['a response without an id', { jsonrpc: '2.0', result: {} }, null],
      ['an error that is a string', { jsonrpc: '2.0', id: 13, error: 'x' }, 13],
    ];

    it.each(SHAPES)('row 47: %s is 400 with an invalid request', async (_, message, id) => {
      const before = reached();
      expectRpcError(await send(message), 400, INVALID_REQUEST, id);
      await expectUntouched(before);
    });

    it('row 47: a batch is refused whole, whatever stands in it', async () => {
      const before = reached();
      const call = toolCall('echo', {}, 1);
      for (const batch of [[], [call], [call, call], [[call]], [{ jsonrpc: '2.0', method: 'notifications/custom' }], [1]]) {
        expectRpcError(await send(batch), 400, INVALID_REQUEST);
      }
      await expectUntouched(before);
    });

    it('row 47: a response nobody asked for is accepted and goes nowhere', async () => {
      const before = reached();
      const answer = await send({ jsonrpc: '2.0', id: 1, result: {} });
      expect([answer.status, answer.body]).toEqual([202, '']);
      await expectUntouched(before);
    });
  });

  describe('keys and depth', () => {
    const DUPLICATES: readonly (readonly [string, string])[] = [
      ['two names', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name":"delete_file"}}'],
      ['two methods', '{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"echo"}}'],
      ['two methods that agree', '{"jsonrpc":"2.0","id":1,"method":"ping","method":"ping"}'],
      ['an escaped second method', '{"jsonrpc":"2.0","id":1,"method":"ping","m\\u0065thod":"tools/call","params":{"name":"echo"}}'],
      ['two params', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"},"params":{"name":"x"}}'],
      ['two versions', '{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"ping"}'],
      ['two arguments', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":1},"arguments":{"a":2}}}'],
      [
        'two of one argument',
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"path":"a","path":"b"}}}',
      ],
      ['two deep ones', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"l":[{"a":1,"a":1}]}}}'],
      ['two keys apart', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":{},"b":1,"c":[],"a":2}}}'],
    ];

    it.each(DUPLICATES)('row 52: %s are 400', async (_, body) => {
      const before = reached();
      expectRpcError(await send(body), 400, INVALID_REQUEST, 1);
      await expectUntouched(before);
    });

    it('row 52: two ids are 400, and neither of them is answered', async () => {
      const before = reached();
      expectRpcError(await send('{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}'), 400, INVALID_REQUEST, null);
      await expectUntouched(before);
    });

    it.each([
      ['{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}', INVALID_REQUEST],
      ['{"jsonrpc":"2.0","id":1,"method":"ping","METHOD":"tools/call"}', INVALID_REQUEST],
      ['{"jsonrpc":"2.0","id":1,"method":"ping","metho\\u212a":1,"PARAMS":{}}', INVALID_REQUEST],
      ['{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","Name":"delete_file"}}', INVALID_PARAMS],
      ['{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name\\u0000":"delete_file"}}', INVALID_PARAMS],
    ])('row 52: a key that another parser takes for one of the protocol is 400: %s', async (body, code) => {
      const before = reached();
      expectRpcError(await send(body), 400, code, 1);
      await expectUntouched(before);
    });

    const nested = (containers: number, open: string, close: string): string =>
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":${open.repeat(containers)}1${close.repeat(containers)}}}}`;

    it('row 53: nesting up to the limit passes, one deeper is 400', async () => {
      // The message, its params and the arguments are three levels of the sixty-four.
      expect((await send(nested(61, '[', ']'))).status).toBe(200);
      expect((await send(nested(61, '{"a":', '}'))).status).toBe(200);
      const before = reached();
      expectRpcError(await send(nested(62, '[', ']')), 400, INVALID_REQUEST, 1);
      expectRpcError(await send(nested(62, '{"a":', '}')), 400, INVALID_REQUEST, 1);
      await expectUntouched(before);
    });

    it('row 53: depth bombs of half a megabyte, closed or not, crash nothing', async () => {
      const before = reached();
      const bombs = [
        nested(250_000, '[', ']'),
        nested(80_000, '{"a":', '}'),
        '['.repeat(500_000),
        `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${'{"a":'.repeat(100_000)}`,
      ];
      for (const bomb of bombs) {
        const answer = await send(bomb);
        expect(answer.status).toBe(400);
        expect([INVALID_REQUEST, PARSE_ERROR]).toContain(answer.json['error']?.['code']);
      }
      await expectUntouched(before);
      expect(gateway.stderr()).not.toMatch(/worker ended|internal error/);
    });

    it('row 53: a message of too many keys is 400 too', async () => {
      const before = reached();
      const keys = Object.fromEntries(Array.from({ length: 10_001 }, (_, index) => [`k${index}`, 1]));
      expectRpcError(await send(toolCall('echo', keys, 3)), 400, INVALID_REQUEST, 3);
      await expectUntouched(before);
    });
  });

  describe('media types', () => {
    const REFUSED = [
      undefined,
      'text/plain',
      'text/json',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'application/jsonp',
      'application/json-rpc',
      'application/ld+json',
      'application/json, text/plain',
      'text/plain; application/json',
      'application/json; charset=utf-16',
      'application/json; charset=iso-8859-1',
      'application/json; charset=utf-8; charset=utf-16',
      'application/json charset=utf-8',
      '*/*',
    ];
    const ACCEPTED = [
      'application/json',
      'Application/JSON',
      'application/json; charset=utf-8',
      'application/json;charset=UTF-8',
      'application/json ; charset="utf-8"',
      'application/json; profile="x"',
    ];

    it.each(REFUSED)('row 48: a body of type %s is 415 with a JSON body', async (type) => {
      const before = reached();
      expectRpcError(await send(toolCall('echo'), { headers: { 'content-type': type } }), 415, -31415);
      await expectUntouched(before);
    });

    it.each(ACCEPTED)('row 48: %s is JSON', async (type) => {
      expect((await send(rpcRequest('ping'), { headers: { 'content-type': type } })).status).toBe(200);
    });

    it.each([undefined, '*/*', 'application/*', 'application/json', 'application/json;q=0.1', 'text/html, */*;q=0.5'])(
      'row 49: by default Accept: %s gets JSON',
      async (accept) => {
        const answer = await send(toolCall('echo'), { headers: { accept } });
        expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/json']);
      },
    );

    it.each(['text/event-stream', 'text/*', 'application/json;q=0, text/event-stream'])(
      'row 49: by default Accept: %s gets an event',
      async (accept) => {
        const answer = await send(toolCall('echo', {}, 4), { headers: { accept } });
        expect([answer.status, answer.headers['content-type'], answer.json['id']]).toEqual([200, 'text/event-stream', 4]);
      },
    );

    it.each(['text/html', 'image/*', 'application/json;q=0', 'application/xml, text/plain', ';', '*/*;q=0'])(
      'row 49: Accept: %s allows neither type and is 406',
      async (accept) => {
        const before = reached();
        expectRpcError(await send(toolCall('echo'), { headers: { accept } }), 406, -31406);
        await expectUntouched(before);
      },
    );
  });

  it('audits every request that it refused, once, with its reason', async () => {
    await send('{', { headers: { 'x-request-id': 'audited-once' } });
    const records = await waitUntil(
      async () => {
        const found = (await gateway.auditLines()).filter((line) => line['request_id'] === 'audited-once');
        return found.length > 0 ? found : undefined;
      },
      { what: 'the audit record' },
    );
    expect(records).toMatchObject([{ event_type: 'request_refused', status: 400, reason: 'bad_json', identity: 'alice' }]);
  });
});

describe('the hardened profile', () => {
  let gateway: Gateway;
  beforeAll(async () => {
    const upstream = await startHttpUpstream();
    gateway = await startGateway({
      config: {
        server: { profile: 'hardened' },
        auth: { api_keys: [keyEntry('alice', key)] },
        rate_limit: { requests_per_second: 100_000, burst_size: 100_000 },
        upstream: { transport: 'http', url: upstream.url, allow_private_networks: true },
      },
    });
  });
  const send = (accept: string | undefined): Promise<HttpAnswer> =>
    rpc(gateway.mcp, toolCall('echo'), { key: key.key, headers: { accept } });

  it.each([
    'application/json, text/event-stream',
    'text/event-stream, application/json',
    'Application/JSON;q=0.9, text/event-stream, */*;q=0.1',
  ])('row 49: hardened, Accept: %s names both types and is served', async (accept) => {
    expect((await send(accept)).status).toBe(200);
  });

  it.each([
    undefined,
    '*/*',
    'application/*',
    'application/*, text/*',
    'application/json',
    'text/event-stream',
    'application/json, */*',
    'application/json, text/event-stream;q=0',
    'application/jsonx, text/event-stream',
    'text/html',
  ])('row 49: hardened, Accept: %s does not name both types and is 406', async (accept) => {
    expectRpcError(await send(accept), 406, -31406);
  });

  it('row 53: the limits on depth and keys are the lower ones, and chunked bodies are refused', async () => {
    const deep = (levels: number): string =>
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":${'['.repeat(levels)}${']'.repeat(levels)}}}}`;
    expect((await rpc(gateway.mcp, deep(29), { key: key.key })).status).toBe(200);
    expectRpcError(await rpc(gateway.mcp, deep(30), { key: key.key }), 400, INVALID_REQUEST, 1);
    const keys = Object.fromEntries(Array.from({ length: 1001 }, (_, index) => [`k${index}`, 1]));
    expectRpcError(await rpc(gateway.mcp, toolCall('echo', keys), { key: key.key }), 400, INVALID_REQUEST, 1);
    const chunked = await http('POST', gateway.mcp, { key: key.key, headers: { 'transfer-encoding': 'chunked' } });
    expectRpcError(chunked, 411, -31411);
  });
});
