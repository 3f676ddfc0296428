import type { LimitSpec } from './principal.ts';

/** Result of a take, written into an object that the caller reuses. */
export interface LimitOutcome {
  isAllowed: boolean;
  /** The burst: most that can be taken at once. */
  limit: number;
  /** Whole tokens left, ≥ 0. */
  remaining: number;
  /** Seconds until the bucket is full again, rounded up. */
  resetSecs: number;
  /** Seconds until a token is there, ≥ 1; 0 when allowed. */
  retryAfterSecs: number;
}

/** Takes tokens. The bucket of an unknown key is full; keys are bounded and evicted when idle and full again. */
export interface Limiter {
  /** One token of `key`. Synchronous, allocation-free for a known key. `nowMs` is the monotonic clock. */
  take(key: string, spec: LimitSpec, nowMs: number, out: LimitOutcome): void;
  /** Returns a token taken for a request that turned out not to count (`count_denied = false`). Never above the burst. */
  giveBack(key: string, spec: LimitSpec, nowMs: number): void;
  /** Keys held now (`mcp_guard_active_identities`). */
  readonly size: number;
  /** Frees what is idle; called about once a second. */
  sweep(nowMs: number): void;
}

/** Requests in progress per principal. */
export interface InFlightLimiter {
  /** Most per principal; −1 = no limit. */
  readonly max: number;
  /** False when the principal already has the most it may have. */
  enter(key: string): boolean;
  /** Exactly once per successful `enter`. */
  leave(key: string): void;
}
