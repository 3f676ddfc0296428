import { randomUUID } from 'node:crypto';
import type { RequestContext } from '../core/context.ts';
import { METHOD_NOT_ALLOWED } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import { rpcError } from '../mcp/messages.ts';
import { addCorsHeaders } from './cors.ts';
import type { Parts } from './parts.ts';
import { settle } from './settle.ts';

export const JSON_TYPE: string = 'application/json';
export const SSE_TYPE: string = 'text/event-stream';

/** Paths whose errors are JSON-RPC errors. */
export function isMcpPath(path: string): boolean {
  return path === '/mcp' || path.startsWith('/mcp/');
}

/** Headers of any answer but those of its limit: what belongs to the request comes from the context, the security headers from the engine. */
export function headersOf(parts: Parts, context: RequestContext, contentType: string): string[] {
  const headers = ['x-request-id', context.requestId];
  if (contentType !== '') headers.push('content-type', contentType, 'cache-control', 'no-store');
  if (context.retryAfterSecs > 0) headers.push('retry-after', String(context.retryAfterSecs));
  if (parts.settings.cors.isEnabled) addCorsHeaders(parts.settings.cors, context.exchange.head, headers);
  return headers;
}

/** A complete answer; the request is over. */
export function answer(parts: Parts, context: RequestContext, status: number, contentType: string, body: string | Uint8Array): void {
  context.status = status;
  context.exchange.send(status, headersOf(parts, context, contentType), body, context);
  settle(parts, context);
}

/** Ends a request with a refusal: the only place that writes one. The client learns its class and the `error_id`. */
export function refuse(parts: Parts, context: RequestContext, refusal: Refusal): void {
  if (context.isSettled) return;
  markRefused(context, refusal);
  context.status = refusal.status;
  const headers = headersOf(parts, context, JSON_TYPE);
  addRefusalHeaders(parts, context, refusal, headers);
  context.exchange.send(refusal.status, headers, refusalBody(context, refusal), context);
  settle(parts, context);
}

/** Notes why a request fails, and mints the id that stands in the answer, the log and the audit. */
export function markRefused(context: RequestContext, refusal: Refusal): void {
  context.refusal = refusal;
  context.errorId = randomUUID();
  if (refusal.status === 503 && context.retryAfterSecs === 0) context.retryAfterSecs = 1;
}

/** The refusal as JSON: a JSON-RPC error at MCP paths, `{"error", "error_id"}` elsewhere. */
export function refusalBody(context: RequestContext, refusal: Refusal): string {
  const retry = context.retryAfterSecs > 0 ? `,"retry_after":${context.retryAfterSecs}` : '';
  if (!isMcpPath(context.exchange.head.path)) {
    return `{"error":${JSON.stringify(refusal.message)},"error_id":"${context.errorId}"${retry}}`;
  }
  // An agent decides by the reason whether to try again here, later, or elsewhere.
  const reason = refusal.status === 503 ? `,"reason":"${refusal.reason}"` : '';
  return rpcError(
    context.idToken,
    refusal.rpcCode,
    refusal.message,
    `{"error_id":"${context.errorId}"${retry}${reason}${context.errorData}}`,
  );
}

function addRefusalHeaders(parts: Parts, context: RequestContext, refusal: Refusal, headers: string[]): void {
  const { head } = context.exchange;
  if (refusal.status === 401) headers.push('www-authenticate', parts.authSurface.challenge(head, refusal));
  if (refusal === METHOD_NOT_ALLOWED) headers.push('allow', allowedMethods(head.path, parts.settings.cors.isEnabled));
}

/** Value of `Allow` for a known path; `OPTIONS` is served as a CORS preflight only. */
export function allowedMethods(path: string, isCorsEnabled: boolean): string {
  return (isMcpPath(path) ? 'POST' : 'GET, HEAD') + (isCorsEnabled ? ', OPTIONS' : '');
}
