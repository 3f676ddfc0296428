import { KeyNames } from './key-names.ts';
import { isIdToken, JsonScanner, type ScanLimits } from './scan.ts';

/**
 * One JSON-RPC message as an upstream sent it. Offsets are into its bytes, end exclusive, −1 when absent. A response
 * with `idStart` −1 carries `id: null` (the upstream could not read a request).
 */
export interface UpstreamMessage {
  kind: 'response' | 'notification' | 'request';
  /** The raw JSON token of `id`: a string with its quotes, or an integer. */
  idStart: number;
  idEnd: number;
  /** Empty for a response. */
  method: string;
  isError: boolean;
  /** `error.code` of an error, 0 when there is none or it is no safe integer. */
  errorCode: number;
  resultStart: number;
  resultEnd: number;
  /** The raw JSON token of `params.progressToken` (of `notifications/progress`), when a string or integer. */
  tokenStart: number;
  tokenEnd: number;
}

const TOP = new KeyNames(['jsonrpc', 'id', 'method', 'params', 'result', 'error']);
const PARAMS = new KeyNames(['progressToken']);
const ERROR = new KeyNames(['code', 'message', 'data']);

/** What was seen beside the message itself. */
interface Draft {
  readonly message: UpstreamMessage;
  readonly bytes: Buffer;
  hasVersion: boolean;
  hasId: boolean;
  isIdNull: boolean;
  hasMethod: boolean;
  hasResult: boolean;
  isSound: boolean;
}

const scanner = new JsonScanner();

/**
 * Reads what an upstream sent, checking the whole text (grammar, UTF-8, depth) and repeated or look-alike keys of the
 * message, its `params` and its `error`; what is inside `result` is not looked at. Null when it is not exactly one
 * JSON-RPC message. No limit on keys: the caller bounds the bytes.
 */
export function scanUpstreamMessage(bytes: Buffer, limits: { maxDepth: number }): UpstreamMessage | null {
  const draft = newDraft(bytes);
  try {
    if (!scanner.begin(bytes, scanLimits(limits.maxDepth)) || !scanner.isObject) return null;
    for (let more = scanner.enter(); more; more = scanner.next()) readMember(draft);
    return scanner.finish() && draft.isSound && isMessage(draft) ? draft.message : null;
  } finally {
    scanner.end();
  }
}

function scanLimits(maxDepth: number): ScanLimits {
  return { maxDepth, maxKeys: Infinity, maxStringBytes: Infinity, areSkippedKeysCompared: false };
}

function newDraft(bytes: Buffer): Draft {
  return {
    message: {
      kind: 'response',
      idStart: -1,
      idEnd: -1,
      method: '',
      isError: false,
      errorCode: 0,
      resultStart: -1,
      resultEnd: -1,
      tokenStart: -1,
      tokenEnd: -1,
    },
    bytes,
    hasVersion: false,
    hasId: false,
    isIdNull: false,
    hasMethod: false,
    hasResult: false,
    isSound: true,
  };
}

function readMember(draft: Draft): void {
  switch (TOP.match(scanner)) {
    case 0:
      draft.hasVersion = readString() === '2.0';
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
      readResult(draft);
      return;
    case 5:
      readError(draft);
      return;
    default:
      if (TOP.isVariant(scanner)) draft.isSound = false;
      scanner.skip();
  }
}

function readId(draft: Draft): void {
  const { message } = draft;
  const start = scanner.pos;
  draft.hasId = true;
  draft.isIdNull = scanner.isNull;
  if (!scanner.skip() || draft.isIdNull) return;
  message.idStart = start;
  message.idEnd = scanner.pos;
  if (!isIdToken(draft.bytes, start, scanner.pos)) draft.isSound = false;
}

function readMethod(draft: Draft): void {
  const method = readString();
  draft.hasMethod = true;
  draft.message.method = method ?? '';
  if (method === null) draft.isSound = false;
}

function readParams(draft: Draft): void {
  if (!scanner.isObject) {
    draft.isSound = false;
    scanner.skip();
    return;
  }
  for (let more = scanner.enter(); more; more = scanner.next()) {
    const start = scanner.pos;
    const isToken = PARAMS.match(scanner) === 0;
    if (!isToken && PARAMS.isVariant(scanner)) draft.isSound = false;
    if (!scanner.skip() || !isToken || !isIdToken(draft.bytes, start, scanner.pos)) continue;
    draft.message.tokenStart = start;
    draft.message.tokenEnd = scanner.pos;
  }
}

function readResult(draft: Draft): void {
  draft.hasResult = true;
  draft.message.resultStart = scanner.pos;
  scanner.skip();
  draft.message.resultEnd = scanner.pos;
}

function readError(draft: Draft): void {
  draft.message.isError = true;
  if (!scanner.isObject) {
    draft.isSound = false;
    scanner.skip();
    return;
  }
  for (let more = scanner.enter(); more; more = scanner.next()) {
    const start = scanner.pos;
    const key = ERROR.match(scanner);
    if (key === -1 && ERROR.isVariant(scanner)) draft.isSound = false;
    if (scanner.skip() && key === 0) draft.message.errorCode = integerOf(draft.bytes, start);
  }
}

function integerOf(bytes: Buffer, start: number): number {
  if (bytes[start] === 0x22 || !isIdToken(bytes, start, scanner.pos)) return 0;
  const value = Number(bytes.toString('latin1', start, scanner.pos));
  return Number.isSafeInteger(value) ? value : 0;
}

function readString(): string | null {
  const start = scanner.pos;
  const isString = scanner.isString;
  return scanner.skip() && isString ? scanner.text(start, scanner.pos) : null;
}

function isMessage(draft: Draft): boolean {
  const { message } = draft;
  if (!draft.hasVersion) return false;
  if (!draft.hasMethod) {
    if (!draft.hasId || draft.hasResult === message.isError) return false;
    return !draft.isIdNull || message.isError;
  }
  message.kind = draft.hasId ? 'request' : 'notification';
  return !draft.isIdNull && !draft.hasResult && !message.isError;
}
