/**
 * The request headers the gateway knows. A slot is the place where the guard keeps the value; `IGNORED` ones are
 * common, repeatable and never read. A header that is read and missing here would escape the duplicate check, so the
 * guard reads values by slot only. Slots 6, 10 and 12 (`cookie`, `upgrade`, `te`) are checked for duplicates, never read.
 */
export const HOST = 0;
export const CONTENT_LENGTH = 1;
export const TRANSFER_ENCODING = 2;
export const CONTENT_TYPE = 3;
export const CONTENT_ENCODING = 4;
export const AUTHORIZATION = 5;
export const COOKIE = 6;
export const ORIGIN = 7;
export const ACCEPT = 8;
export const CONNECTION = 9;
export const EXPECT = 11;
export const X_API_KEY = 13;
export const LAST_EVENT_ID = 14;
export const MCP_SESSION_ID = 15;
export const MCP_PROTOCOL_VERSION = 16;
export const MCP_METHOD = 17;
export const MCP_NAME = 18;
export const X_REQUEST_ID = 19;
export const ACCESS_CONTROL_REQUEST_METHOD = 20;
export const ACCESS_CONTROL_REQUEST_HEADERS = 21;
/** Slots below are singletons: a second line is refused. */
export const SINGLETONS = 22;
export const X_FORWARDED_FOR = 22;
export const FORWARDED = 23;
/** Slots below are kept. */
export const SLOTS = 24;
/** Any other `mcp-*` header: refused when repeated; of these only `mcp-param-*` are kept. */
export const MCP_OTHER = 24;
export const IGNORED = 25;

const KEPT: readonly string[] = [
  'host',
  'content-length',
  'transfer-encoding',
  'content-type',
  'content-encoding',
  'authorization',
  'cookie',
  'origin',
  'accept',
  'connection',
  'upgrade',
  'expect',
  'te',
  'x-api-key',
  'last-event-id',
  'mcp-session-id',
  'mcp-protocol-version',
  'mcp-method',
  'mcp-name',
  'x-request-id',
  'access-control-request-method',
  'access-control-request-headers',
  'x-forwarded-for',
  'forwarded',
];

const COMMON: readonly string[] = [
  'user-agent',
  'accept-encoding',
  'accept-language',
  'cache-control',
  'pragma',
  'keep-alive',
  'sec-fetch-dest',
  'sec-fetch-mode',
  'sec-fetch-site',
  'sec-fetch-user',
  'sec-ch-ua',
  'sec-ch-ua-mobile',
  'sec-ch-ua-platform',
  'referer',
  'traceparent',
  'tracestate',
  'via',
  'x-real-ip',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-forwarded-port',
  'dnt',
  'priority',
];

const TABLE: ReadonlyMap<string, number> = new Map([
  ...KEPT.map((name, slot): [string, number] => [name, slot]),
  ...COMMON.map((name): [string, number] => [name, IGNORED]),
]);

/** RFC 9110 section 5.6.2, lower case. */
const TOKEN = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;

/**
 * The slot of a lower-case header name, `IGNORED`, `MCP_OTHER`, or −1 for a name that is malformed or that another
 * implementation reads as one of ours because it maps `_` to `-`.
 */
export function headerSlot(name: string): number {
  const slot = TABLE.get(name);
  if (slot !== undefined) return slot;
  if (!TOKEN.test(name)) return -1;
  if (name.includes('_')) {
    const alias = name.replaceAll('_', '-');
    return isPolicyName(alias) ? -1 : IGNORED;
  }
  return name.startsWith('mcp-') ? MCP_OTHER : IGNORED;
}

function isPolicyName(name: string): boolean {
  const slot = TABLE.get(name);
  return name.startsWith('mcp-') || name.startsWith('x-forwarded-') || (slot !== undefined && slot !== IGNORED);
}
