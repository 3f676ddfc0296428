import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { HeaderList } from '../core/exchange.ts';
import type { Refusal } from '../core/refusal.ts';

const SECURITY_HEADERS: HeaderList = [
  'x-content-type-options',
  'nosniff',
  'x-frame-options',
  'DENY',
  'content-security-policy',
  "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy',
  'no-referrer',
];
const TLS_HEADERS: HeaderList = ['strict-transport-security', 'max-age=31536000'];
const OWNED: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'date',
  'keep-alive',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'x-content-type-options',
  'x-frame-options',
  'referrer-policy',
  'strict-transport-security',
]);
const NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const MAX_HEAD_BYTES = 8 * 1024;
const LINE_SYNTAX_BYTES = 4;

/** Whether an answer of this status may have a body (RFC 9110 section 6.4.1). */
export function hasBody(status: number): boolean {
  return status !== 204 && status !== 304 && status >= 200;
}

/** `200 OK`. */
export function statusLine(status: number): string {
  return `${status} ${STATUS_CODES[status] ?? 'Unknown'}`;
}

/**
 * The headers of an answer with the security headers every answer carries; a `content-security-policy` of the
 * application replaces the default one. µWS writes header bytes as they are, so this is where a line break, which
 * would split the answer, is found. Throws (a programmer error) on that, on headers that engines own, and on more
 * than 8 KiB, which the write path relies on.
 */
export function answerHead(status: number, headers: HeaderList, isSecure: boolean): string[] {
  if (!Number.isInteger(status) || status < 200 || status > 599) throw new Error(`Not a final HTTP status: ${status}`);
  const all: string[] = [];
  let hasPolicy = false;
  let bytes = 0;
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? '';
    const value = headers[i + 1] ?? '';
    if (!NAME.test(name) || !VALUE.test(value)) throw new Error(`Malformed answer header: ${JSON.stringify(name.slice(0, 64))}`);
    if (OWNED.has(name)) throw new Error(`Answer header owned by the listener: ${name}`);
    hasPolicy ||= name === 'content-security-policy';
    bytes += name.length + value.length + LINE_SYNTAX_BYTES;
    all.push(name, value);
  }
  if (bytes > MAX_HEAD_BYTES || headers.length % 2 !== 0) throw new Error(`Answer head of ${bytes} bytes, ${headers.length} parts`);
  return addSecurity(all, hasPolicy, isSecure);
}

function addSecurity(all: string[], hasPolicy: boolean, isSecure: boolean): string[] {
  for (let i = 0; i + 1 < SECURITY_HEADERS.length; i += 2) {
    const name = SECURITY_HEADERS[i] ?? '';
    if (hasPolicy && name === 'content-security-policy') continue;
    all.push(name, SECURITY_HEADERS[i + 1] ?? '');
  }
  if (isSecure) all.push(...TLS_HEADERS);
  return all;
}

/** All headers of an answer head but the first, each behind a line break. */
export function furtherLines(head: readonly string[]): string {
  let lines = '';
  for (let i = 2; i + 1 < head.length; i += 2) lines += `\r\n${head[i]}: ${head[i + 1]}`;
  return lines;
}

/** The answer body of last resort, where the application cannot be asked: JSON-RPC without an id, and an error id. */
export function minimalBody(refusal: Refusal): string {
  const data = { error_id: randomUUID() };
  return JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: refusal.rpcCode, message: refusal.message, data } });
}

export const MINIMAL_HEADERS: HeaderList = ['content-type', 'application/json'];
