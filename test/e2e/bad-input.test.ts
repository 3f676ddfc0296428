import { Agent } from 'node:http';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type AuditLine,
  type Gateway,
  type HttpAnswer,
  type HttpUpstream,
  keyEntry,
  makeKey,
  rpc,
  rpcRequest,
  startGateway,
  startHttpUpstream,
  toolCall,
  waitUntil,
} from './harness.ts';
import { askRaw, expectRpcError } from './refusals.ts';

const MAX_BYTES = 100_000;
const key = makeKey();
const limited = makeKey();

/** What is wrong, the body, and what the answer is: status, JSON-RPC code, id. */
type BodyCase = readonly [what: string, body: string | Buffer, status: number, code: number, id?: unknown];

const call = (params: string): string => `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}`;
const nested = (depth: number, open: string, close: string): string =>
  call(`{"name":"echo","arguments":{"x":${open.repeat(depth)}1${close.repeat(depth)}}}`);

const MALFORMED: readonly BodyCase[] = [
  ['nothing', '', 400, -32700],
  ['white space', ' \r\n\t', 400, -32700],
  ['text', 'hello', 400, -32700],
  ['an HTML page', '<html></html>', 400, -32700],
  ['a cut message', JSON.stringify(toolCall('echo')).slice(0, -5), 400, -32700],
  ['a brace too many', `${JSON.stringify(toolCall('echo'))}}`, 400, -32700],
  ['two messages', `${JSON.stringify(toolCall('echo'))}\n${JSON.stringify(toolCall('echo'))}`, 400, -32700],
  ['single quotes', "{'jsonrpc':'2.0','id':1,'method':'ping'}", 400, -32700],
  ['bare keys', '{jsonrpc:"2.0",id:1,method:"ping"}', 400, -32700],
  ['a comment', '{"jsonrpc":"2.0",/* */"id":1,"method":"ping"}', 400, -32700],
  ['a trailing comma', '{"jsonrpc":"2.0","id":1,"method":"ping",}', 400, -32700],
  ['a byte order mark', '\ufeff{"jsonrpc":"2.0","id":1,"method":"ping"}', 400, -32700],
  ['UTF-16', Buffer.from('{"jsonrpc":"2.0","id":1,"method":"ping"}', 'utf16le'), 400, -32700],
  [
    'bytes that are no UTF-8',
    Buffer.concat([Buffer.from('{"jsonrpc":"2.0","id":1,"method":"'), Buffer.from([0xff, 0xc0, 0x80]), Buffer.from('"}')]),
    400,
    -32700,
  ],
  ['a raw line end in a string', call('{"name":"ec\nho"}'), 400, -32700],
  ['a raw NUL', call('{"name":"ec\0ho"}'), 400, -32700],
  ['an unknown escape', call('{"name":"\\x65cho"}'), 400, -32700],
  ['NaN', call('{"name":"echo","arguments":{"x":NaN}}'), 400, -32700],
  ['a number with a leading zero', call('{"name":"echo","arguments":{"x":01}}'), 400, -32700],
  ['gzip that is not declared', gzipSync(JSON.stringify(toolCall('echo'))), 400, -32700],
  ['null', 'null', 400, -32600],
  ['a string', '"ping"', 400, -32600],
  ['a batch', `[${JSON.stringify(toolCall('echo'))}]`, 400, -32600],
  ['an empty object', '{}', 400, -32600],
  ['version 1.0', '{"jsonrpc":"1.0","id":1,"method":"ping"}', 400, -32600, 1],
  ['a method that is a number', '{"jsonrpc":"2.0","id":1,"method":7}', 400, -32600, 1],
  ['an id that is an object', '{"jsonrpc":"2.0","id":{},"method":"ping"}', 400, -32600],
  ['a fractional id', '{"jsonrpc":"2.0","id":1.5,"method":"ping"}', 400, -32600],
  ['params that are a string', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":"echo"}', 400, -32600, 1],
  ['no tool name', call('{}'), 400, -32602, 1],
  ['a tool name with half a surrogate pair', call('{"name":"\\ud83d"}'), 400, -32602, 1],
];

const DUPLICATE: readonly BodyCase[] = [
  ['two methods', '{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}', 400, -32600, 1],
  ['two methods, one escaped', '{"jsonrpc":"2.0","id":1,"method":"ping","m\\u0065thod":"tools/call"}', 400, -32600, 1],
  ['two params', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"},"params":{"name":"x"}}', 400, -32600, 1],
  ['two names', call('{"name":"echo","name":"delete_file"}'), 400, -32600, 1],
  ['two names, one escaped in capitals', call('{"name":"echo","\\u006E\\u0061\\u006D\\u0065":"delete_file"}'), 400, -32600, 1],
  ['two ids', '{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', 400, -32600],
  ['two versions', '{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"ping"}', 400, -32600, 1],
  ['two equal keys deep in the arguments', call('{"name":"echo","arguments":{"a":{"b":[{"c":1,"c":2}]}}}'), 400, -32600, 1],
  [
    'two equal keys deep in the arguments, one escaped',
    call('{"name":"echo","arguments":{"a":{"path":1,"p\\u0061th":2}}}'),
    400,
    -32600,
    1,
  ],
  ['a method in another case', '{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}', 400, -32600, 1],
  ['only a method in another case', '{"jsonrpc":"2.0","id":1,"METHOD":"ping"}', 400, -32600, 1],
  ['an escaped method in another case', '{"jsonrpc":"2.0","id":1,"method":"ping","\\u004dethod":"tools/call"}', 400, -32600, 1],
  [
    'params in another case',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"},"PARAMS":{"name":"x"}}',
    400,
    -32600,
    1,
  ],
  ['a name in another case', call('{"name":"echo","Name":"delete_file"}'), 400, -32602, 1],
  ['a name with a long s for an s-like letter', call('{"name":"echo","argument\\u017f":{}}'), 400, -32602, 1],
  ['a full-width name', call('{"name":"echo","\\uff4e\\uff41\\uff4d\\uff45":"delete_file"}'), 400, -32602, 1],
  ['a name with a zero-width space', call('{"name":"echo","na\\u200bme":"delete_file"}'), 400, -32602, 1],
  ['a name that ends in NUL', call('{"name":"echo","name\\u0000":"delete_file"}'), 400, -32602, 1],
  ['an id in another case', '{"jsonrpc":"2.0","id":1,"Id":2,"method":"ping"}', 400, -32600, 1],
];

const BOMBS: readonly BodyCase[] = [
  ['65 levels of lists', nested(62, '[', ']'), 400, -32600, 1],
  ['65 levels of objects', nested(62, '{"a":', '}'), 400, -32600, 1],
  ['40,000 open brackets', '['.repeat(40_000), 400, -32600],
  ['40,000 levels, closed', '['.repeat(40_000) + ']'.repeat(40_000), 400, -32600],
  ['15,000 open objects', '{"a":'.repeat(15_000), 400, -32600],
  ['brackets in turn', '[{"a":'.repeat(12_000), 400, -32600],
  ['10,001 keys', call(`{"name":"echo","arguments":{${Array.from({ length: 10_001 }, (_, i) => `"${i}":1`).join(',')}}}`), 400, -32600, 1],
  ['an id of 2,000 digits', `{"jsonrpc":"2.0","id":${'7'.repeat(2_000)},"method":"ping"}`, 400, -32600],
  ['one byte too many', call(`{"name":"echo","arguments":{"x":"${'x'.repeat(MAX_BYTES)}"}}`).slice(0, MAX_BYTES + 1), 413, -31413],
  ['twice the size', 'x'.repeat(MAX_BYTES * 2), 413, -31413],
  ['three megabytes', Buffer.alloc(3_000_000, '['), 413, -31413],
];

/** Heads around a body that is in order. */
type HeadCase = readonly [what: string, headers: Readonly<Record<string, string | undefined>>, status: number, code: number, id?: unknown];

const HEADS: readonly HeadCase[] = [
  ['no content type', { 'content-type': undefined }, 415, -31415],
  ['text/plain', { 'content-type': 'text/plain' }, 415, -31415],
  ['a form', { 'content-type': 'application/x-www-form-urlencoded' }, 415, -31415],
  ['a suffix type', { 'content-type': 'application/problem+json' }, 415, -31415],
  ['two types', { 'content-type': 'application/json, text/plain' }, 415, -31415],
  ['another charset', { 'content-type': 'application/json; charset=utf-16' }, 415, -31415],
  ['a content coding', { 'content-encoding': 'gzip' }, 415, -31415],
  ['an Accept of neither type', { accept: 'text/html' }, 406, -31406],
  ['an unknown expectation', { expect: 'magic' }, 417, -31417],
  ['an unknown protocol version', { 'mcp-protocol-version': '1999-01-01' }, 400, -31400, 1],
  ['a foreign origin', { origin: 'https://evil.example' }, 403, -31403],
  ['a foreign host', { host: 'evil.example' }, 403, -31403],
];

const CHUNK_HEAD = 'Transfer-Encoding: chunked\r\n';
const VALID = JSON.stringify(toolCall('echo'));

/** Raw requests from behind the common header lines on: `null` when the client leaves without an answer. */
const RAW: readonly (readonly [what: string, rest: string, status: number | null, code: number])[] = [
  ['a chunked body over the limit', `${CHUNK_HEAD}\r\n${`2000\r\n${'x'.repeat(0x2000)}\r\n`.repeat(14)}0\r\n\r\n`, 413, -31413],
  ['a chunked body that is no JSON', `${CHUNK_HEAD}\r\n3\r\nabc\r\n0\r\n\r\n`, 400, -32700],
  ['an empty chunked body', `${CHUNK_HEAD}\r\n0\r\n\r\n`, 400, -32700],
  ['an unknown transfer coding', 'Transfer-Encoding: gzip\r\n\r\n', 501, -31501],
  ['no length at all', '\r\n', 411, -31411],
  ['half a body, and then nobody', `Content-Length: 500\r\n\r\n{"jsonrpc":`, null, 0],
  ['half a chunk, and then nobody', `${CHUNK_HEAD}\r\n100\r\n{"json`, null, 0],
];

describe.each(['uws', 'node'] as const)('bad input to the %s engine', (engine) => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let upstream: HttpUpstream;
  let gateway: Gateway;
  let sent = 0;

  beforeAll(async () => {
    upstream = await startHttpUpstream();
    gateway = await startGateway({
      config: {
        server: { engine, max_request_size: MAX_BYTES },
        auth: { api_keys: [keyEntry('client', key), keyEntry('limited', limited, { rate_limit: 0.001, burst: 1 })] },
        rate_limit: { requests_per_second: 100_000, burst_size: 100_000 },
        upstream: { transport: 'http', url: upstream.url, allow_private_networks: true },
      },
    });
    // The first success of a client has a record of its own.
    await rpc(gateway.mcp, rpcRequest('ping'), { key: key.key });
  });
  afterAll(() => agent.destroy());

  /** What the audit must hold: request id, and the error id that the client was told; undefined when it left before. */
  type Expected = Map<string, string | undefined>;

  /** The same client goes on, on the same connection where it was kept. */
  async function goesOn(what: string): Promise<void> {
    const id = `after ${what} ${++sent}`;
    const next = await rpc(gateway.mcp, toolCall('echo', { id }, id), { key: key.key, agent });
    expect([what, next.status, next.json?.['id']]).toEqual([what, 200, id]);
  }

  async function sendAll(
    expected: Expected,
    cases: readonly BodyCase[],
    headersOf: (requestId: string) => Readonly<Record<string, string | undefined>>,
  ): Promise<void> {
    for (const [what, body, status, code, id = null] of cases) {
      const requestId = `${engine}-${++sent}`;
      const answer = await rpc(gateway.mcp, body, { key: key.key, agent, headers: headersOf(requestId) });
      expect([what, answer.status, answer.json?.['error']?.['code']]).toEqual([what, status, code]);
      expected.set(requestId, expectRpcError(answer, status, code, id));
      expect(answer.headers['x-request-id']).toBe(requestId);
      await goesOn(what);
    }
  }

  async function expectRecords(expected: Expected): Promise<void> {
    const isRecorded = async (): Promise<boolean> => {
      const seen = new Set((await gateway.auditLines()).map((line) => line['request_id']));
      return [...expected.keys()].every((requestId) => seen.has(requestId));
    };
    await waitUntil(isRecorded, { what: 'the audit records', describe: () => gateway.stderr() });
    // Records keep their order: behind the next one nothing of these can follow.
    const marker = `marker-${++sent}`;
    await rpc(gateway.mcp, rpcRequest('ping'), { key: key.key, headers: { 'x-request-id': marker } });
    await waitUntil(async () => (await gateway.auditLines()).some((line) => line['request_id'] === marker), { what: marker });
    const lines = Map.groupBy(await gateway.auditLines(), (line) => String(line['request_id']));
    for (const [requestId, errorId] of expected) {
      const records: readonly AuditLine[] = lines.get(requestId) ?? [];
      expect([requestId, records.length]).toEqual([requestId, 1]);
      const told = errorId === undefined ? { status: 499, reason: 'client_gone' } : { decision: 'deny', error_id: errorId };
      expect(records[0]).toMatchObject({ client_ip: '127.0.0.1', ...told });
      expect(records[0]?.['status']).toBeGreaterThanOrEqual(400);
    }
  }

  const withId = (requestId: string): Record<string, string> => ({ 'x-request-id': requestId });

  it.each([
    ['malformed messages', MALFORMED],
    ['duplicate and look-alike keys', DUPLICATE],
    ['depth bombs and oversized bodies', BOMBS],
  ])('%s are refused clearly and recorded once each, and the client goes on', async (_name, cases) => {
    const expected: Expected = new Map();
    const before = upstream.of('tools/call').length;
    await sendAll(expected, cases, withId);
    // Only the valid requests in between arrived.
    expect(upstream.of('tools/call')).toHaveLength(before + cases.length);
    await expectRecords(expected);
  });

  it('heads that do not fit the body are refused clearly and recorded once each, and the client goes on', async () => {
    const expected: Expected = new Map();
    for (const [what, headers, status, code, id] of HEADS)
      await sendAll(expected, [[what, VALID, status, code, id]], (requestId) => ({ ...withId(requestId), ...headers }));
    await expectRecords(expected);
  });

  it('chunked and broken framings are refused clearly and recorded once each, and the client goes on', async () => {
    const expected: Expected = new Map();
    for (const [what, rest, status, code] of RAW) {
      const requestId = `${engine}-${++sent}`;
      const head = `POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${key.key}\r\nContent-Type: application/json\r\nX-Request-ID: ${requestId}\r\n`;
      if (status === null) {
        await leave(gateway.port, head + rest);
        expected.set(requestId, undefined);
      } else {
        const answer = await askRaw(gateway.port, head + rest, { closeMs: 4_000 });
        expect([what, answer.status]).toEqual([what, status]);
        expected.set(requestId, expectRpcError(answer, status, code));
        expect([what, answer.isClosed]).toEqual([what, true]);
      }
      await goesOn(what);
    }
    await expectRecords(expected);
  });

  it('a valid chunked body is served, whatever its pieces', async () => {
    for (const size of [1, 7, 1_000]) {
      const pieces = VALID.match(new RegExp(`.{1,${size}}`, 'gs')) ?? [];
      const body = `${pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join('')}0\r\n\r\n`;
      const head = `POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${key.key}\r\nContent-Type: application/json\r\n${CHUNK_HEAD}\r\n`;
      const answer = await askRaw(gateway.port, head + body);
      expect(answer.status).toBe(200);
      expect(answer.json?.['id']).toBe(1);
    }
  });

  it('bad input from nobody known and from somebody over his limit is recorded once as well', async () => {
    const expected: Expected = new Map();
    await rpc(gateway.mcp, rpcRequest('ping'), { key: limited.key });
    for (const [credential, status] of [
      [undefined, 401],
      [makeKey().key, 401],
      [limited.key, 429],
    ] as const) {
      for (const body of ['{', '[]', nested(100, '[', ']'), 'x'.repeat(MAX_BYTES + 1)]) {
        const requestId = `${engine}-${++sent}`;
        const answer: HttpAnswer = await rpc(gateway.mcp, body, {
          ...(credential === undefined ? {} : { key: credential }),
          headers: withId(requestId),
        });
        // The size is told by the head, which is judged first.
        expect(answer.status).toBe(body.length > MAX_BYTES ? 413 : status);
        expected.set(requestId, String(answer.json?.['error']?.['data']?.['error_id']));
      }
    }
    await expectRecords(expected);
    await goesOn('all this');
  });

  it('a thousand bad requests at once leave the gateway as it was', async () => {
    const bodies = [...MALFORMED, ...DUPLICATE, ...BOMBS.slice(0, 6)].map(([, body]) => body);
    const many = new Agent({ keepAlive: true, maxSockets: 50 });
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, (_, index) => rpc(gateway.mcp, bodies[index % bodies.length] ?? '', { key: key.key, agent: many })),
    );
    many.destroy();
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([400]));
    await goesOn('a thousand');
    expect(gateway.stderr()).not.toContain('internal error');
  });
});

/** Sends the beginning of a request and disconnects. */
async function leave(port: number, bytes: string): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1' });
  await new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('connect', () => socket.write(bytes, () => setTimeout(resolve, 50)));
  });
  socket.destroy();
}
