import { ANSWER_MS, CHUNKED, contained, CRLF, HELLO, type HostileCase, hostile, request, SMUGGLED, shown } from './case.ts';
import { VICTIM_SEEN } from './run.ts';

const FIVE = 'Content-Length: 5';
const CHUNKS = `5${CRLF}hello${CRLF}0${CRLF}${CRLF}`;
const FOLLOW = 'GET /smuggled ';
const LENGTH = String(SMUGGLED.replaceAll('{id}', 'x'.repeat(8)).length);
/** µWS drops these from both ends of a value, as it drops spaces, and nobody behind it learns of them. */
const DROPPED = ['\x80', '\xff', '\xc3\xa9', '\xa0'];
/** These are refused by every parser we have, or are part of the value. */
const OTHER = ['\x0b', '\0', '\x7f'];

/**
 * Bytes that are no part of what a header says, before and behind it. A length or a coding with them is for the proxies to
 * refuse: one that ignored such a line and passed it on would see another end of the body than µWS.
 */
export const VALUE_CASES: readonly HostileCase[] = [...DROPPED, ...OTHER].flatMap((bytes) => [
  ...around('Content-Length', '5', bytes).flatMap((line) => length(line)),
  ...around('Transfer-Encoding', 'chunked', bytes).flatMap((line) => coding(line)),
  ...alone(bytes),
  ...harmless(bytes),
]);

function around(name: string, value: string, bytes: string): string[] {
  return [`${name}: ${value}${bytes}`, `${name}: ${bytes}${value}`];
}

/** What µWS, reached directly, may run where it drops the bytes of the line; with other bytes nothing may run. */
function framed(line: string, name: string, segments: readonly (string | number)[], ...runs: string[]): HostileCase {
  const isDropped = DROPPED.some((bytes) => line.includes(bytes));
  const framedCase = hostile('bytes around a value', name, segments);
  return isDropped ? contained(framedCase, ...runs) : framedCase;
}

function length(line: string): HostileCase[] {
  const hidden = line.replace('5', LENGTH);
  return [
    framed(line, shown(line), [request([line], 'hello'), ANSWER_MS, SMUGGLED], HELLO, FOLLOW),
    framed(hidden, `${shown(line)}, a request for a body`, [request([hidden], SMUGGLED)], `POST /a ${SMUGGLED}`, VICTIM_SEEN),
    framed(line, `${shown(line)} behind another length`, [request(['Content-Length: 0', line], 'hello'), ANSWER_MS, SMUGGLED]),
    framed(line, `${shown(line)} behind a coding`, [request([CHUNKED, line], `0${CRLF}${CRLF}${SMUGGLED}`)]),
  ];
}

function coding(line: string): HostileCase[] {
  return [
    framed(line, shown(line), [request([line], CHUNKS), ANSWER_MS, SMUGGLED], HELLO),
    framed(line, `${shown(line)}, a request behind at once`, [request([line], `${CHUNKS}${SMUGGLED}`)], HELLO),
    // Who sees no coding sees no body here, and a request of its own in what µWS takes for chunks.
    framed(line, `${shown(line)}, no chunks but a request`, [request([line], SMUGGLED)], 'POST /a …'),
    framed(line, `${shown(line)} before a length`, [request([line, `Content-Length: ${LENGTH}`], SMUGGLED)]),
    framed(line, `${shown(line)} behind a length`, [request([FIVE, line], `0${CRLF}${CRLF}${SMUGGLED}`)]),
    framed(line, `${shown(line)} behind another coding`, [request(['Transfer-Encoding: identity', line], CHUNKS), ANSWER_MS, SMUGGLED]),
  ];
}

/** What is left is an empty value. */
function alone(bytes: string): HostileCase[] {
  return [
    hostile('bytes around a value', `Content-Length: ${shown(bytes)} alone`, [request([`Content-Length: ${bytes}`], SMUGGLED)]),
    hostile('bytes around a value', `Transfer-Encoding: ${shown(bytes)} alone`, [request([`Transfer-Encoding: ${bytes}`], SMUGGLED)]),
    hostile('bytes around a value', `Transfer-Encoding: ${shown(bytes)} and a length`, [
      request([`Transfer-Encoding: ${bytes}`, `Content-Length: ${LENGTH}`], SMUGGLED),
    ]),
  ];
}

/** Headers that do not say where the body ends: the request may run, as the one that it is. */
function harmless(bytes: string): HostileCase[] {
  const lines = [
    ...around('Authorization', 'Bearer token', bytes),
    ...around('Origin', 'http://localhost', bytes),
    ...around('Content-Type', 'application/json', bytes),
    ...around('Connection', 'close', bytes),
    ...around('Connection', 'keep-alive', bytes),
    ...around('Expect', '100-continue', bytes),
  ];
  const heads = [
    ...lines.map((line) => [line, request([line, FIVE], 'hello')] as const),
    ...around('Host', 'localhost', bytes).map((line) => [line, request([FIVE], 'hello').replace('Host: localhost', line)] as const),
  ];
  return heads.map(([line, head]) => hostile('bytes around a value', shown(line), [head, ANSWER_MS, SMUGGLED], [HELLO, FOLLOW]));
}
