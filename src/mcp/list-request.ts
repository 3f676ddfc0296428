import type { Envelope } from '../core/envelope.ts';
import type { ListKind } from '../core/upstream.ts';
import { KeyNames } from './key-names.ts';
import { isFailure, type JsonLimits, parseMessage } from './parse.ts';
import { JsonScanner, type ScanLimits } from './scan.ts';

/** The requests for a list (2025-11-25, Pagination) and the kind of change that makes their answers old. */
const LISTS: ReadonlyMap<string, ListKind> = new Map([
  ['tools/list', 'tools'],
  ['resources/list', 'resources'],
  ['resources/templates/list', 'resources'],
  ['prompts/list', 'prompts'],
]);

const CHANGES: ReadonlyMap<string, ListKind> = new Map(
  [...LISTS.values()].map((kind) => [`notifications/${kind}/list_changed`, kind] as const),
);

const PARAMS = new KeyNames(['cursor', '_meta']);
const CURSOR = 0;

/** The message was parsed before: its bounds hold already. */
const LIMITS: ScanLimits = { maxDepth: 512, maxKeys: Infinity, maxStringBytes: Infinity, areSkippedKeysCompared: false };

const REQUEST_LIMITS: JsonLimits = { maxDepth: 8, maxKeys: 64, maxStringBytes: Infinity };

const scanner = new JsonScanner();

/** What a request asks a list of; null when it asks for none. */
export function listKindOf(method: string): ListKind | null {
  return LISTS.get(method) ?? null;
}

/** The list that a notification declares changed; null for any other notification. */
export function changedList(method: string): ListKind | null {
  return CHANGES.get(method) ?? null;
}

/**
 * The raw JSON token of `params.cursor` of a request for a list, empty for the first page. Null when the answer may rest on
 * something else: a cursor that is no string, parameters that the protocol does not know. `_meta` is not one of them.
 */
export function readCursor({ bytes, paramsStart, paramsEnd }: Envelope): string | null {
  if (paramsStart < 0) return '';
  let cursor: string | null = '';
  try {
    if (!scanner.begin(bytes.subarray(paramsStart, paramsEnd), LIMITS) || !scanner.isObject) return null;
    for (let more = scanner.enter(); more; more = scanner.next()) cursor = readParam(bytes, paramsStart, cursor);
    return scanner.finish() ? cursor : null;
  } finally {
    scanner.end();
  }
}

/** A request for a page: `method` is one of the lists, `cursor` a raw JSON string or empty. Its id means nothing. */
export function listRequest(method: string, cursor: string): Envelope {
  const params = cursor === '' ? '' : `,"params":{"cursor":${cursor}}`;
  const parsed = parseMessage(Buffer.from(`{"jsonrpc":"2.0","id":0,"method":"${method}"${params}}`), REQUEST_LIMITS);
  if (isFailure(parsed)) throw new Error(`no request for a list: ${method}`);
  return parsed;
}

/** Reads over one member; `before` is what the members so far came to. */
function readParam(bytes: Buffer, paramsStart: number, before: string | null): string | null {
  const key = PARAMS.match(scanner);
  const { pos: start, isString } = scanner;
  scanner.skip();
  if (key === -1 || (key === CURSOR && !isString)) return null;
  if (key !== CURSOR || before === null) return before;
  return bytes.toString('utf8', paramsStart + start, paramsStart + scanner.pos);
}
