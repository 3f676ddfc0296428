import { describe, expect, it } from 'vitest';
import { ResponseReader } from '../../perf/lib/response-reader.ts';

/** Responses in the text, which arrives in pieces of the given size. */
function read(text: string, pieceBytes: number): [number, string][] {
  const responses: [number, string][] = [];
  const reader = new ResponseReader((status, body) => responses.push([status, body]));
  const bytes = Buffer.from(text, 'latin1');
  for (let at = 0; at < bytes.length; at += pieceBytes) reader.push(bytes.subarray(at, at + pieceBytes));
  return responses;
}

const SIZED = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello';
const EMPTY = 'HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n';
const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA\r\n, the rest\r\n0\r\n\r\n';

describe('the reader of responses', () => {
  it.each([1, 2, 7, 1_000])('reads one after the other, in pieces of %i bytes', (pieceBytes) => {
    const expected = [
      [200, 'hello'],
      [202, ''],
      [200, 'hello, the rest'],
      [200, 'hello'],
    ];
    expect(read(SIZED + EMPTY + CHUNKED + SIZED, pieceBytes)).toEqual(expected);
  });

  it('waits for what is missing', () => {
    expect(read(SIZED.slice(0, -1), 1_000)).toEqual([]);
    expect(read(CHUNKED.slice(0, -2), 1_000)).toEqual([]);
  });

  it('refuses what has no end that it knows', () => {
    expect(() => read('HTTP/1.1 200 OK\r\n\r\n', 100)).toThrow('without a length');
    expect(() => read('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n', 100)).toThrow('without a size');
  });
});
