import { createHash } from 'node:crypto';
import type { Envelope } from '../core/envelope.ts';

/** What a server may ask a client for in the middle of a request, and the capability that the client declares for it. */
const ASKABLE: ReadonlyMap<string, string> = new Map([
  ['elicitation/create', 'elicitation'],
  ['sampling/createMessage', 'sampling'],
  ['roots/list', 'roots'],
]);

/** Requests whose answer may be that input is required (2026-07-28, Multi Round-Trip Requests). */
const ASKING: ReadonlySet<string> = new Set(['tools/call', 'prompts/get', 'resources/read']);

/** A question of a server, under the key that its answer has. */
export interface InputQuestion {
  readonly method: string;
  /** Raw JSON; null for none. */
  readonly params: string | null;
}

/** What a client sends when it comes back. */
export interface InputAnswers {
  /** As it was given out, or what the client makes of it; null without one. */
  readonly state: string | null;
  readonly answers: ReadonlyMap<string, unknown>;
}

/** Whether the answer to a request with this method may ask for input. */
export function mayAsk(method: string): boolean {
  return ASKING.has(method);
}

/** The capability that a client must have declared to be asked this; undefined for what no client is asked. */
export function askedCapability(method: string): string | undefined {
  return ASKABLE.get(method);
}

/** An `InputRequiredResult` as a whole response. `idToken` and `serverInfo` are raw JSON. */
export function inputRequired(idToken: string, questions: ReadonlyMap<string, InputQuestion>, state: string, serverInfo: string): string {
  const asked = Array.from(questions, ([key, { method, params }]) => {
    const more = params === null ? '' : `,"params":${params}`;
    return `${JSON.stringify(key)}:{"method":${JSON.stringify(method)}${more}}`;
  });
  const meta = `"_meta":{"io.modelcontextprotocol/serverInfo":${serverInfo}}`;
  const result = `{"resultType":"input_required","inputRequests":{${asked.join(',')}},"requestState":${JSON.stringify(state)},${meta}}`;
  return `{"jsonrpc":"2.0","id":${idToken},"result":${result}}`;
}

/** Reads the answers that a request brings; null when it brings none and names no state. The message has been parsed. */
export function readInputAnswers(message: Envelope): InputAnswers | null {
  const { requestState, inputResponses } = paramsOf(message);
  if (requestState === undefined && inputResponses === undefined) return null;
  const answers = isObject(inputResponses) ? Object.entries(inputResponses) : [];
  return { state: typeof requestState === 'string' ? requestState : null, answers: new Map(answers) };
}

/** Names a request by what it asks for: whoever brings answers has to ask for the same again. */
export function requestDigest(message: Envelope): string {
  const { name, uri, arguments: given } = paramsOf(message);
  return createHash('sha256')
    .update(JSON.stringify([message.method, name, uri, sorted(given)]))
    .digest('base64url');
}

function paramsOf({ bytes, paramsStart, paramsEnd }: Envelope): Readonly<Record<string, unknown>> {
  const params: unknown = paramsStart < 0 ? null : JSON.parse(bytes.toString('utf8', paramsStart, paramsEnd));
  return isObject(params) ? params : {};
}

/** A client may write the members of an object in another order the next time. The depth was bounded when it was parsed. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  const names = Object.keys(value).sort();
  return names.map((name) => [name, sorted(value[name])]);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
