import type { Envelope } from '../core/envelope.ts';
import { BAD_PARAMS } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import { reread } from './era-requests.ts';
import { KeyNames } from './key-names.ts';
import { withMembers, withoutMembers } from './members.ts';
import { JsonScanner, type ScanLimits } from './scan.ts';
import { splice } from './splice.ts';

/** The `requestState` of revision 2026-07-28 (Multi Round-Trip Requests), where it stands in messages that were scanned. */

const LIMITS: ScanLimits = { maxDepth: 512, maxKeys: Infinity, maxStringBytes: Infinity, areSkippedKeysCompared: false };
const STATE = new KeyNames(['requestState']);
const RESULT = new KeyNames(['result']);
const MEMBERS = new KeyNames(['requestState', 'resultType']);
const REQUEST_STATE = 0;
const INPUT_REQUIRED = 'input_required';

const scanner = new JsonScanner();

/** What a client brings back. Null: nothing. Refused: no string. */
export function broughtState({ bytes, stateStart, stateEnd }: Envelope): string | Refusal | null {
  if (stateStart < 0) return null;
  const state: unknown = JSON.parse(bytes.toString('utf8', stateStart, stateEnd));
  return typeof state === 'string' ? state : BAD_PARAMS;
}

/** The request, which brings a state, with another one; `own` null: with none. */
export function withBroughtState(message: Envelope, own: string | null): Envelope | null {
  const { bytes, stateStart, stateEnd, paramsStart, paramsEnd } = message;
  if (own !== null) return reread(bytes, stateStart, stateEnd, Buffer.from(JSON.stringify(own)));
  return reread(bytes, paramsStart, paramsEnd, withoutMembers(bytes.subarray(paramsStart, paramsEnd), STATE));
}

/** A response with the state that is `made` of the server's own (null: none), if it asks for input; else as it is. */
export function withGivenState(reply: Buffer, made: (own: string | null) => string): Buffer {
  if (!reply.includes(INPUT_REQUIRED)) return reply;
  const asked = readResult(reply);
  if (asked === null) return reply;
  const text = JSON.stringify(made(asked.own));
  if (asked.state !== null) return splice(reply, [{ ...asked.state, text }]);
  const { start, end } = asked.result;
  return Buffer.concat([reply.subarray(0, start), withMembers(reply.subarray(start, end), `"requestState":${text}`), reply.subarray(end)]);
}

interface Span {
  readonly start: number;
  readonly end: number;
}

interface AskingResult {
  readonly result: Span;
  /** Null: it has none. */
  readonly state: Span | null;
  readonly own: string | null;
}

/** Null unless it asks for input. */
function readResult(reply: Buffer): AskingResult | null {
  let found: AskingResult | null = null;
  try {
    if (!scanner.begin(reply, LIMITS) || !scanner.isObject) return null;
    for (let more = scanner.enter(); more; more = scanner.next()) {
      if (RESULT.match(scanner) < 0 || !scanner.isObject) scanner.skip();
      else found = readMembers(scanner.pos);
    }
    return found;
  } finally {
    scanner.end();
  }
}

function readMembers(start: number): AskingResult | null {
  let [state, own, isAsking]: [Span | null, string | null, boolean] = [null, null, false];
  for (let more = scanner.enter(); more; more = scanner.next()) {
    const key = MEMBERS.match(scanner);
    const { pos: from, isString } = scanner;
    scanner.skip();
    const text = key >= 0 && isString ? scanner.text(from, scanner.pos) : null;
    if (key === REQUEST_STATE) [state, own] = [{ start: from, end: scanner.pos }, text];
    else if (key > REQUEST_STATE) isAsking = text === INPUT_REQUIRED;
  }
  return isAsking ? { result: { start, end: scanner.pos }, state, own } : null;
}
