import type { RequestContext } from '../core/context.ts';
import type { CorsSettings } from '../core/config.ts';
import type { RequestHead } from '../core/head.ts';

/** What a browser-based MCP client must be able to read of an answer. */
const EXPOSED =
  'mcp-session-id, mcp-protocol-version, www-authenticate, retry-after, x-request-id, x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset, ratelimit, ratelimit-policy';
/** What it must be able to send (Fetch standard: everything outside the safelist is asked for in a preflight). */
const REQUEST_HEADERS =
  'authorization, content-type, accept, mcp-session-id, mcp-protocol-version, mcp-method, mcp-name, last-event-id, x-api-key, x-request-id';

function isListed(cors: CorsSettings, origin: string): boolean {
  return origin !== '' && cors.allowedOrigins.includes(origin);
}

/** CORS headers of an actual request: the origin is echoed when listed, nothing otherwise. */
export function addCorsHeaders(cors: CorsSettings, head: RequestHead, headers: string[]): void {
  headers.push('vary', 'origin');
  if (!isListed(cors, head.origin)) return;
  headers.push('access-control-allow-origin', head.origin, 'access-control-expose-headers', EXPOSED);
}

/** True for a CORS preflight that is to be answered 204; its answer takes no credential (Fetch standard, CORS protocol). */
export function isPreflight(cors: CorsSettings, context: RequestContext): boolean {
  const { head } = context.exchange;
  return cors.isEnabled && head.method === 'OPTIONS' && head.accessControlRequestMethod !== '' && isListed(cors, head.origin);
}

/** Headers of a preflight's answer, beside those of every answer. */
export function preflightHeaders(cors: CorsSettings): string[] {
  const extra = cors.allowedHeaders.length === 0 ? '' : `, ${cors.allowedHeaders.join(', ')}`;
  return [
    'access-control-allow-methods',
    cors.allowedMethods.join(', '),
    'access-control-allow-headers',
    REQUEST_HEADERS + extra,
    'access-control-max-age',
    String(cors.maxAgeSecs),
  ];
}
