import { CHUNKED, CRLF, HELLO, type HostileCase, hostile, request } from './case.ts';

const FIVE = 'Content-Length: 5';
const LAST = `0${CRLF}${CRLF}`;

/** Well-formed requests: each of them must run, exactly as it was meant. */
export const CONTROL_CASES: readonly HostileCase[] = [
  hostile('pipelining', 'a POST', [request([FIVE], 'hello')], [HELLO]),
  hostile('pipelining', 'a POST, its header lines and body one byte at a time', bytewise(request([FIVE], 'hello')), [HELLO]),
  hostile('pipelining', 'a POST, its body later', [request([FIVE]), 30, 'hello'], [HELLO]),
  hostile('pipelining', 'an empty POST', [request(['Content-Length: 0'])], ['POST /a ']),
  hostile('pipelining', 'a large POST', [request(['Content-Length: 200000'], 'b'.repeat(200_000))], [`POST /a ${'b'.repeat(200_000)}`]),
  hostile(
    'pipelining',
    'two POSTs, one after the other',
    [request([FIVE], 'hello'), 300, request([FIVE], 'again')],
    [HELLO, 'POST /a again'],
  ),
  hostile('pipelining', 'a GET', [request([], '', 'GET /{id}/a?b=c%20d HTTP/1.1')], ['GET /a ']),
  hostile('pipelining', 'a HEAD', [request([], '', 'HEAD /{id}/a HTTP/1.1')], ['HEAD /a ']),
  hostile('pipelining', 'a DELETE', [request([], '', 'DELETE /{id}/a HTTP/1.1')], ['DELETE /a ']),
  hostile('pipelining', 'an OPTIONS', [request([], '', 'OPTIONS /{id}/a HTTP/1.1')], ['OPTIONS /a ']),
  hostile('chunk size', 'one chunk', [request([CHUNKED], `5${CRLF}hello${CRLF}${LAST}`)], [HELLO]),
  hostile(
    'chunk size',
    'five chunks',
    [request([CHUNKED], `${[...'hello'].map((byte) => `1${CRLF}${byte}${CRLF}`).join('')}${LAST}`)],
    [HELLO],
  ),
  hostile('chunk size', 'chunks in separate segments', [request([CHUNKED]), 10, `5${CRLF}he`, 10, `llo${CRLF}`, 10, LAST], [HELLO]),
  hostile('chunk size', 'a leading zero and capitals', [request([CHUNKED], `0B${CRLF}hello world${CRLF}${LAST}`)], ['POST /a hello world']),
  hostile('expectation and coding', '100-continue', [request([FIVE, 'Expect: 100-continue']), 50, 'hello'], [HELLO]),
  hostile('header syntax', 'no space after the colon, tabs, capitals', [request(['CONTENT-LENGTH:5', 'X-A:\tb\t'], 'hello')], [HELLO]),
  hostile('header syntax', 'ninety lines', [request([...Array.from({ length: 90 }, (_, i) => `X-${i}: 1`), FIVE], 'hello')], [HELLO]),
  hostile('header syntax', 'repeated lines that nobody reads', [request(['X-A: 1', 'X-A: 2', FIVE], 'hello')], [HELLO]),
  hostile('host', 'a port and capitals', [request([FIVE], 'hello').replace('Host: localhost', 'Host: LOCALHOST:3000')], [HELLO]),
  hostile('host', 'an address', [request([FIVE], 'hello').replace('Host: localhost', 'Host: 127.0.0.1:3000')], [HELLO]),
  hostile('host', 'an IPv6 address', [request([FIVE], 'hello').replace('Host: localhost', 'Host: [::1]:3000')], [HELLO]),
  hostile('host', 'an Origin of this machine', [request([FIVE, 'Origin: http://localhost:5173'], 'hello')], [HELLO]),
  hostile('target', 'characters of RFC 3986', [request([], '', "GET /{id}/-._~!$&'()*+,;=:@%41 HTTP/1.1")], ["GET /-._~!$&'()*+,;=:@%41 "]),
];

/** The request line stays whole: µWS answers 505 when a segment ends inside it (a documented exception). */
function bytewise(text: string): (string | number)[] {
  const end = text.indexOf(CRLF) + CRLF.length;
  const rest = text.slice(end).split('');
  return [text.slice(0, end), ...rest.flatMap((byte) => [byte, 1])];
}
