import { KeyNames } from './key-names.ts';
import { JsonScanner, type ScanLimits } from './scan.ts';

/** One element of a list, and the raw JSON string that identifies it; offsets into the reply. */
export interface PageItem {
  readonly start: number;
  readonly end: number;
  readonly keyStart: number;
  readonly keyEnd: number;
  /** Decoded. */
  readonly key: string;
}

/** One page of a list. */
export interface ListPage {
  readonly items: readonly PageItem[];
  /** Decoded; null on the last page. */
  readonly nextCursor: string | null;
  /** Whole milliseconds for which it holds, as revision 2026-07-28 has it; 0 when nothing is said. */
  readonly ttlMs: number;
}

/** How the results of a request for a list look. */
export interface ListShape {
  /** Member of the result that holds the list. */
  readonly list: string;
  /** Member of an element that identifies it. */
  readonly key: string;
  readonly result: KeyNames;
  readonly item: KeyNames;
}

/** By method (2025-11-25, server/tools, resources, prompts). */
export const LIST_SHAPES: ReadonlyMap<string, ListShape> = new Map(
  [
    ['tools/list', 'tools', 'name'],
    ['resources/list', 'resources', 'uri'],
    ['resources/templates/list', 'resourceTemplates', 'uriTemplate'],
    ['prompts/list', 'prompts', 'name'],
  ].map(([method = '', list = '', key = '']) => [
    method,
    { list, key, result: new KeyNames([list, 'nextCursor', 'ttlMs']), item: new KeyNames([key]) },
  ]),
);

const TOP = new KeyNames(['jsonrpc', 'id', 'result', 'error']);
const RESULT = 2;
const LIST = 0;
const CURSOR = 1;
const TTL = 2;
const MAX_TTL_MS = 2 ** 31 - 1;
/** Elements of one page. A server with more has pages; 500,000 of them keep an event loop busy for seconds. */
export const MAX_ITEMS: number = 10_000;

const LIMITS: ScanLimits = { maxDepth: 512, maxKeys: Infinity, maxStringBytes: Infinity, areSkippedKeysCompared: false };

interface Draft {
  readonly shape: ListShape;
  readonly items: PageItem[];
  readonly bytes: Buffer;
  hasList: boolean;
  ttlMs: number;
  nextCursor: string | null;
  isSound: boolean;
}

const scanner = new JsonScanner();

/**
 * Reads a JSON-RPC result that is a page of a list. Null when it is none, or when another parser could read other elements or
 * names in it: repeated or look-alike keys, names that are no text. Nor does it read more than `MAX_ITEMS` elements.
 */
export function readListPage(reply: Buffer, shape: ListShape): ListPage | null {
  const draft: Draft = { shape, bytes: reply, items: [], hasList: false, ttlMs: 0, nextCursor: null, isSound: true };
  try {
    if (!scanner.begin(reply, LIMITS) || !scanner.isObject) return null;
    for (let more = scanner.enter(); more; more = scanner.next()) readMember(draft);
    if (!scanner.finish() || !draft.isSound || !draft.hasList) return null;
  } finally {
    scanner.end();
  }
  return { items: draft.items, nextCursor: draft.nextCursor, ttlMs: draft.ttlMs };
}

function readMember(draft: Draft): void {
  const key = TOP.match(scanner);
  if (key === -1 && TOP.isVariant(scanner)) draft.isSound = false;
  if (key !== RESULT) return void scanner.skip();
  if (!scanner.isObject) return unsound(draft);
  for (let more = scanner.enter(); more; more = scanner.next()) readResultMember(draft);
}

function readResultMember(draft: Draft): void {
  const key = draft.shape.result.match(scanner);
  if (key === -1 && draft.shape.result.isVariant(scanner)) draft.isSound = false;
  if (key === LIST) return readList(draft);
  const start = scanner.pos;
  if (key === TTL) return readTtl(draft);
  if (key !== CURSOR || scanner.isNull) return void scanner.skip();
  if (!scanner.isString) return unsound(draft);
  if (!scanner.skip()) return;
  draft.nextCursor = scanner.text(start, scanner.pos);
  if (draft.nextCursor === null) draft.isSound = false;
  // Servers that have no next page may say so by an empty cursor, which as a cursor would be the first page again.
  if (draft.nextCursor === '') draft.nextCursor = null;
}

/** What is no number of milliseconds is none (2026-07-28, Caching). */
function readTtl(draft: Draft): void {
  const start = scanner.pos;
  if (!scanner.skip()) return;
  const ttlMs = Number(draft.bytes.toString('latin1', start, scanner.pos));
  draft.ttlMs = Number.isInteger(ttlMs) ? Math.min(Math.max(ttlMs, 0), MAX_TTL_MS) : 0;
}

function readList(draft: Draft): void {
  draft.hasList = true;
  if (!scanner.isArray) return unsound(draft);
  for (let more = scanner.enter(); more; more = scanner.next()) readItem(draft);
}

function readItem(draft: Draft): void {
  const { item } = draft.shape;
  const start = scanner.pos;
  if (!scanner.isObject || draft.items.length >= MAX_ITEMS) return unsound(draft);
  let key: Pick<PageItem, 'key' | 'keyStart' | 'keyEnd'> | null = null;
  for (let more = scanner.enter(); more; more = scanner.next()) {
    const isKey = item.match(scanner) === 0;
    if (!isKey && item.isVariant(scanner)) draft.isSound = false;
    const keyStart = scanner.pos;
    const isString = scanner.isString;
    if (!scanner.skip() || !isKey || !isString) continue;
    const text = scanner.text(keyStart, scanner.pos);
    if (text !== null) key = { key: text, keyStart, keyEnd: scanner.pos };
  }
  if (key === null) draft.isSound = false;
  else draft.items.push({ start, end: scanner.pos, ...key });
}

function unsound(draft: Draft): void {
  draft.isSound = false;
  scanner.skip();
}
