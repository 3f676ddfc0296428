import type { RequestContext } from '../core/context.ts';
import type { Envelope } from '../core/envelope.ts';
import { UPSTREAM_DOWN } from '../core/errors.ts';
import type { Upstream } from '../core/upstream.ts';
import { initializeResult } from '../mcp/initialize.ts';
import { rpcResult } from '../mcp/messages.ts';
import { preflightHeaders } from './cors.ts';
import type { Parts } from './parts.ts';
import { answer, headersOf, JSON_TYPE, refuse } from './reply.ts';
import { settle } from './settle.ts';

/** What the gateway answers itself, without asking an upstream. */

/** `initialize`: the upstream's own words, reduced to what the gateway relays; no session id, every POST is served. */
export function answerInitialize(
  parts: Parts,
  context: RequestContext,
  upstream: Pick<Upstream, 'info' | 'detail'>,
  message: Envelope,
): void {
  if (upstream.info === null) {
    context.detail = upstream.detail ?? 'not initialised yet';
    return refuse(parts, context, UPSTREAM_DOWN);
  }
  answer(parts, context, 200, JSON_TYPE, initializeResult(upstream.info, message.protocolVersion, context.idToken));
}

/** `ping` is answered at once, in whatever state the upstream is (2025-11-25, basic/utilities/ping). */
export function answerPing(parts: Parts, context: RequestContext): void {
  answer(parts, context, 200, JSON_TYPE, rpcResult(context.idToken, '{}'));
}

/** A CORS preflight: no credential is asked for, and none is needed to learn what may be sent. */
export function answerPreflight(parts: Parts, context: RequestContext): void {
  context.methodLabel = 'preflight';
  context.status = 204;
  const headers = headersOf(parts, context, '');
  headers.push(...preflightHeaders(parts.settings.cors));
  context.exchange.send(204, headers, '', context);
  settle(parts, context);
}
