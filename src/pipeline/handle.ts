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
import { awaitPlace, awaitTokens, refuseDenied, refuseFull, refuseMessage, takeCharges, takeOwn, takePlace } from './budget.ts';
import type { Budget, NamedCharge } from './charges.ts';
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
  isFull: boolean;
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
  const charges = parts.charges.ofAddress(head.clientIp);
  const limited = takeCharges(parts, context, charges, context.startMs);
  if (limited === 'unknown') return awaitAddress(parts, context, charges);
  handleCaller(parts, context, limited, context.startMs);
}

/** `limited`: what the limits of its address say, known at `nowMs`. */
function handleCaller(parts: Parts, context: RequestContext, limited: Refusal | null, nowMs: number): void {
  if (limited !== null) return refuse(parts, context, limited);
  const who = identify(parts, context);
  if (isRefusal(who)) return refuse(parts, context, who);
  const route = findRoute(parts, context);
  const budget = parts.charges.budgetOf(who, context.exchange.head.clientIp);
  context.budgetKey = budget.key;
  context.placeNote = budget;
  const refused = takeOwn(parts, context, budget, nowMs);
  if (refused === 'unknown') return awaitCaller(parts, context, who, budget, route, nowMs);
  admit(parts, context, who, budget, route, refused);
}

/** `limited`: what the limits of the caller say. */
function admit(parts: Parts, context: RequestContext, who: Principal, budget: Budget, route: Route | null, limited: Refusal | null): void {
  if (limited !== null) return refuseLimited(parts, context, limited);
  // Only now, though the route is known: what is not there costs a token as well.
  if (context.exchange.head.method !== 'POST') return handleSessionMethod(parts, context, who, route);
  if (route === null) return refuse(parts, context, errors.NOT_FOUND);
  const unfit = checkMedia(parts, context);
  if (unfit !== null) return refuse(parts, context, unfit);
  const entry = takePlace(parts, context);
  const call: Call = { who, budget, route, session: null, task: null, isFull: entry === 'full' };
  if (entry === 'unknown') return awaitRoom(parts, context, call);
  handleCall(parts, context, call);
}

function handleCall(parts: Parts, context: RequestContext, call: Call): void {
  if (call.isFull && !isShort(context.exchange.head.bodyBytes)) return refuseFull(parts, context);
  readBody(parts, context, (body) => handleBody(parts, context, call, body));
}

function handleBody(parts: Parts, context: RequestContext, call: Call, body: Buffer): void {
  const message = parseMessage(body, parts.settings.jsonLimits);
  if (isFailure(message)) {
    context.idToken = message.idToken;
    if (message.refusal !== errors.BATCH_REFUSED) return refuse(parts, context, message.refusal);
    return handleElements(parts, context, call, body);
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

  if (budget.isAlone) return dispatch(parts, context, call, message);
  const charges = budget.ofMessage(context.server, context.method, context.tool);
  if (charges.length === 0) return dispatch(parts, context, call, message);
  const nowMs = parts.clock.nowMs();
  const limited = takeCharges(parts, context, charges, nowMs);
  if (limited === 'unknown') return awaitMessage(parts, context, call, message, charges, nowMs);
  handleAllowed(parts, context, call, message, limited);
}

/** `limited`: what the limits of its tool and method say. */
function handleAllowed(parts: Parts, context: RequestContext, call: Call, message: Envelope, limited: Refusal | null): void {
  if (limited !== null) return refuseMessage(parts, context, call.budget, limited);
  dispatch(parts, context, call, message);
}

// Each a function of its own: one that makes a closure keeps what that needs from its first line on, whether it comes to it or not.

function awaitAddress(parts: Parts, context: RequestContext, charges: readonly NamedCharge[]): void {
  awaitTokens(parts, context, charges, context.startMs, (limited, nowMs) => handleCaller(parts, context, limited, nowMs));
}

function awaitCaller(parts: Parts, context: RequestContext, who: Principal, budget: Budget, route: Route | null, nowMs: number): void {
  awaitTokens(parts, context, budget.own, nowMs, (limited) => admit(parts, context, who, budget, route, limited));
}

function awaitRoom(parts: Parts, context: RequestContext, call: Call): void {
  awaitPlace(parts, context, (isFull) => {
    call.isFull = isFull;
    handleCall(parts, context, call);
  });
}

function awaitMessage(
  parts: Parts,
  context: RequestContext,
  call: Call,
  message: Envelope,
  charges: readonly NamedCharge[],
  nowMs: number,
): void {
  awaitTokens(parts, context, charges, nowMs, (limited) => handleAllowed(parts, context, call, message, limited));
}

function handleElements(parts: Parts, context: RequestContext, { route }: Call, body: Buffer): void {
  handleBatch(parts, context, route.upstream, body, (sub) => handleMcp(parts, sub));
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
