import type { Envelope } from '../core/envelope.ts';
import type { ListKind } from '../core/upstream.ts';
import { VERSION } from '../core/version.ts';
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

/** Prefix of the members of `_meta` that revision 2026-07-28 defines. */
const CLAIM = 'io.modelcontextprotocol/';

const PARAMS = new KeyNames(['cursor', '_meta']);
const CURSOR = 0;

/** The message was parsed before: its bounds hold already. */
const LIMITS: ScanLimits = { maxDepth: 512, maxKeys: Infinity, maxStringBytes: Infinity, areSkippedKeysCompared: false };

/** Of what was parsed before. */
const REQUEST_LIMITS: JsonLimits = { maxDepth: Infinity, maxKeys: Infinity, maxStringBytes: Infinity };

const scanner = new JsonScanner();

/** What a request asks a list of; null when it asks for none. */
export function listKindOf(method: string): ListKind | null {
  return LISTS.get(method) ?? null;
}

/** The list that a notification declares changed; null for any other notification. */
export function changedList(method: string): ListKind | null {
  return CHANGES.get(method) ?? null;
}

/** What a request for a list says beside its method. */
export interface ListParams {
  /** The raw JSON string of the cursor, empty for the first page, null when it is no string. */
  readonly cursor: string | null;
  /** Nothing else is said that the answer could rest on: parameters that the protocol does not know. `_meta` is not one of them. */
  readonly isPlain: boolean;
}

/** Reads the parameters of a request for a list. A cursor of `null` is none. */
export function readListParams({ bytes, paramsStart, paramsEnd }: Envelope): ListParams {
  const params: { cursor: string | null; isPlain: boolean } = { cursor: '', isPlain: true };
  if (paramsStart < 0) return params;
  try {
    if (!scanner.begin(bytes.subarray(paramsStart, paramsEnd), LIMITS) || !scanner.isObject) return { cursor: null, isPlain: false };
    for (let more = scanner.enter(); more; more = scanner.next()) {
      const key = PARAMS.match(scanner);
      const { pos: start, isString, isNull } = scanner;
      scanner.skip();
      if (key === -1) params.isPlain = false;
      if (key !== CURSOR || isNull) continue;
      params.cursor = isString ? bytes.toString('utf8', paramsStart + start, paramsStart + scanner.pos) : null;
    }
    return scanner.finish() ? params : { cursor: null, isPlain: false };
  } finally {
    scanner.end();
  }
}

/**
 * `_meta` for a request that stands for all whose clients have the same capabilities (2026-07-28): a server may list what it can
 * do for them only. Empty for a message of the older revisions.
 */
export function sharedMeta({ bytes, modern }: Envelope): string {
  if (modern === null) return '';
  const capabilities = bytes.toString('utf8', modern.capabilitiesStart, modern.capabilitiesEnd);
  const own = { [`${CLAIM}protocolVersion`]: modern.version, [`${CLAIM}clientInfo`]: { name: 'mcp-guard', version: VERSION } };
  return `${JSON.stringify(own).slice(0, -1)},"${CLAIM}clientCapabilities":${capabilities}}`;
}

/**
 * A request for a page: `method` is one of the lists, `cursor` a raw JSON string or empty, `meta` a whole `_meta` object or empty. The id
 * is whole and ≥ 0; it matters only to `listCancellation`.
 */
export function listRequest(method: string, cursor: string, meta: string = '', id: number = 0): Envelope {
  const members = [...(meta === '' ? [] : [`"_meta":${meta}`]), ...(cursor === '' ? [] : [`"cursor":${cursor}`])];
  const params = members.length === 0 ? '' : `,"params":{${members.join(',')}}`;
  return own(`{"jsonrpc":"2.0","id":${id},"method":"${method}"${params}}`);
}

/** Takes a `listRequest` back. */
export function listCancellation(id: number): Envelope {
  return cancellationOf(String(id));
}

/** Takes a request back whose id is this raw JSON (MCP 2025-11-25, basic/utilities/cancellation). */
export function cancellationOf(idToken: string): Envelope {
  return own(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${idToken}}}`);
}

function own(text: string): Envelope {
  const parsed = parseMessage(Buffer.from(text), REQUEST_LIMITS);
  if (isFailure(parsed)) throw new Error(`no message of ours: ${text.slice(0, 100)}`);
  return parsed;
}
