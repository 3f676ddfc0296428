import { createHash } from 'node:crypto';
import type { Envelope } from '../core/envelope.ts';
import { reread } from './era-requests.ts';
import { withMembers } from './members.ts';

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

/** What a server of revision 2026-07-28 wants to know before it answers, and what it wants to have back. */
export interface InputWanted {
  readonly questions: ReadonlyMap<string, InputQuestion>;
  /** Handed back as it came; null for none. */
  readonly state: string | null;
}

/** Reads an `InputRequiredResult`; null for any other response, and for one that makes no sense. The message has been scanned. */
export function readInputRequired(reply: Buffer): InputWanted | null {
  const { result } = JSON.parse(reply.toString('utf8')) as { readonly result?: unknown };
  if (!isObject(result) || result['resultType'] !== 'input_required') return null;
  const { inputRequests = {}, requestState: state = null } = result;
  if (!isObject(inputRequests) || (state !== null && typeof state !== 'string')) return null;
  const questions = new Map<string, InputQuestion>();
  for (const [key, asked] of Object.entries(inputRequests)) {
    if (!isObject(asked) || typeof asked['method'] !== 'string') return null;
    const { method, params } = asked;
    questions.set(key, { method, params: params === undefined ? null : JSON.stringify(params) });
  }
  return { questions, state };
}

/** The same request again, with what the server wanted (the answers as JSON text by their keys). */
export function withAnswers(message: Envelope, answers: ReadonlyMap<string, string>, state: string | null): Envelope | null {
  const { bytes, paramsStart, paramsEnd } = message;
  const given = Array.from(answers, ([key, answer]) => `${JSON.stringify(key)}:${answer}`);
  const members = [
    ...(given.length === 0 ? [] : [`"inputResponses":{${given.join(',')}}`]),
    ...(state === null ? [] : [`"requestState":${JSON.stringify(state)}`]),
  ];
  if (paramsStart < 0 || members.length === 0) return message;
  return reread(bytes, paramsStart, paramsEnd, withMembers(bytes.subarray(paramsStart, paramsEnd), members.join(',')));
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

/**
 * A client may write the members of an object in another order the next time. Lists stay lists and objects become objects, so that no two
 * values become the same. The depth was bounded when it was parsed.
 */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  const names = Object.keys(value).sort();
  return { members: names.map((name) => [name, sorted(value[name])]) };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
