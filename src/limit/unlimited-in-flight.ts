import type { InFlightLimiter } from '../core/limit.ts';

/** Requests in progress of a gateway with `rate_limit.enabled = false`: any number, kept nowhere. */
export const unlimitedInFlight: InFlightLimiter = {
  max: -1,
  enter: () => 'entered',
  whenFree: (_key, done) => queueMicrotask(() => done(true)),
  leave(): void {},
};
