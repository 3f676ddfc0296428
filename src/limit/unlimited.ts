import type { Limiter } from '../core/limit.ts';

/** Limiter of a gateway with `rate_limit.enabled = false`: allows all, keeps nothing. `limit` −1 = no limit headers. */
export const unlimited: Limiter = {
  size: 0,
  take(charges, _nowMs, out) {
    out.isAllowed = true;
    out.decidedBy = charges[0]?.limit ?? 'principal';
    out.limit = -1;
    out.remaining = -1;
    out.resetSecs = 0;
    out.retryAfterSecs = 0;
    out.mode = 'remote';
    return 'taken';
  },
  takePlain: () => false,
  whenKnown(_charges, again) {
    queueMicrotask(again);
  },
  giveBack() {},
  sweep() {},
  view: () => [],
  stats: () => ({ mode: 'remote', asks: 0, waits: 0, timeouts: 0, waiting: 0 }),
  close() {},
};
