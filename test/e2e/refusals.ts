import { expect } from 'vitest';
import type { HttpAnswer } from './http.ts';

export const UUID: RegExp = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Checks that this is a JSON-RPC error of the gateway and nothing more than that; returns its `error_id`. */
export function expectRpcError(answer: HttpAnswer, status: number, code: number, id: unknown = null): string {
  const retry = answer.headers['retry-after'];
  expect({ status: answer.status, type: answer.headers['content-type'], json: answer.json }, answer.body).toEqual({
    status,
    type: 'application/json',
    json: {
      jsonrpc: '2.0',
      id,
      error: {
        code,
        message: expect.stringMatching(/^[A-Z][A-Za-z-]*(?: [A-Za-z/-]+)*$/) as string,
        data: { error_id: expect.stringMatching(UUID) as string, ...(retry !== undefined && { retry_after: Number(retry) }) },
      },
    },
  });
  return String(answer.json['error']?.['data']?.['error_id']);
}

/** The same for endpoints outside `/mcp`: `{"error", "error_id"}`. */
export function expectPlainError(answer: HttpAnswer, status: number): string {
  expect({ status: answer.status, type: answer.headers['content-type'], json: answer.json }, answer.body).toEqual({
    status,
    type: 'application/json',
    json: { error: expect.stringMatching(/^[A-Z]/) as string, error_id: expect.stringMatching(UUID) as string },
  });
  return String(answer.json['error_id']);
}

/** Reads a raw HTTP/1.1 answer with a Content-Length or none; of several on the connection the first. */
export function parseRaw(text: string): HttpAnswer & { readonly rest: string } {
  const end = text.indexOf('\r\n\r\n');
  const [statusLine = '', ...lines] = text.slice(0, Math.max(end, 0)).split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  );
  const length = Number(headers['content-length'] ?? 0);
  const body = text.slice(end + 4, end + 4 + length);
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    json = undefined;
  }
  return {
    status: Number(statusLine.split(' ')[1] ?? 0),
    headers,
    body,
    json: json as HttpAnswer['json'],
    events: [],
    rest: text.slice(end + 4 + length),
  };
}
