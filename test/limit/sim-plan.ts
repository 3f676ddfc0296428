import type { LimitAuthority } from '../../src/core/limit.ts';
import type { LimitSpec } from '../../src/core/principal.ts';
import type { applyGrant } from '../../src/limit/lease-memory.ts';
import type { LocalShare } from '../../src/limit/local-share.ts';
import type { AuthorityOptions } from '../../src/limit/memory-authority.ts';
import type { Admission } from './windows.ts';

/** A schedule: everything else is drawn from the seed. */
export interface Plan {
  readonly seed: number;
  readonly workers: number;
  readonly specs: readonly LimitSpec[];
  readonly durationMs: number;
  /** Requests per second over all workers; bursts come on top. */
  readonly demand: number;
  /** Requests that come at once, now and then. */
  readonly burst: number;
  /** Longest one-way delay of a message, most are far shorter. */
  readonly delayMs: number;
  readonly faults: readonly Fault[];
  readonly capacity?: number;
  /** After which workers give up what they do not use; without: 200. */
  readonly idleTtlMs?: number;
  /** Further requests, each at a random worker. */
  readonly rushes?: readonly Rush[];
  /** Part of the requests that give back what they took, and after how long at most; without: all take one token and keep it. */
  readonly givenBack?: { readonly part: number; readonly withinMs: number };
}

export interface Rush {
  readonly atMs: number;
  readonly requests: number;
  readonly withinMs: number;
}

export type Fault =
  | WorkerFault
  /** The authority: hangs, or nobody is connected to it. */
  | { readonly kind: 'hang' | 'outage'; readonly atMs: number; readonly forMs: number };

export interface WorkerFault {
  readonly kind: 'crash' | 'cut' | 'stop';
  readonly worker: number;
  readonly atMs: number;
  readonly forMs: number;
}

/** Parts that a mutant replaces by faulty ones. */
export interface Parts {
  authority?(options: AuthorityOptions): LimitAuthority;
  share?(shares: number): LocalShare;
  grant?: typeof applyGrant;
  /** What was on the way when a connection was lost is still processed after its successor was accepted. */
  readonly isOldHeard?: boolean;
  /** Grants are applied, and answered, although their connection is gone. */
  readonly isLateApplied?: boolean;
  /** What is given back is said to have been taken just now. */
  readonly isGivenBackInFull?: boolean;
  /** Recalls overtake grants. */
  readonly isRecallEarly?: boolean;
  /** Schedules that show it, where few of all do. */
  plan?(seed: number): Plan;
}

export interface Run {
  /** Per limit, in order of time; what was given back is not in it. */
  readonly admissions: readonly (readonly Admission[])[];
  readonly requests: number;
  readonly asks: number;
  readonly timeouts: number;
  /** Longest wait of a request whose worker was not stopped, in ms. */
  readonly longestWaitMs: number;
  /** Requests never answered by a worker that lives. */
  readonly forgotten: number;
  readonly sharedAdmissions: number;
}

/** Small and quick, and good enough to draw schedules (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}
