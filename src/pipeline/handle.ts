import type { RequestContext } from '../core/context.ts';
import type { Envelope } from '../core/envelope.ts';
import * as errors from '../core/errors.ts';
import type { Principal } from '../core/principal.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { Route } from '../core/upstream.ts';
import { acceptsOf, isJsonContentType, namesBothTypes } from '../mcp/content.ts';
import { roleOf } from '../mcp/methods.ts';
import { isFailure, parseMessage } from '../mcp/parse.ts';
import { touchesModern } from '../mcp/modern-ladder.ts';
import { isTaskMethod } from '../mcp/task-messages.ts';
import { isLegacyHeader } from '../mcp/revisions.ts';
import { refuseDenied, refuseFull, refuseMessage, takeCharges, takePlace } from './budget.ts';
import type { Budget } from './charges.ts';
import { handleBatch } from './batch.ts';
import { noteMessage } from './context.ts';
import { isPreflight } from './cors.ts';
import { readBody } from './guarded.ts';
import { identify } from './identify.ts';
import { answerPing, answerPreflight } from './local.ts';
import { checkModern, dispatchModern } from './modern.ts';
import { notifyUpstream, openOrAnswer, passResponse, relay } from './onward.ts';
import type { Parts } from './parts.ts';
import { refuse } from './reply.ts';
import type { Session } from './session.ts';
import { sessionOf } from './session-book.ts';
import { handleSessionMethod } from './session-methods.ts';
import { addressTask, type NamedTask } from './tasks.ts';
import { address, mayReach } from './virtual.ts';

/** A rate-limited request with a declared body up to this size is answered after the body, with its JSON-RPC id. */
const POLITE_BODY_BYTES = 65_536;

/** What is known of a caller's request before its message is. */
interface Call {
  readonly who: Principal;
  readonly budget: Budget;
  readonly route: Route;
  /** The session that its id names; null without one. Known only once the message is. */
  session: Session | null;
  /** The task that it is about, of revision 2026-07-28. */
  readonly task: NamedTask | null;
  /** It has no place among the requests in progress: only notifications and responses pass. */
  readonly isFull: boolean;
}

/**
 * The life of an MCP request, in order; `docs/request-path.md` has the picture. Everything up to the body runs inside
 * the listener's callback, unless a limit has to be asked for. Each step either passes or names the refusal that ends the
 * request.
 */
export function handleMcp(parts: Parts, context: RequestContext): void {
  const { head } = context.exchange;
  if (parts.load.isClosing) return refuse(parts, context, errors.DRAINING);
  if (isPreflight(parts.settings.cors, context)) return answerPreflight(parts, context);
  takeCharges(parts, context, parts.charges.ofAddress(head.clientIp), context.startMs, (limited, nowMs) => {
    if (limited !== null) return refuse(parts, context, limited);
    handleCaller(parts, context, nowMs);
  });
}

/** `nowMs`: when the limits of its address were known, which may have had to be asked. */
function handleCaller(parts: Parts, context: RequestContext, nowMs: number): void {
  const who = identify(parts, context);
  if (isRefusal(who)) return refuse(parts, context, who);
  const route = findRoute(parts, context);
  const budget = parts.charges.budgetOf(who, context.exchange.head.clientIp);
  context.budgetKey = budget.key;
  context.placeNote = budget;
  takeCharges(parts, context, budget.own, nowMs, (limited) => {
    if (limited !== null) return refuseLimited(parts, context, limited);
    admit(parts, context, who, budget, route);
  });
}

function admit(parts: Parts, context: RequestContext, who: Principal, budget: Budget, route: Route | null): void {
  const { head } = context.exchange;
  // Only now, though the route is known: what is not there costs a token as well.
  if (head.method !== 'POST') return handleSessionMethod(parts, context, who, route);
  if (route === null) return refuse(parts, context, errors.NOT_FOUND);
  const unfit = checkMedia(parts, context);
  if (unfit !== null) return refuse(parts, context, unfit);
  takePlace(parts, context, (isFull) => {
    if (isFull && !isShort(head.bodyBytes)) return refuseFull(parts, context);
    readBody(parts, context, (body) => handleBody(parts, context, { who, budget, route, session: null, task: null, isFull }, body));
  });
}

function handleBody(parts: Parts, context: RequestContext, call: Call, body: Buffer): void {
  const message = parseMessage(body, parts.settings.jsonLimits);
  if (isFailure(message)) {
    context.idToken = message.idToken;
    if (message.refusal !== errors.BATCH_REFUSED) return refuse(parts, context, message.refusal);
    return handleBatch(parts, context, call.route.upstream, body, (sub) => handleMcp(parts, sub));
  }
  noteMessage(context, message);
  // Only requests need a place: a caller that has none left can still give a call up, and answer what the server asks within one.
  if (call.isFull && message.kind === 'request') return refuseFull(parts, context);

  const unserved = checkRevision(context, message);
  if (unserved !== null) return refuse(parts, context, unserved);
  const stranger = findSession(parts, context, call, message);
  if (stranger !== null) return refuse(parts, context, stranger);
  const { virtual } = call.route;
  const isOfTask = context.isModern && isTaskMethod(message.method);
  if (virtual === null && !isOfTask) return handleMessage(parts, context, call, message);
  const addressed =
    virtual === null || isOfTask ? addressTask(parts, context, call.route, message) : address(context, virtual, call.who.access, message);
  if (isRefusal(addressed)) return refuse(parts, context, addressed);
  // A session goes to its members itself, by the same names: decided on is what it sends to whom.
  if (call.session !== null) return handleMessage(parts, context, call, message);
  handleMessage(parts, context, { ...call, route: addressed.route, task: addressed.task ?? null }, addressed.message);
}

function handleMessage(parts: Parts, context: RequestContext, call: Call, message: Envelope): void {
  const { budget } = call;
  const denied = decide(context, call, message);
  if (denied !== null) return refuseDenied(parts, context, budget, denied);

  const charges = budget.ofMessage(context.server, context.method, context.tool);
  if (charges.length === 0) return dispatch(parts, context, call, message);
  takeCharges(parts, context, charges, parts.clock.nowMs(), (limited) => {
    if (limited !== null) return refuseMessage(parts, context, budget, limited);
    dispatch(parts, context, call, message);
  });
}

function dispatch(parts: Parts, context: RequestContext, { who, route, session, task }: Call, message: Envelope): void {
  if (context.isModern) return dispatchModern(parts, context, who, route, message, task);
  if (message.kind === 'response') return passResponse(parts, context, route, session, message);
  if (message.kind === 'notification') return notifyUpstream(parts, context, route, session, message);
  switch (roleOf(message.method, session !== null)) {
    case 'initialize':
      return openOrAnswer(parts, context, who, route, message);
    case 'ping':
      return answerPing(parts, context);
    case 'unknown':
      return refuse(parts, context, errors.METHOD_UNKNOWN);
    case 'relayed':
      return relay(parts, context, who, route, session, message);
  }
}

/** Where to? Noted at once, so that every record of the request names the server. */
function findRoute(parts: Parts, context: RequestContext): Route | null {
  const route = parts.routes.match(context.exchange.head.path);
  if (route !== null) {
    context.server = route.upstream.name;
    context.transport = route.upstream.transport;
  }
  return route;
}

function checkMedia(parts: Parts, context: RequestContext): Refusal | null {
  const { head } = context.exchange;
  if (!isJsonContentType(head.contentType)) return errors.BAD_CONTENT_TYPE;
  if (parts.settings.isAcceptStrict) return namesBothTypes(head.accept) ? null : errors.NOT_ACCEPTABLE;
  const accepts = acceptsOf(head.accept);
  return accepts.json || accepts.sse ? null : errors.NOT_ACCEPTABLE;
}

/** A short body is read all the same: then the answer carries its id. */
function refuseLimited(parts: Parts, context: RequestContext, limited: Refusal): void {
  const { method, bodyBytes } = context.exchange.head;
  if (method !== 'POST' || !isShort(bodyBytes)) return refuse(parts, context, limited);
  readBody(parts, context, (body) => {
    const message = parseMessage(body, parts.settings.jsonLimits);
    if (isFailure(message)) context.idToken = message.idToken;
    else noteMessage(context, message);
    refuse(parts, context, limited);
  });
}

function isShort(bodyBytes: number): boolean {
  return bodyBytes >= 0 && bodyBytes <= POLITE_BODY_BYTES;
}

/** In which revision does it speak, and is that served? */
function checkRevision(context: RequestContext, message: Envelope): Refusal | null {
  const { head } = context.exchange;
  if (touchesModern(head, message)) return checkModern(context, message);
  return isLegacyHeader(head.protocolVersion) ? null : errors.BAD_VERSION;
}

/** Which session does it name? Messages of revision 2026-07-28 name none, whatever their headers say. */
function findSession(parts: Parts, context: RequestContext, call: Call, message: Envelope): Refusal | null {
  if (context.exchange.head.sessionId === '' || context.isModern) return null;
  const session = sessionOf(parts, context, call.route.upstream, message);
  if (session !== null && isRefusal(session)) return session;
  call.session = session;
  return null;
}

/** May they do this? The only place that permits. */
function decide(context: RequestContext, { who, route, task }: Call, message: Envelope): Refusal | null {
  if (!mayReach(who.access, route, context.server)) return errors.SERVER_DENIED;
  // Whoever may not call a tool may not have what an earlier call of it comes to.
  if (message.method !== 'tools/call' && task === null) return null;
  const decision = who.access.tool(context.server, context.tool);
  context.detail = decision.rule;
  if (decision.isAllowed) return null;
  return decision.isGeneral === true ? errors.POLICY_DENIED : errors.TOOL_DENIED;
}
