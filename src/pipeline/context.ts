import { randomUUID } from 'node:crypto';
import type { RequestContext } from '../core/context.ts';
import type { Envelope } from '../core/envelope.ts';
import type { Exchange } from '../core/exchange.ts';
import { NO_FIELDS } from '../core/field-text.ts';
import { methodLabel } from '../mcp/methods.ts';

/** A fresh context; every field present from the start, so that all contexts share one hidden class. */
export function newContext(exchange: Exchange, nowMs: number): RequestContext {
  return {
    exchange,
    requestId: exchange.head.requestId === '' ? randomUUID() : exchange.head.requestId,
    startMs: nowMs,
    principal: null,
    server: '',
    transport: '',
    session: '',
    method: '',
    methodLabel: 'other',
    tool: '',
    resource: '',
    idToken: 'null',
    isNotification: false,
    limitedBy: '',
    limitPolicy: NO_FIELDS,
    limit: -1,
    limitRemaining: 0,
    limitResetSecs: 0,
    decidedMs: 0,
    tokenTakenMs: 0,
    retryAfterSecs: 0,
    status: 0,
    refusal: null,
    errorData: '',
    errorId: '',
    detail: '',
    upstreamErrorCode: 0,
    isToolError: false,
    sentMs: 0,
    budgetKey: '',
    placeNote: null,
    isModern: false,
    isStreaming: false,
    isInFlight: false,
    isSettled: false,
  };
}

/** Copies from the message what log, audit, metrics and the answer need. */
export function noteMessage(context: RequestContext, message: Envelope): void {
  context.method = message.method;
  context.methodLabel = message.kind === 'response' ? 'response' : methodLabel(message.method);
  context.isNotification = message.kind === 'notification';
  if (message.kind === 'request') context.idToken = message.bytes.toString('utf8', message.idStart, message.idEnd);
  if (message.method === 'tools/call') context.tool = message.name ?? '';
  if (message.method === 'resources/read') context.resource = message.uri ?? '';
}
