import type { AuditEventType, AuditRecord } from '../core/audit.ts';
import { CLOCK_ORIGIN_MS } from '../core/clock.ts';
import type { RequestContext } from '../core/context.ts';
import { CLIENT_GONE, isUpstreamFailure, refusingLimit } from './outcome.ts';

type Draft = { -readonly [Field in keyof AuditRecord]: AuditRecord[Field] };

/**
 * What is known of a request at any time. The fields of one record always come in the same order from the writer. All of them are
 * there from the beginning: an object that grows costs more than one with empty places.
 */
export function requestRecord(event: AuditEventType, context: RequestContext, policyVersion: string, decision?: 'allow' | 'deny'): Draft {
  const { principal } = context;
  return {
    event_type: event,
    request_id: context.requestId,
    isIdMinted: context.exchange.head.requestId === '',
    identity: principal === null ? undefined : principal.id,
    notes: principal === null ? undefined : principal.notes,
    provider: principal === null ? undefined : principal.provider,
    client_ip: context.exchange.head.clientIp,
    session: known(context.session),
    server: known(context.server),
    method: context.method === '' ? context.methodLabel : context.method,
    tool: known(context.tool),
    resource: known(context.resource),
    decision,
    reason: undefined,
    limit: undefined,
    decided_ms: undefined,
    detail: known(context.detail),
    status: undefined,
    duration_ms: undefined,
    error_id: undefined,
    policy_version: policyVersion,
  };
}

function known(text: string): string | undefined {
  return text === '' ? undefined : text;
}

/** The record that closes a request. An upstream that fails was still allowed to be asked. */
export function closingRecord(event: AuditEventType, context: RequestContext, policyVersion: string, durationMs: number): AuditRecord {
  const record = requestRecord(event, context, policyVersion);
  const { refusal, status } = context;
  record.status = status;
  record.duration_ms = durationMs;
  record.decision = refusal === null || isUpstreamFailure(refusal) ? 'allow' : 'deny';
  if (refusal !== null) record.reason = refusal.reason;
  else if (status === CLIENT_GONE) record.reason = 'client_gone';
  else if (context.upstreamErrorCode !== 0) record.reason = `upstream_answered_error_${context.upstreamErrorCode}`;
  const limit = refusingLimit(context);
  if (limit !== '') record.limit = limit;
  if (context.decidedMs > 0) record.decided_ms = CLOCK_ORIGIN_MS + context.decidedMs;
  if (context.errorId !== '') record.error_id = context.errorId;
  return record;
}
