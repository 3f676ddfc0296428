import type { RequestContext } from '../core/context.ts';
import * as errors from '../core/errors.ts';
import type { Principal } from '../core/principal.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { Parts } from './parts.ts';

/** Who calls an MCP server? Reported either way; the one decision of the request. */
export function identify(parts: Parts, context: RequestContext): Principal | Refusal {
  let who = parts.auth.tryNow(context.exchange.head, parts.clock.wallMs());
  // Tokens of `server.admin.tokens` open the admin endpoints, never an MCP server.
  if (!isRefusal(who) && who.provider === 'admin_token') who = errors.AUTH_INVALID;
  return noteCaller(parts, context, who);
}

/** Who asks for an admin endpoint? */
export function identifyAdmin(parts: Parts, context: RequestContext): Principal | Refusal {
  const who = noteCaller(parts, context, parts.auth.tryNow(context.exchange.head, parts.clock.wallMs()));
  if (isRefusal(who)) return who;
  return who.isAdmin ? who : errors.ADMIN_REQUIRED;
}

function noteCaller(parts: Parts, context: RequestContext, who: Principal | Refusal): Principal | Refusal {
  if (isRefusal(who)) {
    context.refusal = who;
    // Who is not known learns nothing of the figures of its address.
    context.limit = -1;
  } else {
    context.principal = who;
  }
  parts.events.authenticated(context);
  return who;
}
