import type { RequestContext } from '../core/context.ts';
import * as errors from '../core/errors.ts';
import type { Principal } from '../core/principal.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { Route } from '../core/upstream.ts';
import { acceptsOf } from '../mcp/content.ts';
import type { Parts } from './parts.ts';
import { answer, refuse } from './reply.ts';
import type { Position, Session } from './session.ts';
import { sessionOf } from './session-book.ts';
import { ClientStream } from './session-stream.ts';

const NEW_STREAM: Position = { kind: 'event', eventId: '' };
import { mayReach } from './virtual.ts';

/** So long a DELETE waits at most for the upstream to know. */
const CLOSED_MS = 1000;

/** GET and DELETE of an MCP endpoint: they concern a session, and without one there is nothing that they could mean. */
export function handleSessionMethod(parts: Parts, context: RequestContext, who: Principal, route: Route | null): void {
  const { method, sessionId, accept } = context.exchange.head;
  context.methodLabel = method === 'GET' ? 'stream' : 'end_session';
  if ((method !== 'GET' && method !== 'DELETE') || sessionId === '') return refuse(parts, context, errors.METHOD_NOT_ALLOWED);
  if (route === null) return refuse(parts, context, errors.NOT_FOUND);
  if (method === 'GET' && !acceptsOf(accept).sse) return refuse(parts, context, errors.NOT_ACCEPTABLE);
  const session = sessionFor(parts, context, who, route);
  if (isRefusal(session)) return refuse(parts, context, session);
  if (method === 'GET') listen(parts, context, who, route, session);
  else endSession(parts, context, session);
}

function sessionFor(parts: Parts, context: RequestContext, who: Principal, route: Route): Session | Refusal {
  const session = sessionOf(parts, context, route.upstream, null);
  if (session === null) return errors.SESSION_UNKNOWN;
  if (isRefusal(session)) return session;
  return mayReach(who.access, route, context.server) ? session : errors.SERVER_DENIED;
}

/** A stream for what the server says of its own accord, or the rest of one that broke. */
function listen(parts: Parts, context: RequestContext, who: Principal, route: Route, session: Session): void {
  const { lastEventId } = context.exchange.head;
  const position = lastEventId === '' ? NEW_STREAM : session.opened(lastEventId);
  if (position === null) return refuse(parts, context, errors.EVENT_UNKNOWN);
  const stream = new ClientStream(parts, context, who, session, position.kind, route.virtual !== null);
  if (!parts.streams.add(stream)) return refuse(parts, context, errors.TOO_MANY_IN_FLIGHT);
  const options = { restPath: route.restPath, principalKey: context.budgetKey };
  const listening =
    position.kind === 'batch'
      ? parts.batches.listen(context.server, position.eventId, stream)
      : session.pipe.listen(position.eventId, options, stream);
  if (!isRefusal(listening)) return stream.attach(listening);
  stream.onEnd(listening, route.upstream.detail ?? '');
}

/** The client has done with it (2025-11-25, Transports, Session Management); from now on its id is unknown. */
function endSession(parts: Parts, context: RequestContext, session: Session): void {
  const finish = (): void => {
    timer.cancel();
    if (!context.isSettled) answer(parts, context, 200, '', '');
  };
  const timer = parts.clock.after(CLOSED_MS, finish);
  parts.sessions.end(session, 'deleted', finish);
}
