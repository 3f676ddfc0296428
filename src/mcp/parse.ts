import type { Envelope, ModernClaim } from '../core/envelope.ts';
import {
  BAD_JSON,
  BAD_MESSAGE,
  BAD_PARAMS,
  BATCH_REFUSED,
  DUPLICATE_KEY,
  EMPTY_BODY,
  JSON_STRING_TOO_LONG,
  JSON_TOO_DEEP,
  JSON_TOO_MANY_KEYS,
} from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import { KeyNames } from './key-names.ts';
import { isIdToken, JsonScanner, type ScanFault, type ScanLimits } from './scan.ts';

/** Bounds of a client's message; depth counts open containers, keys are counted over the whole message. */
export interface JsonLimits {
  readonly maxDepth: number;
  readonly maxKeys: number;
  readonly maxStringBytes: number;
}

/** Why a message is refused, with its id as a raw JSON token for the answer (`null` when it could not be read). */
export interface ParseFailure {
  readonly refusal: Refusal;
  readonly idToken: string;
}

/** Whether `parseMessage` refused. */
export function isFailure(outcome: Envelope | ParseFailure): outcome is ParseFailure {
  return 'refusal' in outcome;
}

const OPENING_BRACE = 0x7b;
const COMMA = 0x2c;
/** Ids are echoed and kept while a request is in flight: bounded beyond any real one. */
const MAX_ID_BYTES = 1024;

const FAULTS: Readonly<Record<ScanFault, Refusal>> = {
  grammar: BAD_JSON,
  depth: JSON_TOO_DEEP,
  string: JSON_STRING_TOO_LONG,
  keys: JSON_TOO_MANY_KEYS,
  duplicate: DUPLICATE_KEY,
};

const TOP = new KeyNames(['jsonrpc', 'id', 'method', 'params', 'result', 'error']);
const PARAMS = new KeyNames([
  'name',
  'uri',
  '_meta',
  'requestId',
  'protocolVersion',
  // Not read here, but decided on by guards and upstreams: no variants of these either.
  'arguments',
  'cursor',
  'ref',
  'argument',
  'context',
  'capabilities',
  'clientInfo',
  'level',
  'task',
  'taskId',
  'progressToken',
  'inputResponses',
  'requestState',
  'notifications',
]);
/** Indexes among the names above. */
const TASK = 13;
const TASK_ID = 14;
const REQUEST_STATE = 17;
const META = new KeyNames([
  'progressToken',
  'io.modelcontextprotocol/protocolVersion',
  'io.modelcontextprotocol/clientCapabilities',
  'io.modelcontextprotocol/clientInfo',
  'io.modelcontextprotocol/logLevel',
]);

/** Methods whose params must name what they are about. */
const NEEDS_NAME: ReadonlySet<string> = new Set(['tools/call', 'prompts/get']);
const NEEDS_URI: ReadonlySet<string> = new Set(['resources/read']);

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** No claim yet; the keys may come in any order, and only `protocolVersion` makes one of it. */
const UNCLAIMED: ModernClaim = {
  version: null,
  capabilitiesStart: -1,
  capabilitiesEnd: -1,
  clientInfoStart: -1,
  clientInfoEnd: -1,
  logLevelStart: -1,
  logLevelEnd: -1,
};

/** A message while it is read: the envelope to be, what else was seen, and the first thing that is wrong with it. */
interface Draft {
  readonly message: Mutable<Envelope>;
  /** Null while no key of revision 2026-07-28 was seen. */
  claim: Mutable<ModernClaim> | null;
  hasVersion: boolean;
  idsSeen: number;
  hasMethod: boolean;
  hasResult: boolean;
  hasError: boolean;
  refusal: Refusal | null;
}

const scanner = new JsonScanner();

/**
 * Reads one JSON-RPC message of a client and checks all that can be checked without knowing who calls: see `Envelope`
 * for what holds afterwards. Batches are refused in every revision. Keys that the protocol does not know are let
 * through, except those that another parser could take for one it knows. The bytes belong to the envelope from here on.
 */
export function parseMessage(bytes: Buffer, limits: JsonLimits): Envelope | ParseFailure {
  if (bytes.length === 0) return { refusal: EMPTY_BODY, idToken: 'null' };
  const draft = newDraft(bytes);
  try {
    if (scanner.begin(bytes, scanLimits(limits))) readRoot(draft);
    if (!scanner.finish()) draft.refusal = FAULTS[scanner.fault ?? 'grammar'];
    else draft.refusal ??= judge(draft);
  } finally {
    scanner.end();
  }
  return draft.refusal === null ? draft.message : { refusal: draft.refusal, idToken: idTokenOf(draft) };
}

function scanLimits({ maxDepth, maxKeys, maxStringBytes }: JsonLimits): ScanLimits {
  return { maxDepth, maxKeys, maxStringBytes, areSkippedKeysCompared: true };
}

function newDraft(bytes: Buffer): Draft {
  return {
    message: {
      kind: 'request',
      bytes,
      method: '',
      idStart: -1,
      idEnd: -1,
      paramsStart: -1,
      paramsEnd: -1,
      name: null,
      uri: null,
      tokenStart: -1,
      tokenEnd: -1,
      requestIdStart: -1,
      requestIdEnd: -1,
      taskStart: -1,
      taskEnd: -1,
      protocolVersion: null,
      taskId: null,
      metaStart: -1,
      metaEnd: -1,
      stateStart: -1,
      stateEnd: -1,
      modern: null,
    },
    claim: null,
    hasVersion: false,
    idsSeen: 0,
    hasMethod: false,
    hasResult: false,
    hasError: false,
    refusal: null,
  };
}

function readRoot(draft: Draft): void {
  if (scanner.isObject) {
    for (let more = scanner.enter(); more; more = scanner.next()) readMember(draft);
    return;
  }
  draft.refusal = scanner.isArray ? BATCH_REFUSED : BAD_MESSAGE;
  scanner.skip();
}

function readMember(draft: Draft): void {
  switch (TOP.match(scanner)) {
    case 0:
      draft.hasVersion = readString(draft, BAD_MESSAGE) === '2.0';
      return;
    case 1:
      readId(draft);
      return;
    case 2:
      readMethod(draft);
      return;
    case 3:
      readParams(draft);
      return;
    case 4:
      draft.hasResult = true;
      scanner.skip();
      return;
    case 5:
      draft.hasError = true;
      if (!scanner.isObject) draft.refusal ??= BAD_MESSAGE;
      scanner.skip();
      return;
    default:
      if (TOP.isVariant(scanner)) draft.refusal ??= BAD_MESSAGE;
      scanner.skip();
  }
}

function readId(draft: Draft): void {
  const { message } = draft;
  draft.idsSeen++;
  const start = scanner.pos;
  if (!readsShortToken(message.bytes)) {
    draft.refusal ??= BAD_MESSAGE;
    return;
  }
  message.idStart = start;
  message.idEnd = scanner.pos;
}

function readMethod(draft: Draft): void {
  const method = readString(draft, BAD_MESSAGE);
  if (method === null) draft.refusal ??= BAD_MESSAGE;
  draft.message.method = method ?? '';
  draft.hasMethod = true;
}

function readParams(draft: Draft): void {
  const { message } = draft;
  message.paramsStart = scanner.pos;
  if (scanner.isObject) {
    let from = scanner.pos + 1;
    for (let more = scanner.enter(); more; more = scanner.next()) {
      readParam(draft, from);
      from = scanner.pos;
    }
  } else {
    draft.refusal ??= BAD_MESSAGE;
    scanner.skip();
  }
  message.paramsEnd = scanner.pos;
}

/** `from`: where the member begins, behind the opening brace or the value before it. */
function readParam(draft: Draft, from: number): void {
  const { message } = draft;
  switch (PARAMS.match(scanner)) {
    case 0:
      message.name = readString(draft, BAD_PARAMS);
      return;
    case 1:
      message.uri = readString(draft, BAD_PARAMS);
      return;
    case 2:
      readMeta(draft);
      return;
    case 3:
      readRequestId(message);
      return;
    case 4:
      message.protocolVersion = readString(draft, BAD_PARAMS);
      return;
    case TASK:
      readTask(message, from);
      return;
    case TASK_ID:
      message.taskId = readString(draft, BAD_PARAMS);
      return;
    case REQUEST_STATE:
      message.stateStart = scanner.pos;
      scanner.skip();
      message.stateEnd = scanner.pos;
      return;
    case -1:
      if (PARAMS.isVariant(scanner)) draft.refusal ??= BAD_PARAMS;
  }
  scanner.skip();
}

function readRequestId(message: Mutable<Envelope>): void {
  const start = scanner.pos;
  if (!readsShortToken(message.bytes)) return;
  message.requestIdStart = start;
  message.requestIdEnd = scanner.pos;
}

/** The first member goes with the comma behind it, any other with the one before. */
function readTask(message: Mutable<Envelope>, from: number): void {
  scanner.skip();
  message.taskStart = from;
  message.taskEnd = scanner.pos;
  const { bytes } = message;
  if (bytes[from - 1] !== OPENING_BRACE) return;
  let at = scanner.pos;
  while (isSpace(bytes[at])) at += 1;
  if (bytes[at] === COMMA) message.taskEnd = at + 1;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function readMeta(draft: Draft): void {
  if (!scanner.isObject) {
    if (!scanner.isNull) draft.refusal ??= BAD_PARAMS;
    scanner.skip();
    return;
  }
  draft.message.metaStart = scanner.pos;
  for (let more = scanner.enter(); more; more = scanner.next()) readMetaMember(draft);
  draft.message.metaEnd = scanner.pos;
}

function readMetaMember(draft: Draft): void {
  const key = META.match(scanner);
  if (key === 0) {
    readProgressToken(draft);
    return;
  }
  if (key > 0) return readClaim(draft, key);
  if (META.isVariant(scanner)) draft.refusal ??= BAD_PARAMS;
  scanner.skip();
}

/** `key`: index among the names of `_meta`. */
function readClaim(draft: Draft, key: number): void {
  const claim = (draft.claim ??= { ...UNCLAIMED });
  const start = scanner.pos;
  if (key === 1) {
    claim.version = readString(draft, BAD_PARAMS);
    draft.message.modern = claim;
    return;
  }
  scanner.skip();
  if (key === 2) [claim.capabilitiesStart, claim.capabilitiesEnd] = [start, scanner.pos];
  else if (key === 3) [claim.clientInfoStart, claim.clientInfoEnd] = [start, scanner.pos];
  else [claim.logLevelStart, claim.logLevelEnd] = [start, scanner.pos];
}

/** A token that cannot be replaced must not go upstream, where it could equal one of ours: refused. */
function readProgressToken(draft: Draft): void {
  const { message } = draft;
  const start = scanner.pos;
  const isAbsent = scanner.isNull;
  if (!readsShortToken(message.bytes)) {
    if (!isAbsent) draft.refusal ??= BAD_PARAMS;
    return;
  }
  message.tokenStart = start;
  message.tokenEnd = scanner.pos;
}

/** Reads over the next value; true when it is a string or an integer of a length worth keeping. */
function readsShortToken(bytes: Buffer): boolean {
  const start = scanner.pos;
  return scanner.skip() && scanner.pos - start <= MAX_ID_BYTES && isIdToken(bytes, start, scanner.pos);
}

/** The next value when it is a string, else null; a string that is no Unicode text (lone surrogate) is refused. */
function readString(draft: Draft, refusal: Refusal): string | null {
  const start = scanner.pos;
  const isString = scanner.isString;
  if (!scanner.skip() || !isString) return null;
  const text = scanner.text(start, scanner.pos);
  if (text === null) draft.refusal ??= refusal;
  return text;
}

function judge(draft: Draft): Refusal | null {
  if (!draft.hasVersion) return BAD_MESSAGE;
  if (draft.hasMethod) return judgeCall(draft);
  draft.message.kind = 'response';
  return draft.idsSeen === 1 && draft.hasResult !== draft.hasError ? null : BAD_MESSAGE;
}

function judgeCall(draft: Draft): Refusal | null {
  const { message } = draft;
  if (draft.hasResult || draft.hasError) return BAD_MESSAGE;
  if (draft.idsSeen === 0) {
    message.kind = 'notification';
    // A call without id would be executed and never answered: not a notification of the protocol.
    return message.method.startsWith('notifications/') ? null : BAD_MESSAGE;
  }
  if (NEEDS_NAME.has(message.method) && message.name === null) return BAD_PARAMS;
  if (NEEDS_URI.has(message.method) && message.uri === null) return BAD_PARAMS;
  return null;
}

/**
 * A repeated id is no id: the answer must not depend on which one counts. Nor has a text that is no JSON one (JSON-RPC
 * 2.0, section 5.1): its first half may look like another request's.
 */
function idTokenOf({ message, idsSeen, refusal }: Draft): string {
  const isKnown = refusal !== BAD_JSON && idsSeen === 1 && message.idStart !== -1;
  return isKnown ? message.bytes.toString('utf8', message.idStart, message.idEnd) : 'null';
}
