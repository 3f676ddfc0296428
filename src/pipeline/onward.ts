import type { RequestContext } from '../core/context.ts';
import type { Envelope } from '../core/envelope.ts';
import { BAD_PARAMS } from '../core/errors.ts';
import type { Principal } from '../core/principal.ts';
import { isRefusal } from '../core/refusal.ts';
import type { InFlight, ReplySink, RequestOptions, Route } from '../core/upstream.ts';
import type { UpstreamSession } from '../core/upstream-session.ts';
import { readHello } from '../mcp/hello.ts';
import { isRelayedNotification } from '../mcp/methods.ts';
import { answerInitialize } from './local.ts';
import type { Parts } from './parts.ts';
import { Relay } from './relay.ts';
import { answer, refuse } from './reply.ts';
import type { Session } from './session.ts';
import { Opening } from './session-open.ts';

/** The last steps of a request that goes to its upstream: in a session of the client's own, or the way that all share. */

/** A server may act on `notifications/initialized` only then on what follows it: so long the client waits for its 202 at most. */
const INITIALIZED_MS = 1000;
const INITIALIZED = 'notifications/initialized';
const CANCELLED = 'notifications/cancelled';

/** Receives an answer, tied to the client by `attach`. */
interface AttachedSink extends ReplySink {
  attach(flight: InFlight): void;
}

/** An ordinary request. */
export function relay(
  parts: Parts,
  context: RequestContext,
  who: Principal,
  route: Route,
  session: Session | null,
  message: Envelope,
): void {
  const pipe = session?.pipe ?? null;
  const sink = new Relay(parts, context, who, message, route.upstream.transport, session);
  const { isFetchedHere } = sink;
  const options = { restPath: route.restPath, principalKey: context.budgetKey, session: pipe, access: who.access, isFetchedHere };
  send(parts, context, route, options, message, sink);
}

/** `initialize`: begins a session of the client's own where the upstream keeps any; else it is answered here. */
export function openOrAnswer(parts: Parts, context: RequestContext, who: Principal, route: Route, message: Envelope): void {
  const hello = readHello(message);
  if (hello === null) return refuse(parts, context, BAD_PARAMS);
  const session = route.upstream.newSession(hello);
  if (session === null) return answerInitialize(parts, context, route.virtual?.viewFor(who.access) ?? route.upstream, message);
  const options = { restPath: route.restPath, principalKey: context.budgetKey, session, access: who.access };
  send(parts, context, route, options, message, new Opening(parts, context, message, session));
}

/** A client's response: to the upstream that asked, which only a session knows. Elsewhere nobody asked: accepted and dropped. */
export function passResponse(parts: Parts, context: RequestContext, route: Route, session: Session | null, message: Envelope): void {
  const lost = session?.pipe.respond(message, optionsOf(context, route, session.pipe)) ?? null;
  if (lost !== null) return refuse(parts, context, lost);
  answer(parts, context, 202, '', '');
}

/** A notification: 202 at once, whatever the upstream does with it. */
export function notifyUpstream(parts: Parts, context: RequestContext, route: Route, session: Session | null, message: Envelope): void {
  if (session === null && !isRelayedNotification(message.method)) return answer(parts, context, 202, '', '');
  const options = optionsOf(context, route, session?.pipe ?? null);
  const isAwaited = session !== null && message.method === INITIALIZED;
  const taken = isAwaited ? awaited(parts, context) : undefined;
  if (session !== null) tellOthers(parts, session, message);
  const lost = route.upstream.notify(message, options, taken);
  if (lost !== null) return refuse(parts, context, lost);
  parts.events.sent(context);
  if (!isAwaited) answer(parts, context, 202, '', '');
}

/** Another worker may have the request under way that the client takes back. */
function tellOthers(parts: Parts, session: Session, message: Envelope): void {
  if (message.method !== CANCELLED || message.requestIdStart < 0) return;
  parts.sessions.ledger.cancelled(session.ref, message.bytes.toString('utf8', message.requestIdStart, message.requestIdEnd));
}

/** Answers when called or when the time is over, whichever is first. */
function awaited(parts: Parts, context: RequestContext): () => void {
  const finish = (): void => {
    timer.cancel();
    if (!context.isSettled) answer(parts, context, 202, '', '');
  };
  const timer = parts.clock.after(INITIALIZED_MS, finish);
  return finish;
}

function send(parts: Parts, context: RequestContext, route: Route, options: RequestOptions, message: Envelope, sink: AttachedSink): void {
  context.sentMs = parts.clock.nowMs();
  const flight = route.upstream.request(message, options, sink);
  if (isRefusal(flight)) {
    context.sentMs = 0;
    context.detail = route.upstream.detail ?? context.detail;
    context.retryAfterSecs = route.upstream.retryAfterSecs;
    return refuse(parts, context, flight);
  }
  sink.attach(flight);
  parts.events.sent(context);
}

function optionsOf(context: RequestContext, route: Route, session: UpstreamSession | null): RequestOptions {
  return { restPath: route.restPath, principalKey: context.budgetKey, session };
}
