import type { RequestContext } from '../core/context.ts';
import type { Envelope } from '../core/envelope.ts';
import * as errors from '../core/errors.ts';
import type { Principal } from '../core/principal.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { Route } from '../core/upstream.ts';
import { acceptsOf, isJsonContentType, namesBothTypes } from '../mcp/content.ts';
import { isRelayedNotification, roleOf } from '../mcp/methods.ts';
import { isFailure, parseMessage } from '../mcp/parse.ts';
import { touchesModern } from '../mcp/modern-ladder.ts';
import { isLegacyHeader } from '../mcp/revisions.ts';
import { refuseDenied, refuseFull, refuseMessage, takeCharges, takePlace } from './budget.ts';
import type { Budget } from './charges.ts';
import { noteMessage } from './context.ts';
import { isPreflight } from './cors.ts';
import { readBody } from './guarded.ts';
import { identify } from './identify.ts';
import { answerInitialize, answerPing, answerPreflight } from './local.ts';
import { checkModern, dispatchModern } from './modern.ts';
import type { Parts } from './parts.ts';
import { Relay } from './relay.ts';
import { answer, refuse } from './reply.ts';
import { address } from './virtual.ts';

/** A rate-limited request with a declared body up to this size is answered after the body, with its JSON-RPC id. */
const POLITE_BODY_BYTES = 65_536;

/** What is known of a caller's request before its message is. */
interface Call {
  readonly who: Principal;
  readonly budget: Budget;
  readonly route: Route;
  /** It has no place among the requests in progress: only notifications pass. */
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
  takeCharges(parts, context, budget.own, nowMs, (limited) => {
    if (limited !== null) return refuseLimited(parts, context, limited);
    admit(parts, context, who, budget, route);
  });
}

function admit(parts: Parts, context: RequestContext, who: Principal, budget: Budget, route: Route | null): void {
  const { head } = context.exchange;
  // Only now, though the route is known: what is not there costs a token as well.
  if (head.method !== 'POST') return refuse(parts, context, errors.METHOD_NOT_ALLOWED);
  if (route === null) return refuse(parts, context, errors.NOT_FOUND);
  const unfit = checkMedia(parts, context);
  if (unfit !== null) return refuse(parts, context, unfit);
  takePlace(parts, context, (isFull) => {
    if (isFull && !isShort(head.bodyBytes)) return refuseFull(parts, context);
    readBody(parts, context, (body) => handleBody(parts, context, { who, budget, route, isFull }, body));
  });
}

function handleBody(parts: Parts, context: RequestContext, call: Call, body: Buffer): void {
  const message = parseMessage(body, parts.settings.jsonLimits);
  if (isFailure(message)) {
    context.idToken = message.idToken;
    return refuse(parts, context, message.refusal);
  }
  noteMessage(context, message);
  // Notifications need no place: a caller that has none left can still give a call up.
  if (call.isFull && message.kind !== 'notification') return refuseFull(parts, context);

  const unserved = checkRevision(context, call.route, message);
  if (unserved !== null) return refuse(parts, context, unserved);
  const { virtual } = call.route;
  if (virtual === null) return handleMessage(parts, context, call, message);
  const addressed = address(context, virtual, call.who.access, message);
  if (isRefusal(addressed)) return refuse(parts, context, addressed);
  handleMessage(parts, context, { ...call, route: addressed.route }, addressed.message);
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

function dispatch(parts: Parts, context: RequestContext, { who, route }: Call, message: Envelope): void {
  if (context.isModern) return dispatchModern(parts, context, who, route, message);
  // No upstream request is outstanding at the client yet, so a response answers nothing: accepted and dropped.
  if (message.kind === 'response') return answer(parts, context, 202, '', '');
  if (message.kind === 'notification') return passNotification(parts, context, route, message);
  switch (roleOf(message.method)) {
    case 'initialize':
      return answerInitialize(parts, context, route.virtual?.viewFor(who.access) ?? route.upstream, message);
    case 'ping':
      return answerPing(parts, context);
    case 'unknown':
      return refuse(parts, context, errors.METHOD_UNKNOWN);
    case 'relayed':
      return relay(parts, context, who, route, message);
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
function checkRevision(context: RequestContext, route: Route, message: Envelope): Refusal | null {
  const { head } = context.exchange;
  if (touchesModern(head, message)) return checkModern(context, route, message);
  return isLegacyHeader(head.protocolVersion) ? null : errors.BAD_VERSION;
}

/** May they do this? The only place that permits. */
function decide(context: RequestContext, { who, route }: Call, message: Envelope): Refusal | null {
  if (!(route.virtual?.isReachable(who.access) ?? who.access.mayReach(context.server))) return errors.SERVER_DENIED;
  if (message.method !== 'tools/call') return null;
  const decision = who.access.tool(context.server, context.tool);
  context.detail = decision.rule;
  if (decision.isAllowed) return null;
  return decision.isGeneral === true ? errors.POLICY_DENIED : errors.TOOL_DENIED;
}

function passNotification(parts: Parts, context: RequestContext, route: Route, message: Envelope): void {
  if (isRelayedNotification(message.method)) {
    const lost = route.upstream.notify(message, { restPath: route.restPath, principalKey: context.budgetKey });
    if (lost !== null) return refuse(parts, context, lost);
    parts.events.sent(context);
  }
  answer(parts, context, 202, '', '');
}

function relay(parts: Parts, context: RequestContext, who: Principal, route: Route, message: Envelope): void {
  const sink = new Relay(parts, context, who, message, route.upstream.transport);
  context.sentMs = parts.clock.nowMs();
  const flight = route.upstream.request(message, { restPath: route.restPath, principalKey: context.budgetKey, access: who.access }, sink);
  if (isRefusal(flight)) {
    context.sentMs = 0;
    context.detail = route.upstream.detail ?? context.detail;
    context.retryAfterSecs = route.upstream.retryAfterSecs;
    return refuse(parts, context, flight);
  }
  sink.attach(flight);
  parts.events.sent(context);
}
