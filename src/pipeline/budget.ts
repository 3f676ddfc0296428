import type { RequestContext } from '../core/context.ts';
import { RATE_LIMITED, TOO_MANY_IN_FLIGHT } from '../core/errors.ts';
import type { Principal } from '../core/principal.ts';
import type { Refusal } from '../core/refusal.ts';
import type { Parts } from './parts.ts';
import { refuse } from './reply.ts';

/** What a request costs its principal. The context then holds the figures of the limiter that decided. */

/** One token of the principal's rate; null when there was one. */
export function takeToken(parts: Parts, context: RequestContext, who: Principal): Refusal | null {
  const { outcome } = parts;
  parts.limiter.take(context.budgetKey, who.limit, context.startMs, outcome);
  context.limit = outcome.limit;
  context.limitRemaining = outcome.remaining;
  context.limitResetSecs = outcome.resetSecs;
  context.retryAfterSecs = outcome.isAllowed ? 0 : outcome.retryAfterSecs;
  parts.events.limited(context, outcome.isAllowed);
  return outcome.isAllowed ? null : RATE_LIMITED;
}

/** One of the principal's places for requests in progress, which `settle` gives back; false when all are taken. */
export function takePlace(parts: Parts, context: RequestContext): boolean {
  context.isInFlight = parts.inFlight.enter(context.budgetKey);
  return context.isInFlight;
}

/** All places are taken: 429 with the figures of that limit. */
export function refuseFull(parts: Parts, context: RequestContext): void {
  context.limit = parts.inFlight.max;
  context.limitRemaining = 0;
  context.limitResetSecs = 1;
  context.retryAfterSecs = 1;
  refuse(parts, context, TOO_MANY_IN_FLIGHT);
}

/** A call that policy denies costs its token all the same, unless `rate_limit.count_denied` says otherwise. */
export function refuseDenied(parts: Parts, context: RequestContext, who: Principal, denied: Refusal): void {
  if (!parts.settings.isDeniedCounted) {
    parts.limiter.giveBack(context.budgetKey, who.limit, parts.clock.nowMs());
    if (context.limitRemaining < context.limit) context.limitRemaining += 1;
  }
  refuse(parts, context, denied);
}
