import { ANSWER_MS, CHUNKED, contained, CRLF, HELLO, type HostileCase, hostile, refused, request, SMUGGLED, shown } from './case.ts';

const END = `0${CRLF}${CRLF}`;
const EMPTY = 'POST /a ';
const HELLO_CHUNK = `5${CRLF}hello${CRLF}`;

/** Where the body ends, as the chunks say. */
export const CHUNK_CASES: readonly HostileCase[] = [...extensions(), ...sizes(), ...ends(), ...trailers()];

function chunked(body: string): string {
  return request([CHUNKED], body);
}

/** RFC 9112 section 7.1.1: extensions are legal and ignored; what is no extension is not. */
function extensions(): HostileCase[] {
  const legal = ['5;a', '5;a=b', '5;a="b c"', '5 ;a', '5;a;b=c', '5; a = b'];
  const broken = ['5;', '5;;', '5;\n', '5;a\rb', '5;a\nb', `5;a="b${CRLF}c"`, '5;a=\0', '5,a', '5 a', '5=a'];
  return [
    ...legal.map((line) =>
      hostile('chunk extension', `size line ${shown(line)}`, [chunked(`${line}${CRLF}hello${CRLF}${END}`), ANSWER_MS, SMUGGLED], [HELLO]),
    ),
    ...broken.map((line) =>
      hostile(
        'chunk extension',
        `size line ${shown(line)}`,
        [chunked(`${line}${CRLF}hello${CRLF}${END}`), ANSWER_MS, SMUGGLED],
        // Bytes that an implementation may take for an extension, or skip, without moving the end of the body.
        line.includes('\n') || line.includes('\r') ? [] : [HELLO],
      ),
    ),
    hostile('chunk extension', 'on the last chunk', [chunked(`${HELLO_CHUNK}0;a${CRLF}${CRLF}`), ANSWER_MS, SMUGGLED], [HELLO]),
    hostile('chunk extension', 'on the last chunk, a request at once', [chunked(`${HELLO_CHUNK}0;a${CRLF}${CRLF}${SMUGGLED}`)], [HELLO]),
    hostile(
      'chunk extension',
      'one that reads as hex digits and swallows a request',
      [chunked(`1;a${CRLF}x${CRLF}${END}${SMUGGLED}${'y'.repeat(400)}`), ANSWER_MS, SMUGGLED],
      ['POST /a x'],
    ),
    hostile(
      'chunk extension',
      'a very long one',
      [chunked(`5;${'e'.repeat(20_000)}${CRLF}hello${CRLF}${END}`), ANSWER_MS, SMUGGLED],
      [HELLO],
    ),
  ];
}

function sizes(): HostileCase[] {
  const lines = [
    'g',
    'G',
    ':',
    '@',
    '0x5',
    '-5',
    '+5',
    '5 ',
    ' 5',
    '\t5',
    '',
    '5h',
    '5\x0b',
    '5\0',
    '00000000000000005',
    'fffffffffffffffff',
    '10000000000000005',
    '5_',
    '5.',
    '\xd9\xa5',
  ];
  const tolerated = new Set(['5 ', '00000000000000005']);
  return [
    ...lines.map((line) =>
      contained(
        hostile(
          'chunk size',
          `size line ${shown(line)}`,
          [chunked(`${line}${CRLF}hello${CRLF}${END}`), ANSWER_MS, SMUGGLED],
          tolerated.has(line) ? [HELLO] : [],
        ),
        line.startsWith('5') ? HELLO : EMPTY,
      ),
    ),
    hostile('chunk size', 'a bare LF after the size', [chunked(`5\nhello${CRLF}${END}`), ANSWER_MS, SMUGGLED], [HELLO]),
    hostile('chunk size', 'a bare CR after the size', [chunked(`5\rhello${CRLF}${END}`), ANSWER_MS, SMUGGLED]),
    contained(
      hostile('chunk size', 'an empty line where the last chunk belongs', [chunked(`${HELLO_CHUNK}${CRLF}${CRLF}${SMUGGLED}`)]),
      HELLO,
    ),
    contained(hostile('chunk size', 'a space before the last chunk', [chunked(`${HELLO_CHUNK} 0${CRLF}${CRLF}${SMUGGLED}`)]), HELLO),
    contained(hostile('chunk size', 'an empty first size and a request', [chunked(`${CRLF}${CRLF}${SMUGGLED}`)]), EMPTY),
    contained(hostile('chunk size', 'an empty first size and a request later', [chunked(`${CRLF}${CRLF}`), ANSWER_MS, SMUGGLED]), EMPTY),
    hostile('chunk size', 'more bytes announced than sent', [chunked(`ff${CRLF}hello`), ANSWER_MS, SMUGGLED]),
  ];
}

function ends(): HostileCase[] {
  return [
    ...['XX', '\n', 'X\n', '\rX', '', '\n\n', '\0\0'].map((end) =>
      contained(
        hostile(
          'chunk end',
          `${shown(end)} after the data`,
          [chunked(`5${CRLF}hello${end}${END}`), ANSWER_MS, SMUGGLED],
          end === '\n' ? [HELLO] : [],
        ),
        HELLO,
      ),
    ),
    contained(
      hostile('chunk end', 'data longer than its size', [chunked(`3${CRLF}hello${CRLF}${END}`), ANSWER_MS, SMUGGLED]),
      'POST /a hel',
    ),
    // The proxies take the LF behind the sixth byte for the end of the chunk.
    contained(
      refused('chunk end', 'data shorter than its size', [chunked(`6${CRLF}hello${CRLF}${END}`), ANSWER_MS, SMUGGLED], ['POST /a hello\r']),
      'POST /a hello\r',
    ),
    hostile('chunk end', 'LF LF at the very end', [chunked(`${HELLO_CHUNK}0\n\n`), ANSWER_MS, SMUGGLED], [HELLO]),
    hostile('chunk end', 'CR CR at the very end', [chunked(`${HELLO_CHUNK}0\r\r`), ANSWER_MS, SMUGGLED]),
    hostile('chunk end', 'junk instead of the last CRLF', [chunked(`${HELLO_CHUNK}0${CRLF}XX${SMUGGLED}`)], [HELLO]),
    hostile('chunk end', 'a request right behind the end', [chunked(`${HELLO_CHUNK}${END}${SMUGGLED}`)], [HELLO]),
    hostile('chunk end', 'a request right behind the end, later', [chunked(`${HELLO_CHUNK}${END}`), ANSWER_MS, SMUGGLED], [HELLO]),
  ];
}

/** µWS skips two bytes after the last chunk and parses the rest as a request. */
function trailers(): HostileCase[] {
  const disguised = `xx: /{id}/hidden HTTP/1.1${CRLF}Host: localhost${CRLF}${CRLF}`;
  const method = `xxGET: /{id}/hidden HTTP/1.1${CRLF}Host: localhost${CRLF}${CRLF}`;
  return [
    hostile('trailers', 'one plain field', [chunked(`${HELLO_CHUNK}0${CRLF}X-Sum: 1${CRLF}${CRLF}`), ANSWER_MS, SMUGGLED], [HELLO]),
    hostile('trailers', 'fields that read as a request', [chunked(`${HELLO_CHUNK}0${CRLF}${disguised}`)], [HELLO]),
    hostile('trailers', 'fields that read as a request, later', [chunked(`${HELLO_CHUNK}0${CRLF}`), ANSWER_MS, disguised], [HELLO]),
    hostile('trailers', 'fields that read as a GET', [chunked(`${HELLO_CHUNK}0${CRLF}${method}`)], [HELLO]),
    hostile('trailers', 'fields that read as a GET, later', [chunked(`${HELLO_CHUNK}0${CRLF}`), ANSWER_MS, method], [HELLO]),
    hostile(
      'trailers',
      'no colon',
      [chunked(`${HELLO_CHUNK}0${CRLF}XXGET /{id}/hidden HTTP/1.1${CRLF}Host: localhost${CRLF}${CRLF}`)],
      [HELLO],
    ),
    hostile(
      'trailers',
      'framing fields',
      [chunked(`${HELLO_CHUNK}0${CRLF}Content-Length: 50${CRLF}${CHUNKED}${CRLF}${CRLF}`), ANSWER_MS, SMUGGLED],
      [HELLO],
    ),
    hostile('trailers', 'a host', [chunked(`${HELLO_CHUNK}0${CRLF}Host: evil.example${CRLF}${CRLF}`), ANSWER_MS, SMUGGLED], [HELLO]),
    hostile(
      'trailers',
      'twenty thousand bytes',
      [chunked(`${HELLO_CHUNK}0${CRLF}X: ${'t'.repeat(20_000)}${CRLF}${CRLF}`), ANSWER_MS, SMUGGLED],
      [HELLO],
    ),
  ];
}
