import { connect } from 'node:net';
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
        data: {
          error_id: expect.stringMatching(UUID) as string,
          ...(retry !== undefined && { retry_after: Number(retry) }),
          ...(status === 503 && { reason: expect.stringMatching(/^[a-z_]+$/) as string }),
        },
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

/** How long a server that closes after its answer may take to do so; most do it with the answer. */
const CLOSE_MS = 60;
const ANSWER_MS = 10_000;

function isComplete(text: string): boolean {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return false;
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, end + 2));
  return text.length >= end + 4 + Number(length?.[1] ?? 0);
}

/** Writes bytes on a connection of its own, reads one answer, and tells whether the peer closed the connection behind it. */
export async function askRaw(
  port: number,
  bytes: string | Buffer,
  options: { readonly closeMs?: number } = {},
): Promise<HttpAnswer & { readonly rest: string; readonly isClosed: boolean }> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  let text = '';
  return await new Promise((resolve, reject) => {
    const finish = (isClosed: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ ...parseRaw(text), isClosed });
    };
    let timer = setTimeout(() => reject(new Error(`no complete answer: ${text}`)), ANSWER_MS);
    socket.setEncoding('latin1').on('data', (piece: string) => {
      text += piece;
      if (!isComplete(text)) return;
      clearTimeout(timer);
      timer = setTimeout(() => finish(false), options.closeMs ?? CLOSE_MS);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => finish(true));
    socket.write(bytes);
  });
}
