import type { AuditEventType } from '../core/audit.ts';
import type { RequestContext } from '../core/context.ts';
import {
  ADMIN_REQUIRED,
  LIMIT_UNAVAILABLE,
  NOT_READY,
  POLICY_DENIED,
  RATE_LIMITED,
  SERVER_DENIED,
  TOO_MANY_IN_FLIGHT,
  TOOL_DENIED,
  UPSTREAM_BUSY,
} from '../core/errors.ts';
import type { RequestHead } from '../core/head.ts';
import type { LimitName } from '../core/limit.ts';
import type { Refusal } from '../core/refusal.ts';
import type { UpstreamResult } from './upstream-counts.ts';

/** Status recorded for a client that left before it was answered. */
export const CLIENT_GONE: number = 499;

const UNRECORDED: ReadonlySet<string> = new Set(['health', 'live', 'ready']);
const ADMIN: ReadonlySet<string> = new Set(['metrics', 'routes', 'limits']);
const DENIALS: ReadonlySet<Refusal> = new Set([SERVER_DENIED, TOOL_DENIED, POLICY_DENIED, ADMIN_REQUIRED]);

/** Policy refused it. */
export function isDenied(refusal: Refusal): boolean {
  return DENIALS.has(refusal);
}

/** An upstream is the cause: every 502 and 504, and the 503s that are not the gateway's own state. */
export function isUpstreamFailure({ code, status }: Refusal): boolean {
  return status === 502 || status === 504 || code.startsWith('UPSTREAM_');
}

/** The one audit record that closes a request; null for health checks, whatever the state they found. */
export function closingEvent(context: RequestContext): AuditEventType | null {
  const { refusal } = context;
  if (refusal === NOT_READY) return null;
  if (refusal !== null) return refusedEvent(refusal);
  if (context.method === 'tools/call' && context.sentMs > 0) return 'tool_response';
  if (UNRECORDED.has(context.methodLabel)) return null;
  return ADMIN.has(context.methodLabel) ? 'admin_action' : 'request';
}

function refusedEvent(refusal: Refusal): AuditEventType {
  if (refusal.status === 401) return 'auth_failure';
  if (refusal.status === 429 || refusal === LIMIT_UNAVAILABLE) return 'rate_limited';
  if (refusal === POLICY_DENIED) return 'policy_denied';
  if (isDenied(refusal)) return 'authz_denied';
  return isUpstreamFailure(refusal) ? 'upstream_error' : 'request_refused';
}

/** Whether the budgets that were asked admitted it; null when none was, or nobody is known whose budget it could be. */
export function budgetResult({ refusal, limitedBy, principal }: RequestContext): boolean | null {
  if (refusal === RATE_LIMITED || refusal === LIMIT_UNAVAILABLE) return false;
  return limitedBy === '' || principal === null ? null : true;
}

/** The limit that refused it; empty when none did. */
export function refusingLimit({ refusal, limitedBy }: RequestContext): LimitName | '' {
  if (refusal === RATE_LIMITED || refusal === LIMIT_UNAVAILABLE) return limitedBy;
  if (refusal === TOO_MANY_IN_FLIGHT) return 'in_flight';
  return refusal === UPSTREAM_BUSY ? 'upstream' : '';
}

/** How the upstream's part ended; null when none was to be asked. */
export function upstreamResult(context: RequestContext): UpstreamResult | null {
  const { refusal, sentMs, status } = context;
  const isFailure = refusal !== null && isUpstreamFailure(refusal);
  if (sentMs === 0) return isFailure ? 'refused' : null;
  if (isFailure) return refusal.status === 504 ? 'timeout' : 'failure';
  if (status === CLIENT_GONE) return 'client_gone';
  return context.upstreamErrorCode === 0 ? 'success' : 'error';
}

/** Which provider a refused credential was meant for, told by its shape as authentication tells it. */
export function attemptedProvider({ authorization, xApiKey }: RequestHead): string {
  const token = authorization.slice(authorization.indexOf(' ') + 1).trim();
  if (token.startsWith('mcp_') || (authorization === '' && xApiKey !== '')) return 'api_key';
  if (authorization === '') return 'none';
  return token.startsWith('eyJ') ? 'jwt' : 'unknown';
}
