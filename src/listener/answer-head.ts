import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { HeaderList } from '../core/exchange.ts';
import { fieldPairs, type FieldText, NO_FIELDS } from '../core/field-text.ts';
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
const POLICY = 'content-security-policy';
const SECURITY_LINES = linesOf(SECURITY_HEADERS);
const SECURITY_LINES_BUT_POLICY = linesOf(SECURITY_HEADERS.filter((_part, i) => SECURITY_HEADERS[i - (i % 2)] !== POLICY));
/** The gateway has a few dozen names; they are looked at once. */
const MAX_CHECKED_NAMES = 256;
const checkedNames = new Set<string>();
/** By its place in the list, the last value found fit: most are the constants of the answer before. */
const MAX_KEPT_PLACES = 32;
const MAX_KEPT_CHARS = 256;
/** Not kept beyond its answer, as in the head guard. */
const SESSION_HEADER = 'mcp-session-id';
const fitValues: string[] = Array.from({ length: MAX_KEPT_PLACES }, () => '');

/** Whether an answer of this status may have a body (RFC 9110 section 6.4.1). */
export function hasBody(status: number): boolean {
  return status !== 204 && status !== 304 && status >= 200;
}

/** Whether an answer may have this status. */
export function isFinal(status: number): boolean {
  return Number.isInteger(status) && status >= 200 && status <= 599;
}

const statusLines: (string | undefined)[] = [];

/** `200 OK`. */
export function statusLine(status: number): string {
  return (statusLines[status] ??= `${status} ${STATUS_CODES[status] ?? 'Unknown'}`);
}

/**
 * The headers of an answer with the security headers every answer carries; a `content-security-policy` of the
 * application replaces the default one. Throws (a programmer error) on what is not fit to be written, as `checkAnswer` says.
 */
export function answerHead(status: number, headers: HeaderList, isSecure: boolean, fields: FieldText = NO_FIELDS): string[] {
  const hasPolicy = checkAnswer(status, headers, fields);
  const all = [...headers, ...fieldPairs(fields)];
  for (let i = 0; i + 1 < SECURITY_HEADERS.length; i += 2) {
    const name = SECURITY_HEADERS[i] ?? '';
    if (!(hasPolicy && name === POLICY)) all.push(name, SECURITY_HEADERS[i + 1] ?? '');
  }
  if (isSecure) all.push(...TLS_HEADERS);
  return all;
}

/**
 * The same for a server without TLS, as one text: the value of the first header (`firstName`), then each further header behind a line
 * break. One text, because each string on the way to it is one for the collector (`native-bench/answer-lines.ts`).
 */
export function answerLines(status: number, headers: HeaderList, fields: FieldText = NO_FIELDS): string {
  const hasPolicy = checkAnswer(status, headers, fields);
  if (headers.length === 0) return SECURITY_LINES.slice(SECURITY_LINES.indexOf(': ') + 2) + fields;
  let lines = headers[1] ?? '';
  for (let i = 2; i + 1 < headers.length; i += 2) lines += `\r\n${headers[i]}: ${headers[i + 1]}`;
  return lines + fields + (hasPolicy ? SECURITY_LINES_BUT_POLICY : SECURITY_LINES);
}

/** Name of the header whose value `answerLines` begins with. */
export function firstName(headers: HeaderList): string {
  return headers[0] ?? SECURITY_HEADERS[0] ?? '';
}

function linesOf(headers: HeaderList): string {
  let lines = '';
  for (let i = 0; i + 1 < headers.length; i += 2) lines += `\r\n${headers[i]}: ${headers[i + 1]}`;
  return lines;
}

/**
 * µWS writes header bytes as they are, so this is where a line break, which would split the answer, is found. Throws on that, on
 * headers that engines own, and on more than 8 KiB, which the write path relies on.
 * @returns whether the application has a `content-security-policy` of its own
 */
function checkAnswer(status: number, headers: HeaderList, fields: FieldText): boolean {
  if (!isFinal(status)) throw new Error(`Not a final HTTP status: ${status}`);
  let hasPolicy = false;
  let bytes: number = fields.length;
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? '';
    const value = headers[i + 1] ?? '';
    if (!checkedNames.has(name)) checkName(name);
    if (value !== fitValues[i]) checkValue(i, name, value);
    hasPolicy ||= name === POLICY;
    bytes += name.length + value.length + LINE_SYNTAX_BYTES;
  }
  if (bytes > MAX_HEAD_BYTES || headers.length % 2 !== 0) throw new Error(`Answer head of ${bytes} bytes, ${headers.length} parts`);
  return hasPolicy;
}

function checkName(name: string): void {
  if (!NAME.test(name)) throw malformed(name);
  if (OWNED.has(name)) throw new Error(`Answer header owned by the listener: ${name}`);
  if (checkedNames.size < MAX_CHECKED_NAMES) checkedNames.add(name);
}

function checkValue(place: number, name: string, value: string): void {
  if (!VALUE.test(value)) throw malformed(name);
  if (place < MAX_KEPT_PLACES && value.length <= MAX_KEPT_CHARS && name !== SESSION_HEADER) fitValues[place] = value;
}

function malformed(name: string): Error {
  return new Error(`Malformed answer header: ${JSON.stringify(name.slice(0, 64))}`);
}

/** The answer body of last resort, where the application cannot be asked: JSON-RPC without an id, and an error id. */
export function minimalBody(refusal: Refusal): string {
  const data = { error_id: randomUUID() };
  return JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: refusal.rpcCode, message: refusal.message, data } });
}

export const MINIMAL_HEADERS: HeaderList = ['content-type', 'application/json'];
