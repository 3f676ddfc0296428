import type { LimitOutcome, Limiter } from '../core/limit.ts';

/** Limiter of a gateway with `rate_limit.enabled = false`: allows all, keeps nothing. `limit` −1 = no limit headers. */
export const unlimited: Limiter = {
  size: 0,
  take(_key, _spec, _nowMs, out: LimitOutcome): void {
    out.isAllowed = true;
    out.limit = -1;
    out.remaining = -1;
    out.resetSecs = 0;
    out.retryAfterSecs = 0;
  },
  giveBack(): void {},
  sweep(): void {},
};
