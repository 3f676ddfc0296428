import { randomUUID } from 'node:crypto';
import type { RequestContext } from '../core/context.ts';
import type { Exchange } from '../core/exchange.ts';

/** A fresh context; every field present from the start, so that all contexts share one hidden class. */
export function newContext(exchange: Exchange, nowMs: number): RequestContext {
  return {
    exchange,
    requestId: exchange.head.requestId === '' ? randomUUID() : exchange.head.requestId,
    startMs: nowMs,
    principal: null,
    server: '',
    transport: '',
    method: '',
    methodLabel: 'other',
    tool: '',
    resource: '',
    idToken: 'null',
    isNotification: false,
    limit: -1,
    limitRemaining: 0,
    limitResetSecs: 0,
    retryAfterSecs: 0,
    status: 0,
    refusal: null,
    errorId: '',
    detail: '',
    upstreamErrorCode: 0,
    isToolError: false,
    sentMs: 0,
    budgetKey: '',
    isStreaming: false,
    isInFlight: false,
    isSettled: false,
  };
}
