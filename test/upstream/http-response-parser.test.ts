import type { IncomingHttpHeaders } from 'node:http';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ResponseParser } from '../../src/upstream/http-response-parser.ts';

interface Seen {
  readonly status: number[];
  readonly headers: IncomingHttpHeaders[];
  body: string;
  ends: number;
  isSound: boolean;
  isReusable: boolean;
}

/** Feeds a response in pieces; views are overwritten after each call, as the real buffer is. */
function feed(pieces: readonly Buffer[], isClosed = false): Seen {
  const seen: Seen = { status: [], headers: [], body: '', ends: 0, isSound: true, isReusable: false };
  const parser = new ResponseParser({
    onHead: (status, headers) => {
      seen.status.push(status);
      seen.headers.push(headers);
    },
    onData: (view) => {
      seen.body += view.toString('latin1');
    },
    onEnd: () => {
      seen.ends += 1;
    },
  });
  parser.begin();
  for (const piece of pieces) {
    const copy = Buffer.from(piece);
    seen.isSound &&= parser.push(copy);
    copy.fill(0x58);
  }
  if (isClosed) seen.isSound &&= parser.end();
  seen.isReusable = parser.isReusable;
  return seen;
}

function read(text: string, isClosed = false): Seen {
  return feed([Buffer.from(text, 'latin1')], isClosed);
}

const OK = 'HTTP/1.1 200 OK\r\n';

describe('ResponseParser', () => {
  it('reads a response with a length', () => {
    const seen = read(`${OK}Content-Type: application/json\r\nMcp-Session-Id: abc\r\nContent-Length: 5\r\n\r\nhello`);
    expect(seen).toMatchObject({ status: [200], body: 'hello', ends: 1, isSound: true, isReusable: true });
    expect(seen.headers[0]).toMatchObject({ 'content-type': 'application/json', 'mcp-session-id': 'abc' });
  });

  it('reads chunks with extensions and trailers', () => {
    const seen = read(`${OK}Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2 \r\nde\r\n0\r\nX-T: 1\r\n\r\n`);
    expect(seen).toMatchObject({ body: 'abcde', ends: 1, isSound: true, isReusable: true });
  });

  it('reads to the end of the connection when there is no length', () => {
    expect(read(`${OK}\r\nabc`, true)).toMatchObject({ body: 'abc', ends: 1, isSound: true, isReusable: false });
  });

  it('skips informational responses', () => {
    expect(read(`HTTP/1.1 103 Early\r\nLink: x\r\n\r\n${OK}Content-Length: 1\r\n\r\na`)).toMatchObject({
      status: [200],
      body: 'a',
      ends: 1,
    });
  });

  it.each([204, 304])('expects no body after %i whatever the length says', (status) => {
    expect(read(`HTTP/1.1 ${status} X\r\nContent-Length: 9\r\n\r\n`)).toMatchObject({ ends: 1, isSound: true });
  });

  it.each(['Connection: close', 'Connection: x , Close', 'connection: CLOSE'])('does not reuse a connection after "%s"', (header) => {
    expect(read(`${OK}Content-Length: 0\r\n${header}\r\n\r\n`)).toMatchObject({ ends: 1, isReusable: false });
  });

  it('does not reuse a connection of HTTP/1.0', () => {
    expect(read('HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n').isReusable).toBe(false);
  });

  it.each([
    ['both framings', `${OK}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['two lengths', `${OK}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc`],
    ['two different lengths', `${OK}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc`],
    ['a list of lengths', `${OK}Content-Length: 3, 3\r\n\r\nabc`],
    ['a signed length', `${OK}Content-Length: +3\r\n\r\nabc`],
    ['a hexadecimal length', `${OK}Content-Length: 0x3\r\n\r\nabc`],
    ['a length with leading zero', `${OK}Content-Length: 03\r\n\r\nabc`],
    ['an empty length', `${OK}Content-Length:\r\n\r\n`],
    ['an absurd length', `${OK}Content-Length: 99999999999999999\r\n\r\n`],
    ['another transfer coding', `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
    ['a coding that contains chunked', `${OK}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
    ['two transfer codings', `${OK}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['an empty transfer coding', `${OK}Transfer-Encoding:\r\n\r\n`],
    ['chunks in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['a folded header', `${OK}X: a\r\n b\r\nContent-Length: 0\r\n\r\n`],
    ['a space before the colon', `${OK}Content-Length : 0\r\n\r\n`],
    ['an empty header name', `${OK}: x\r\nContent-Length: 0\r\n\r\n`],
    ['a line without a colon', `${OK}Nonsense\r\n\r\n`],
    ['a NUL in a value', `${OK}X: a\0b\r\nContent-Length: 0\r\n\r\n`],
    ['a bare LF between headers', `${OK}X: a\nContent-Length: 0\r\n\r\n`],
    ['a bare CR in a value', `${OK}X: a\rb\r\nContent-Length: 0\r\n\r\n`],
    ['another protocol', 'HTTP/2.0 200 OK\r\n\r\n'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
    ['a status that does not exist', 'HTTP/1.1 999 X\r\n\r\n'],
    ['a tab after the version', 'HTTP/1.1\t200 OK\r\n\r\n'],
    ['no status line', 'Content-Length: 0\r\n\r\n'],
    ['an empty line first', `\r\n${OK}Content-Length: 0\r\n\r\n`],
    ['a switch of protocols', 'HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n'],
    ['a chunk size that is no number', `${OK}Transfer-Encoding: chunked\r\n\r\ng\r\n`],
    ['an empty chunk size', `${OK}Transfer-Encoding: chunked\r\n\r\n\r\n`],
    ['a negative chunk size', `${OK}Transfer-Encoding: chunked\r\n\r\n-1\r\n`],
    ['a chunk size with prefix', `${OK}Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n`],
    ['a space before the chunk size', `${OK}Transfer-Encoding: chunked\r\n\r\n 3\r\nabc\r\n`],
    ['a chunk size over 32 bits', `${OK}Transfer-Encoding: chunked\r\n\r\n100000000\r\n`],
    ['a bare LF after a chunk size', `${OK}Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n`],
    ['a bare LF in a chunk extension', `${OK}Transfer-Encoding: chunked\r\n\r\n3;a\nb\r\nabc\r\n`],
    ['chunk data without its line end', `${OK}Transfer-Encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\n`],
    ['chunk data longer than said', `${OK}Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n`],
    ['a malformed trailer', `${OK}Transfer-Encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n`],
    ['an endless chunk extension', `${OK}Transfer-Encoding: chunked\r\n\r\n3;${'a'.repeat(400)}\r\nabc\r\n`],
    ['an endless head', `${OK}X: ${'a'.repeat(20_000)}\r\n\r\n`],
    ['endless trailers', `${OK}Transfer-Encoding: chunked\r\n\r\n0\r\n${'x: 1\r\n'.repeat(4000)}\r\n`],
  ])('breaks on %s', (_what, text) => {
    const seen = read(text);
    expect(seen.isSound).toBe(false);
    expect(seen.ends).toBe(0);
  });

  it('breaks on a second response that nobody asked for', () => {
    const seen = read(`${OK}Content-Length: 1\r\n\r\na${OK}Content-Length: 1\r\n\r\nb`);
    expect(seen).toMatchObject({ isSound: false, status: [200], body: 'a', ends: 1 });
  });

  it('is not at its end when the connection closes in the middle', () => {
    expect(read(`${OK}Content-Length: 5\r\n\r\nab`, true)).toMatchObject({ isSound: false, ends: 0 });
    expect(read(`${OK}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`, true)).toMatchObject({ isSound: false, ends: 0 });
    expect(read('HTTP/1.1 200', true)).toMatchObject({ isSound: false, ends: 0 });
  });

  it('holds no more of an endless head than its limit, however it arrives', () => {
    const pieces = Array.from({ length: 40 }, () => Buffer.from('x'.repeat(1000)));
    expect(feed([Buffer.from(OK), ...pieces]).isSound).toBe(false);
  });

  it('gives the same outcome however the bytes are cut', () => {
    const texts = fc.constantFrom(
      `${OK}Content-Type: text/plain\r\nContent-Length: 11\r\n\r\nhello world`,
      `${OK}Transfer-Encoding: chunked\r\n\r\n5;q=1\r\nhello\r\n6\r\n world\r\n0\r\nT: 1\r\n\r\n`,
      `HTTP/1.1 100 C\r\n\r\n${OK}Content-Length: 2\r\n\r\nhi`,
      `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX`,
      `${OK}Content-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\n\r\n`,
      `${OK}\r\nuntil the end`,
    );
    fc.assert(
      fc.property(texts, fc.array(fc.nat(60), { maxLength: 8 }), (text, cuts) => {
        const bytes = Buffer.from(text, 'latin1');
        const at = [...new Set(cuts.map((cut) => cut % bytes.length))].sort((one, other) => one - other);
        const pieces = [0, ...at].map((from, index) => bytes.subarray(from, at[index] ?? bytes.length));
        expect(feed(pieces.filter((piece) => piece.length > 0))).toEqual(feed([bytes]));
      }),
    );
  });
});
