import type { AuditSink } from '../core/audit.ts';
import type { Clock } from '../core/clock.ts';
import type { RequestContext } from '../core/context.ts';
import type { SessionEnd } from '../core/events.ts';
import type { Log, LogFields } from '../core/log.ts';
import type { Cell } from './families.ts';
import { BurstGate } from './burst-gate.ts';
import type { Metrics } from './metrics.ts';
import { attemptedProvider, budgetResult, closingEvent, isDenied, refusingLimit, upstreamResult } from './outcome.ts';
import { RecentLogins } from './recent-logins.ts';
import { closingRecord, requestRecord } from './request-record.ts';

/** A principal's success from one address is recorded once in this time; each of its requests has a record of its own anyway. */
const LOGIN_TTL_MS = 300_000;
const LOGINS = 10_000;
const REFUSALS_PER_SECOND = 50;
const REFUSALS_BURST = 200;

export interface RequestEventsDeps {
  readonly metrics: Metrics;
  /** Null when audit is off. */
  readonly audit: AuditSink | null;
  readonly log: Log;
  readonly clock: Clock;
  readonly policyVersion: string;
  /** Replaces secrets in a text. */
  readonly redact: (text: string) => string;
}

/** The events of a request's life. */
export class RequestEvents {
  readonly #deps: RequestEventsDeps;
  readonly #logins: RecentLogins;
  readonly #gate: BurstGate;
  readonly #authCells = new Map<string, Cell>();
  readonly #isShowable: (tool: string) => boolean;

  constructor(deps: RequestEventsDeps) {
    this.#deps = deps;
    this.#isShowable = (tool) => deps.redact(tool) === tool;
    this.#logins = new RecentLogins(deps.clock, LOGIN_TTL_MS, LOGINS);
    this.#gate = new BurstGate({
      clock: deps.clock,
      perSecond: REFUSALS_PER_SECOND,
      burst: REFUSALS_BURST,
      onSuppressed: (count) => this.#suppressed(count),
    });
  }

  /** A failure gets its audit record from `settled`, with status and error id: one record, however the request ends. */
  authenticated(context: RequestContext): void {
    const { principal } = context;
    if (principal === null) {
      this.#deps.metrics.auth.child(attemptedProvider(context.exchange.head), 'failure').value += 1;
      return;
    }
    this.#authCell(principal.provider).value += 1;
    const { audit, policyVersion } = this.#deps;
    if (audit === null || !this.#logins.isNew(principal, context.exchange.head.clientIp)) return;
    audit.write(requestRecord('auth_success', context, policyVersion, 'allow'));
  }

  sent(context: RequestContext): void {
    const { audit, clock, log, policyVersion } = this.#deps;
    if (context.method === 'tools/call') audit?.write(requestRecord('tool_call', context, policyVersion, 'allow'));
    if (log.isTrace) log.trace(traceFields(context, clock.nowMs()), 'sent upstream');
  }

  sessionOpened(context: RequestContext): void {
    const { audit, log, metrics, policyVersion } = this.#deps;
    metrics.sessions.opened.child(context.server).value += 1;
    audit?.write(requestRecord('session_open', context, policyVersion, 'allow'));
    if (log.isDebug) log.debug({ session: context.session, server: context.server }, 'session opened');
  }

  sessionClosed({ ref, server, principalKey, reason }: SessionEnd): void {
    const { audit, log, metrics, policyVersion } = this.#deps;
    metrics.sessions.closed.child(server, reason).value += 1;
    const colon = principalKey.indexOf(':');
    const [provider, identity] = [principalKey.slice(0, colon), principalKey.slice(colon + 1)];
    audit?.write({ event_type: 'session_close', identity, provider, session: ref, server, reason, policy_version: policyVersion });
    if (log.isDebug) log.debug({ session: ref, server, reason }, 'session closed');
  }

  settled(context: RequestContext): void {
    const { audit, clock, policyVersion } = this.#deps;
    const nowMs = clock.nowMs();
    const durationMs = Math.max(nowMs - context.startMs, 0);
    this.#count(context, nowMs, durationMs);
    const event = closingEvent(context);
    if (event !== null) audit?.write(closingRecord(event, context, policyVersion, durationMs));
    if (context.refusal !== null) this.#logRefusal(context, durationMs);
    else this.#logServed(context, durationMs);
    if (this.#deps.log.isTrace) this.#deps.log.trace(traceFields(context, nowMs), 'request ended');
  }

  #authCell(provider: string): Cell {
    let cell = this.#authCells.get(provider);
    if (cell === undefined) {
      cell = this.#deps.metrics.auth.child(provider, 'success');
      this.#authCells.set(provider, cell);
    }
    return cell;
  }

  #count(context: RequestContext, nowMs: number, durationMs: number): void {
    const { metrics } = this.#deps;
    metrics.requests.count(context.methodLabel, context.status, durationMs);
    metrics.limits.decided(budgetResult(context));
    if (context.refusal !== null) {
      metrics.refusals.child(context.refusal.reason).value += 1;
      if (isDenied(context.refusal)) metrics.blocked.value += 1;
      metrics.limits.refused(refusingLimit(context));
    }
    const result = upstreamResult(context);
    if (result === null) return;
    const isAwaited = context.sentMs > 0 && !context.isNotification;
    metrics.upstreams.ended(context.server, context.transport, result, isAwaited ? nowMs - context.sentMs : -1);
    if (context.method !== 'tools/call' || context.sentMs === 0) return;
    const exists = result === 'success' && !context.isToolError;
    metrics.tools.count(context.server, context.tool, exists, this.#isShowable);
  }

  /** Refused requests carry the same `error_id` as the answer and the audit record; served ones are debug lines. */
  #logRefusal(context: RequestContext, durationMs: number): void {
    if (!this.#gate.pass()) return;
    const { log } = this.#deps;
    const { refusal } = context;
    const fields = { ...lineFields(context, durationMs), code: refusal?.code, reason: refusal?.reason, error_id: context.errorId };
    if (refusal !== null && refusal.status >= 500) log.warn(fields, 'request failed');
    else log.info(fields, 'request refused');
  }

  #logServed(context: RequestContext, durationMs: number): void {
    const { log } = this.#deps;
    if (log.isDebug) log.debug(lineFields(context, durationMs), 'request served');
  }

  #suppressed(count: number): void {
    this.#deps.metrics.logSuppressed.value += count;
    this.#deps.log.warn({ lines: count }, 'too many refused requests to log each, the audit trail has them all');
  }
}

/** Where the time of a request went, and what it holds of its budget. */
function traceFields(context: RequestContext, nowMs: number): LogFields {
  const { principal, exchange, sentMs, startMs } = context;
  const rounded = (ms: number): number => Math.round(ms * 1000) / 1000;
  return {
    request_id: context.requestId,
    identity: principal?.id,
    server: context.server === '' ? undefined : context.server,
    transport: context.transport === '' ? undefined : context.transport,
    method: context.method === '' ? context.methodLabel : context.method,
    status: context.status === 0 ? undefined : context.status,
    duration_ms: rounded(Math.max(nowMs - startMs, 0)),
    before_upstream_ms: sentMs === 0 ? undefined : rounded(sentMs - startMs),
    body_bytes: exchange.head.bodyBytes,
    budget_left: context.limit < 0 ? undefined : context.limitRemaining,
  };
}

function lineFields(context: RequestContext, durationMs: number): LogFields {
  const { principal, exchange } = context;
  return {
    request_id: context.requestId,
    identity: principal?.id,
    client_ip: exchange.head.clientIp,
    http: `${exchange.head.method} ${exchange.head.path}`,
    server: context.server === '' ? undefined : context.server,
    method: context.method === '' ? context.methodLabel : context.method,
    tool: context.tool === '' ? undefined : context.tool,
    status: context.status,
    duration_ms: Math.round(durationMs * 1000) / 1000,
    detail: context.detail === '' ? undefined : context.detail,
  };
}
