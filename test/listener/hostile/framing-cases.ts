import { ANSWER_MS, CHUNKED, CRLF, HELLO, type HostileCase, hostile, refused, request, SMUGGLED, shown } from './case.ts';

/** Where the body ends, as the header says: Content-Length and Transfer-Encoding. */
export const FRAMING_CASES: readonly HostileCase[] = [
  ...conflictingLengths(),
  ...emptyFraming(),
  ...otherCodings(),
  ...lengthAndCoding(),
  ...lengthSyntax(),
  ...misplacedBodies(),
];

function conflictingLengths(): HostileCase[] {
  const pairs: [string, string][] = [
    ['5', '0'],
    ['0', '5'],
    ['5', '6'],
    ['5', '05'],
    ['5', '5'],
    ['0', String(length(SMUGGLED))],
  ];
  return [
    ...pairs.map(([a, b]) => {
      const segments = [request([`Content-Length: ${a}`, `Content-Length: ${b}`], 'hello'), ANSWER_MS, SMUGGLED];
      const name = `${a} then ${b}, a request behind`;
      return Number(a) === Number(b)
        ? refused('conflicting lengths', name, segments, [HELLO])
        : hostile('conflicting lengths', name, segments);
    }),
    hostile('conflicting lengths', 'a request inside the longer one, at once', [
      request(['Content-Length: 0', `Content-Length: ${length(SMUGGLED)}`], SMUGGLED),
    ]),
    hostile('conflicting lengths', 'in one list', [request(['Content-Length: 0, 5'], 'hello'), ANSWER_MS, SMUGGLED]),
    refused('conflicting lengths', 'equal, in one list', [request(['Content-Length: 5, 5'], 'hello')], [HELLO]),
    hostile('conflicting lengths', 'separated by another header', [
      request(['Content-Length: 0', 'X-Between: 1', `content-length: ${length(SMUGGLED)}`]),
      ANSWER_MS,
      SMUGGLED,
    ]),
  ];
}

function emptyFraming(): HostileCase[] {
  const heads: [string, string[]][] = [
    ['empty Content-Length', ['Content-Length:']],
    ['blank Content-Length', ['Content-Length: \t ']],
    ['empty Content-Length and a coding', ['Content-Length:', CHUNKED]],
    ['a coding and an empty Content-Length', [CHUNKED, 'Content-Length:']],
    ['empty coding', ['Transfer-Encoding:']],
    ['blank coding', ['Transfer-Encoding:  ']],
    ['empty coding and a length', ['Transfer-Encoding:', `Content-Length: ${length(SMUGGLED)}`]],
    ['a length and an empty coding', [`Content-Length: ${length(SMUGGLED)}`, 'Transfer-Encoding:']],
    ['empty first coding line', ['Transfer-Encoding:', CHUNKED]],
    ['empty second coding line', [CHUNKED, 'Transfer-Encoding:']],
    ['empty first length line', ['Content-Length:', 'Content-Length: 0']],
    ['empty second length line', ['Content-Length: 0', 'Content-Length:']],
  ];
  return heads.flatMap(([name, lines]) => [
    hostile('empty framing header', `${name}, a request behind at once`, [request(lines, SMUGGLED)]),
    hostile('empty framing header', `${name}, a request behind after the answer`, [request(lines), ANSWER_MS, SMUGGLED]),
  ]);
}

function otherCodings(): HostileCase[] {
  const values = [
    'identity',
    'xchunked',
    'x-chunked',
    'chunked, identity',
    'gzip, chunked',
    'identity, chunked',
    'chunked, chunked',
    'chunked;q=1',
    'chunked ,',
    ', chunked',
    '"chunked"',
    "'chunked'",
    'chun ked',
    'chunk',
    'chunkedx',
    'CHUNKED\x0c',
  ];
  const body = `5${CRLF}hello${CRLF}0${CRLF}${CRLF}`;
  return [
    ...values.map((value) =>
      hostile(
        'other transfer coding',
        `Transfer-Encoding: ${shown(value)}`,
        [request([`Transfer-Encoding: ${value}`], body), ANSWER_MS, SMUGGLED],
        // Empty list members are legal (RFC 9110 section 5.6.1).
        value.includes(',') && value.replaceAll(/[ ,]/g, '') === 'chunked' ? [HELLO] : [],
      ),
    ),
    hostile('other transfer coding', 'a different case', [request(['Transfer-Encoding: cHuNkEd'], body)], [HELLO]),
    hostile('other transfer coding', 'chunked then identity lines', [
      request([CHUNKED, 'Transfer-Encoding: identity'], `0${CRLF}${CRLF}${SMUGGLED}`),
    ]),
    hostile('other transfer coding', 'identity then chunked lines', [
      request(['Transfer-Encoding: identity', CHUNKED], `0${CRLF}${CRLF}${SMUGGLED}`),
    ]),
    hostile('other transfer coding', 'two chunked lines', [request([CHUNKED, CHUNKED], body), ANSWER_MS, SMUGGLED]),
    hostile(
      'other transfer coding',
      'the coding folded',
      [request(['Transfer-Encoding:', ' chunked'], body), ANSWER_MS, SMUGGLED],
      [HELLO],
    ),
    hostile('other transfer coding', 'a space before the colon', [request(['Transfer-Encoding : chunked'], body), ANSWER_MS, SMUGGLED]),
  ];
}

function lengthAndCoding(): HostileCase[] {
  const chunks = `0${CRLF}${CRLF}`;
  const both = (lines: readonly string[], name: string): HostileCase[] => [
    hostile('length and coding', `${name}, at once`, [request(lines, `${chunks}${SMUGGLED}`)], ['POST /a ']),
    hostile('length and coding', `${name}, after the answer`, [request(lines, chunks), ANSWER_MS, SMUGGLED], ['POST /a ']),
  ];
  const total = length(chunks) + length(SMUGGLED);
  return [
    ...both([`Content-Length: ${total}`, CHUNKED], 'length first'),
    ...both([CHUNKED, `Content-Length: ${total}`], 'coding first'),
    ...both([`Content-Length: ${length(chunks)}`, CHUNKED], 'a length that ends where the chunks end'),
    ...both(['Content-Length: 4', CHUNKED], 'a length within the chunks'),
    ...both(['Content-Length: 0', CHUNKED], 'length zero'),
  ];
}

function lengthSyntax(): HostileCase[] {
  const values = [
    '+5',
    '-5',
    '-0',
    '5 5',
    '0x5',
    '5e0',
    '5.0',
    '05',
    '00000000005',
    '5;',
    '"5"',
    '\xd9\xa5',
    'five',
    '5 ,',
    '18446744073709551621',
    '4294967301',
    '99999999999999999999999',
  ];
  const tolerated = new Set(['05', '00000000005']);
  return values.map((value) => {
    const segments = [request([`Content-Length: ${value}`], 'hello'), ANSWER_MS, SMUGGLED];
    const name = `Content-Length: ${shown(value)}`;
    return tolerated.has(value) ? refused('length syntax', name, segments, [HELLO]) : hostile('length syntax', name, segments);
  });
}

function misplacedBodies(): HostileCase[] {
  const methods = ['GET', 'HEAD', 'OPTIONS', 'DELETE'];
  return [
    ...methods.map((method) =>
      hostile('body without a place', `${method} with a length`, [
        request([`Content-Length: ${length(SMUGGLED)}`], SMUGGLED, `${method} /{id}/a HTTP/1.1`),
      ]),
    ),
    ...methods.map((method) =>
      hostile('body without a place', `${method} in chunks`, [
        request([CHUNKED], `${length(SMUGGLED).toString(16)}${CRLF}${SMUGGLED}${CRLF}0${CRLF}${CRLF}`, `${method} /{id}/a HTTP/1.1`),
      ]),
    ),
    hostile('body without a place', 'POST without a length', [request([]), ANSWER_MS, SMUGGLED], ['POST /a ']),
    hostile('body without a place', 'POST without a length, a request at once', [request([], SMUGGLED)], ['POST /a ']),
    hostile(
      'body without a place',
      'a GET and undeclared bytes',
      [request([], 'hello', 'GET /{id}/a HTTP/1.1'), ANSWER_MS, SMUGGLED],
      ['GET /a '],
    ),
  ];
}

function length(text: string): number {
  return text.replaceAll('{id}', 'x'.repeat(8)).length;
}
