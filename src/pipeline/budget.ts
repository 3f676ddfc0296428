import type { RequestContext } from '../core/context.ts';
import { LIMIT_UNAVAILABLE, RATE_LIMITED, TOO_MANY_IN_FLIGHT } from '../core/errors.ts';
import { limitPolicy } from '../core/limit-fields.ts';
import { enterPlain, type Entry, type LimitName, type LimitOutcome } from '../core/limit.ts';
import type { Refusal } from '../core/refusal.ts';
import type { Budget, NamedCharge } from './charges.ts';
import { guarded } from './guarded.ts';
import type { Parts } from './parts.ts';
import { refuse } from './reply.ts';

/** What a request costs its caller. The context then holds the figures of the limit that decided. */

/** A limiter answers within 100 ms of a loop that turns; one that still does not know after this long is at fault, and nothing passes it. */
const MAX_WAIT_MS = 2_000;

/** Goes on when all charges of a stage are taken (null), or one was refused. `nowMs`: when. */
type Next = (limited: Refusal | null, nowMs: number) => void;

/**
 * Takes the charges of one stage, all or none. Null: they are taken. `unknown`: the limiter has to ask, and `awaitTokens` goes on. No callback for what
 * hardly ever waits: V8 would make one for each request, and call what it cannot put in its place (`docs/decisions/0046-no-callback-where-nothing-waits.md`).
 */
export function takeCharges(
  parts: Parts,
  context: RequestContext,
  charges: readonly NamedCharge[],
  nowMs: number,
): Refusal | null | 'unknown' {
  if (charges.length === 0) return null;
  if (parts.limiter.take(charges, nowMs, parts.outcome) === 'unknown') return 'unknown';
  return noteOutcome(context, charges, parts.outcome, nowMs);
}

/** The same for the charge of the caller, which is nearly always there. */
export function takeOwn(parts: Parts, context: RequestContext, budget: Budget, nowMs: number): Refusal | null | 'unknown' {
  if (!budget.isLimited) return null;
  // With the figures of its address in hand, those with the smaller share left are told.
  if (context.limit >= 0 || !parts.limiter.takePlain(budget, nowMs, context)) return takeCharges(parts, context, budget.own, nowMs);
  context.decidedMs = nowMs;
  context.tokenTakenMs = nowMs;
  context.limitedBy = 'principal';
  context.limitPolicy = budget.policy;
  return null;
}

/** After `unknown`. Nothing is taken for a client that leaves meanwhile. */
export function awaitTokens(parts: Parts, context: RequestContext, charges: readonly NamedCharge[], nowMs: number, next: Next): void {
  askAgain(parts, context, charges, nowMs + MAX_WAIT_MS, next);
}

/** Both in one, for what opens a connection. Where nothing waits `next` is called inside. */
export function withCharges(parts: Parts, context: RequestContext, charges: readonly NamedCharge[], nowMs: number, next: Next): void {
  const limited = takeCharges(parts, context, charges, nowMs);
  if (limited === 'unknown') return awaitTokens(parts, context, charges, nowMs, next);
  next(limited, nowMs);
}

function askAgain(parts: Parts, context: RequestContext, charges: readonly NamedCharge[], untilMs: number, next: Next): void {
  parts.limiter.whenKnown(charges, () => {
    if (context.isSettled || context.exchange.isClosed) return;
    guarded(parts, context, () => {
      const nowMs = parts.clock.nowMs();
      const take = parts.limiter.take(charges, nowMs, parts.outcome);
      if (take !== 'unknown') return next(noteOutcome(context, charges, parts.outcome, nowMs), nowMs);
      if (nowMs < untilMs) return askAgain(parts, context, charges, untilMs, next);
      context.decidedMs = nowMs;
      next(noteUnavailable(context, charges[0] as NamedCharge), nowMs);
    });
  });
}

/** Notes what the answer says of its limits: figures of the one that refused, else of the one with the smallest share left. */
function noteOutcome(context: RequestContext, charges: readonly NamedCharge[], outcome: LimitOutcome, nowMs: number): Refusal | null {
  const decided = chargeOf(charges, outcome.decidedBy);
  context.decidedMs = nowMs;
  if (!outcome.isAllowed) return noteRefusal(context, decided, outcome);
  // The stage of the caller is the first to begin with this limit; a later one may take the rest of a cost.
  if (charges[0]?.limit === 'principal' && context.tokenTakenMs === 0) context.tokenTakenMs = nowMs;
  if (isScarcest(context, outcome)) noteFigures(context, decided, outcome);
  else noteSpent(context, charges);
  return null;
}

function chargeOf(charges: readonly NamedCharge[], limit: LimitName): NamedCharge {
  for (const charge of charges) if (charge.limit === limit) return charge;
  return charges[0] as NamedCharge;
}

function noteRefusal(context: RequestContext, decided: NamedCharge, outcome: LimitOutcome): Refusal {
  if (outcome.mode === 'closed') return noteUnavailable(context, decided);
  context.detail = decided.rule;
  noteFigures(context, decided, outcome);
  context.retryAfterSecs = outcome.retryAfterSecs;
  return RATE_LIMITED;
}

/** Nobody knows the figures of this limit, and those of another would mislead. */
function noteUnavailable(context: RequestContext, { limit, rule }: NamedCharge): Refusal {
  context.detail = rule;
  context.limitedBy = limit;
  context.limit = -1;
  return LIMIT_UNAVAILABLE;
}

function isScarcest(context: RequestContext, outcome: LimitOutcome): boolean {
  if (context.limit < 0 || outcome.decidedBy === context.limitedBy) return true;
  return outcome.limit >= 0 && outcome.remaining * context.limit < context.limitRemaining * outcome.limit;
}

function noteFigures(context: RequestContext, decided: NamedCharge, outcome: LimitOutcome): void {
  context.limitedBy = decided.limit;
  context.limitPolicy = decided.policy;
  context.limit = outcome.limit;
  context.limitRemaining = outcome.remaining;
  context.limitResetSecs = outcome.resetSecs;
}

/** The figures stay those of an earlier stage, from whose bucket this one may have taken more. */
function noteSpent(context: RequestContext, charges: readonly NamedCharge[]): void {
  for (const { limit, tokens } of charges) {
    if (limit === context.limitedBy) context.limitRemaining = Math.max(0, context.limitRemaining - tokens);
  }
}

/** A message that its tool or method limit refuses does not cost its caller a token besides. */
export function refuseMessage(parts: Parts, context: RequestContext, budget: Budget, limited: Refusal): void {
  giveBack(parts, context, budget);
  refuse(parts, context, limited);
}

/** A call that policy denies costs its token all the same, unless `rate_limit.count_denied` says otherwise. */
export function refuseDenied(parts: Parts, context: RequestContext, budget: Budget, denied: Refusal): void {
  if (!parts.settings.isDeniedCounted) giveBack(parts, context, budget);
  refuse(parts, context, denied);
}

function giveBack(parts: Parts, context: RequestContext, budget: Budget): void {
  if (!budget.isLimited) return;
  parts.limiter.giveBack(budget.own, parts.clock.nowMs(), context.tokenTakenMs);
  if (context.limitedBy === 'principal' && context.limitRemaining < context.limit) context.limitRemaining += 1;
}

/** Takes one of the caller's places for requests in progress, which `settle` gives back; or tells that all are taken. `unknown`: `awaitPlace` goes on. */
export function takePlace(parts: Parts, context: RequestContext): Entry {
  const { placeNote } = context;
  const entry = enterPlain(placeNote) ? 'entered' : parts.inFlight.enter(context.budgetKey, placeNote);
  context.isInFlight = entry === 'entered';
  return entry;
}

/** After `unknown`. */
export function awaitPlace(parts: Parts, context: RequestContext, next: (isFull: boolean) => void): void {
  parts.inFlight.whenFree(context.budgetKey, (isEntered) => {
    if (context.isSettled || context.exchange.isClosed) {
      if (isEntered) parts.inFlight.leave(context.budgetKey, context.placeNote);
      return;
    }
    context.isInFlight = isEntered;
    guarded(parts, context, () => next(!isEntered));
  });
}

/** All places are taken: 429 with the figures of that limit. */
export function refuseFull(parts: Parts, context: RequestContext): void {
  context.limitedBy = 'in_flight';
  context.limitPolicy = limitPolicy('in_flight', parts.inFlight.max, null);
  context.limit = parts.inFlight.max;
  context.limitRemaining = 0;
  context.limitResetSecs = 1;
  context.retryAfterSecs = 1;
  refuse(parts, context, TOO_MANY_IN_FLIGHT);
}
