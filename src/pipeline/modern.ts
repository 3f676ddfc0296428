import type { RequestContext } from '../core/context.ts';
import type { Envelope } from '../core/envelope.ts';
import { MODERN_NOT_SERVED, NOT_ACCEPTABLE, VERSION_UNSUPPORTED } from '../core/errors.ts';
import type { Principal } from '../core/principal.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { Route } from '../core/upstream.ts';
import { acceptsOf } from '../mcp/content.ts';
import { rpcResult } from '../mcp/messages.ts';
import { isRelayedNotification } from '../mcp/methods.ts';
import { climb } from '../mcp/modern-ladder.ts';
import { DISCOVER, LISTEN } from '../mcp/modern-methods.ts';
import { knowsTasks } from '../mcp/task-messages.ts';
import { MODERN_REVISION } from '../mcp/revisions.ts';
import { ModernRelay } from './modern-relay.ts';
import type { Parts } from './parts.ts';
import { listenForTasks, type NamedTask } from './tasks.ts';
import { BegunTask, viewOfTask } from './task-view.ts';
import { answer, JSON_TYPE, refuse } from './reply.ts';

const MAX_ECHOED_CHARS = 64;

/**
 * Revision 2026-07-28: does the message keep its rules? Null as well for what turns out to be a handshake of the older revisions.
 */
export function checkModern(context: RequestContext, message: Envelope): Refusal | null {
  const verdict = climb(context.exchange.head, message);
  if (verdict === 'legacy') return null;
  context.isModern = true;
  if (verdict === VERSION_UNSUPPORTED) noteVersions(context, message);
  return verdict === 'modern' ? null : verdict;
}

/** What is supported is what `server/discover` says. */
function noteVersions(context: RequestContext, message: Envelope): void {
  const requested = (message.modern?.version ?? '').slice(0, MAX_ECHOED_CHARS);
  context.errorData = `,"supported":["${MODERN_REVISION}"],"requested":${JSON.stringify(requested)}`;
}

/** Everything is decided: a message that stands for itself, without a session. */
export function dispatchModern(
  parts: Parts,
  context: RequestContext,
  who: Principal,
  route: Route,
  message: Envelope,
  task: NamedTask | null,
): void {
  if (message.kind === 'notification') return passModernNotification(parts, context, route, message);
  // What is said later can only be said in a stream.
  if (message.method === LISTEN && !acceptsOf(context.exchange.head.accept).sse) return refuse(parts, context, NOT_ACCEPTABLE);
  if (route.virtual !== null) {
    const { modern } = route.virtual.viewFor(who.access);
    // One with a member of the older kind is of the older kind for every message.
    if (modern === null) return refuse(parts, context, MODERN_NOT_SERVED);
    if (message.method === DISCOVER) return answer(parts, context, 200, JSON_TYPE, rpcResult(context.idToken, modern.discover));
  }
  const listening = message.method === LISTEN ? listenForTasks(parts, context, who, route, message) : null;
  if (listening !== null && isRefusal(listening)) return refuse(parts, context, listening);
  const mayBegin = task === null && message.method === 'tools/call' && knowsTasks(message);
  const begun = mayBegin ? new BegunTask(parts.tasks, context) : null;
  const view = task === null ? begun : viewOfTask(task);
  const sink = new ModernRelay(parts, context, who, message, route.virtual !== null, view);
  context.sentMs = parts.clock.nowMs();
  const { restPath } = route;
  const modern = {
    params: context.exchange.head.mcpParams,
    ...(task !== null && task.place.length > 0 && { place: task.place }),
    ...(listening !== null && { tasks: listening.tasks }),
    ...(begun !== null && { onPlace: (place: Buffer) => begun.onPlace(place) }),
  };
  const options = { restPath, principalKey: context.budgetKey, access: who.access, modern };
  const flight = route.upstream.request(listening?.message ?? message, options, sink);
  if (isRefusal(flight)) {
    context.sentMs = 0;
    context.detail = route.upstream.detail ?? context.detail;
    context.retryAfterSecs = route.upstream.retryAfterSecs;
    return refuse(parts, context, flight);
  }
  sink.attach(flight);
  parts.events.sent(context);
}

/** A client of this revision cancels by closing its stream; a notification that says so besides concerns nobody. */
function passModernNotification(parts: Parts, context: RequestContext, route: Route, message: Envelope): void {
  if (isRelayedNotification(message.method) && message.method !== 'notifications/cancelled') {
    const lost = route.upstream.notify(message, {
      restPath: route.restPath,
      principalKey: context.budgetKey,
      modern: { params: null },
    });
    if (lost !== null) return refuse(parts, context, lost);
    parts.events.sent(context);
  }
  answer(parts, context, 202, '', '');
}
