import { ANSWER_MS, CHUNKED, CRLF, HELLO, type HostileCase, hostile, refused, request, SMUGGLED, shown } from './case.ts';

const FIVE = 'Content-Length: 5';

/** What the head itself may hide. */
export const HEAD_CASES: readonly HostileCase[] = [
  ...emptyNames(),
  ...headerSyntax(),
  ...repeated(),
  ...hosts(),
  ...methods(),
  ...targets(),
  ...versions(),
  ...codings(),
  ...aliases(),
  ...preambles(),
  ...pipelined(),
];

/** µWS stops reading at an empty name: what stands below is invisible, framing included. */
function emptyNames(): HostileCase[] {
  const bare: [string, string][] = [
    [': x', 'colon and value'],
    [':', 'colon alone'],
    [':x', 'colon, no space'],
    [' : x', 'space, colon'],
    ['\t: x', 'tab, colon'],
  ];
  return bare.flatMap(([line, name]) => [
    hostile('empty header name', `${name} hides the length`, [request([line, FIVE], 'hello'), ANSWER_MS, SMUGGLED], [HELLO]),
    hostile('empty header name', `${name} hides the coding`, [request([line, CHUNKED], SMUGGLED)]),
    hostile(
      'empty header name',
      `${name} hides the coding behind a length`,
      [request(['Content-Length: 5', line, CHUNKED], `0${CRLF}${CRLF}${SMUGGLED}`)],
      [`POST /a 0${CRLF}${CRLF}`],
    ),
  ]);
}

function headerSyntax(): HostileCase[] {
  const lines = [
    'Content-Length : 5',
    'Content-Length\t: 5',
    ' Content-Length: 5',
    'Content Length: 5',
    'Content-Length\0: 5',
    'Content-Length\x0b: 5',
    'Content-Length; 5',
    'Content-Length 5',
    'Content-Length:\r5',
    'Content-Length:\n 5',
    'Content-Length:\r\n 5',
    'Content-Length: 5\r',
    '"Content-Length": 5',
    '(Content-Length): 5',
    'Content-Length[]: 5',
    'Contént-Length: 5',
  ];
  const folded = new Set(['Content-Length:\n 5', 'Content-Length:\r\n 5', 'Content-Length: 5\r']);
  return [
    ...lines.map((line) =>
      hostile(
        'header syntax',
        shown(line),
        [request([line], 'hello'), ANSWER_MS, SMUGGLED],
        folded.has(line) ? [HELLO, 'POST /a '] : ['POST /a '],
      ),
    ),
    hostile('header syntax', 'a bare CR before a coding', [request([FIVE, `X: 1\r${CHUNKED}`], 'hello'), ANSWER_MS, SMUGGLED], [HELLO]),
    hostile('header syntax', 'a bare LF before a coding', [request([FIVE, `X: 1\n${CHUNKED}`], 'hello'), ANSWER_MS, SMUGGLED]),
    refused('header syntax', 'NUL in a value', [request([FIVE, 'X: a\0b'], 'hello'), ANSWER_MS, SMUGGLED], []),
    hostile('header syntax', 'LF line ends', [request([FIVE], 'hello').replaceAll(CRLF, '\n'), ANSWER_MS, SMUGGLED], [HELLO]),
    hostile('header syntax', 'CR line ends', [request([FIVE], 'hello').replaceAll(CRLF, '\r'), ANSWER_MS, SMUGGLED]),
    hostile('header syntax', 'head ended by LF LF', [request([`${FIVE}\n\nhello`]), ANSWER_MS, SMUGGLED], [HELLO]),
    hostile(
      'header syntax',
      'a hundred and fifty lines',
      [request([...Array.from({ length: 150 }, (_, i) => `X-${i}: 1`), FIVE], 'hello')],
      [HELLO],
    ),
    hostile('header syntax', 'thirty thousand bytes', [request([`X: ${'h'.repeat(30_000)}`, FIVE], 'hello')], [HELLO]),
  ];
}

function repeated(): HostileCase[] {
  const pairs: [string, string][] = [
    ['Authorization: Bearer one', 'Authorization: Bearer two'],
    ['Content-Type: application/json', 'Content-Type: text/plain'],
    ['Origin: http://localhost', 'Origin: http://evil.example'],
    ['Mcp-Session-Id: one', 'mcp-session-id: two'],
    ['MCP-Protocol-Version: 2025-06-18', 'MCP-Protocol-Version: 2025-11-25'],
    ['Mcp-Param-X: 1', 'Mcp-Param-X: 2'],
    ['Connection: keep-alive', 'Connection: close'],
    ['Accept: application/json', 'Accept: text/event-stream'],
    ['X-Api-Key: a', 'X-API-Key: b'],
    ['Cookie: a=1', 'Cookie: b=2'],
    ['Last-Event-ID: 1', 'Last-Event-ID: 2'],
  ];
  return pairs.map(([a, b]) => refused('repeated header', `${a} | ${b}`, [request([a, b, FIVE], 'hello'), ANSWER_MS, SMUGGLED], [HELLO]));
}

function hosts(): HostileCase[] {
  const values = [
    '',
    ' ',
    'evil.example',
    'localhost, evil.example',
    'user@localhost',
    'localhost/path',
    'local host',
    'localhost:99999',
    'localhost:x',
    '[::1',
    'localhost#',
    'localhost.evil.example',
    'localhost:80:80',
  ];
  const withHost = (host: string): string => request([FIVE], 'hello').replace('Host: localhost', `Host: ${host}`);
  return [
    ...values.map((value) => refused('host', `Host: ${shown(value)}`, [withHost(value), ANSWER_MS, SMUGGLED], [HELLO])),
    refused('host', 'none', [withHost('').replace(`Host: ${CRLF}`, ''), ANSWER_MS, SMUGGLED], [HELLO]),
    refused('host', 'two equal', [request(['Host: localhost', FIVE], 'hello'), ANSWER_MS, SMUGGLED], [HELLO]),
    refused('host', 'two different', [request(['Host: evil.example', FIVE], 'hello'), ANSWER_MS, SMUGGLED], [HELLO]),
    refused('host', 'a foreign Origin', [request(['Origin: http://evil.example', FIVE], 'hello'), ANSWER_MS, SMUGGLED], [HELLO]),
  ];
}

function methods(): HostileCase[] {
  const names = ['GE(T', ':', 'post', 'POST\0', 'TRACE', 'CONNECT', 'PUT', 'PATCH', 'PROPFIND', 'G'.repeat(300), 'POST,', '"POST"', 'PRI'];
  return [
    ...names.map((name) =>
      refused('method', shown(name.slice(0, 20)), [request([FIVE], 'hello', `${name} /{id}/a HTTP/1.1`), ANSWER_MS, SMUGGLED], []),
    ),
    refused('method', 'an empty one', [request([FIVE], 'hello', ' /{id}/a HTTP/1.1'), ANSWER_MS, SMUGGLED], []),
    refused('method', 'a leading space', [request([FIVE], 'hello', ' POST /{id}/a HTTP/1.1'), ANSWER_MS, SMUGGLED], []),
    refused('method', 'CONNECT to an authority', [request([], SMUGGLED, 'CONNECT localhost:80 HTTP/1.1')], []),
  ];
}

function targets(): HostileCase[] {
  const values = [
    '//{id}/a',
    '/{id}//a',
    '/{id}/x/../a',
    '/{id}/./a',
    '/{id}/%2e%2e/a',
    '/{id}/%2E./a',
    '/{id}/..;/a',
    '/{id}%2fa',
    '/{id}%5ca',
    '/{id}\\a',
    '/{id}/a%00',
    '/{id}/a%',
    '/{id}/a%zz',
    '/{id}/a#b',
    '/{id}/<a>',
    '/{id}/a\x7f',
    '/{id}/a\xe9',
    '/{id}/a?%00',
    '/{id}/a?b"c',
    '/{id}/a b',
    `/{id}/${'l'.repeat(9000)}`,
    '{id}',
    '*',
  ];
  return [
    ...values.map((value) =>
      refused(
        'target',
        shown(value.slice(0, 40)),
        [request([], '', `GET ${value} HTTP/1.1`), ANSWER_MS, SMUGGLED],
        [`GET ${value.split('?')[0]?.replaceAll('/{id}', '')} `],
      ),
    ),
    refused('target', 'absolute form', [request([], '', 'GET http://localhost/{id}/a HTTP/1.1'), ANSWER_MS, SMUGGLED], ['GET /a ']),
    refused(
      'target',
      'absolute form of another host',
      [request([], '', 'GET http://evil.example/{id}/a HTTP/1.1'), ANSWER_MS, SMUGGLED],
      ['GET /a '],
    ),
  ];
}

function versions(): HostileCase[] {
  const lines = [
    'POST /{id}/a HTTP/2.0',
    'POST /{id}/a HTTP/1.2',
    'POST /{id}/a HTTP/0.9',
    'POST /{id}/a http/1.1',
    'POST /{id}/a HTTP/1.1 x',
    'POST /{id}/a',
    'POST  /{id}/a HTTP/1.1',
    'POST /{id}/a  HTTP/1.1',
    'POST\t/{id}/a\tHTTP/1.1',
    'POST /{id}/a HTTP/1,1',
    'POST /{id}/a HTTP/11',
  ];
  return [
    ...lines.map((line) =>
      hostile('version', shown(line), [request([FIVE], 'hello', line), ANSWER_MS, SMUGGLED], [HELLO, 'GET /smuggled ']),
    ),
    hostile('version', '1.0 with chunks', [request([CHUNKED], `0${CRLF}${CRLF}${SMUGGLED}`, 'POST /{id}/a HTTP/1.0')], ['POST /a ']),
    hostile(
      'version',
      '1.0 kept alive, a request behind',
      [request([FIVE, 'Connection: keep-alive'], `hello${SMUGGLED}`, 'POST /{id}/a HTTP/1.0')],
      [HELLO],
    ),
  ];
}

function codings(): HostileCase[] {
  const lines = [
    'Expect: 200-ok',
    'Expect: 100-continue, x',
    'Expect:',
    'Content-Encoding: gzip',
    'Content-Encoding: identity',
    'Content-Encoding:',
  ];
  return lines.map((line) => refused('expectation and coding', line, [request([line, FIVE], 'hello'), ANSWER_MS, SMUGGLED], [HELLO]));
}

function aliases(): HostileCase[] {
  const lines = [
    'content_length: 50',
    'Transfer_Encoding: chunked',
    'mcp_session_id: x',
    'X_Forwarded_For: 203.0.113.9',
    'authorization_: x',
    'X_Api_Key: k',
  ];
  return lines
    .filter((line) => !line.startsWith('authorization_'))
    .map((line) => refused('aliased header', line, [request([line, FIVE], 'hello'), ANSWER_MS, SMUGGLED], [HELLO]));
}

/** PROXY protocol: µWS takes version 2 from anyone, anywhere; the application must not see anything but the request. */
function preambles(): HostileCase[] {
  const signature = '\r\n\r\n\0\r\nQUIT\n';
  const v2 = `${signature}\x21\x11\0\x0c\xcb\0\x71\x07\x7f\0\0\x01\x10\x92\x01\xbb`;
  const local = `${signature}\x20\0\0\0`;
  const hello = request([FIVE], 'hello');
  return [
    hostile('PROXY preamble', 'version 2', [`${v2}${hello}`], [HELLO]),
    hostile('PROXY preamble', 'version 2, local', [`${local}${hello}`], [HELLO]),
    hostile('PROXY preamble', 'version 2, a length beyond the packet', [`${signature}\x21\x11\xff\xff${SMUGGLED}`]),
    hostile('PROXY preamble', 'version 2 before a second request', [hello, ANSWER_MS, `${v2}${SMUGGLED}`], [HELLO, 'GET /smuggled ']),
    hostile('PROXY preamble', 'version 2 cut in the middle', [v2.slice(0, 14), 20, `${v2.slice(14)}${hello}`], [HELLO]),
    hostile('PROXY preamble', 'version 1', [`PROXY TCP4 203.0.113.7 127.0.0.1 4242 80${CRLF}${hello}`]),
    hostile('PROXY preamble', 'twice', [`${v2}${v2}${hello}`], [HELLO]),
  ];
}

function pipelined(): HostileCase[] {
  const hello = request([FIVE], 'hello');
  return [
    hostile('pipelining', 'two POSTs at once', [`${hello}${request([FIVE], 'again')}`], [HELLO, 'POST /a again']),
    hostile('pipelining', 'a POST and a GET at once', [`${hello}${request([], '', 'GET /{id}/a HTTP/1.1')}`], [HELLO, 'GET /a ']),
    hostile('pipelining', 'two GETs at once', [request([], '', 'GET /{id}/a HTTP/1.1').repeat(2)], ['GET /a ', 'GET /a ']),
    hostile(
      'pipelining',
      'a body that is a request',
      [request([`Content-Length: ${SMUGGLED.replaceAll('{id}', 'xxxxxxxx').length}`], SMUGGLED)],
      [`POST /a ${SMUGGLED}`],
    ),
    hostile(
      'pipelining',
      'a request after an upgrade',
      [`${request(['Connection: Upgrade', 'Upgrade: h2c', 'HTTP2-Settings: AAA', FIVE], 'hello')}${SMUGGLED}`],
      [HELLO, 'GET /smuggled '],
    ),
    hostile('pipelining', 'a request after Connection: close', [`${request(['Connection: close', FIVE], 'hello')}${SMUGGLED}`], [HELLO]),
    refused('pipelining', 'a request after a refused one', [`${request(['Content-Encoding: gzip', FIVE], 'hello')}${SMUGGLED}`], []),
    refused('pipelining', 'a request after one refused for its size', [`${request(['Content-Length: 99999999'], 'hello')}${SMUGGLED}`], []),
  ];
}
