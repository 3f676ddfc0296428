import type { LeaseAnswer, LimitName } from '../core/limit.ts';
import type { LimitSpec } from '../core/principal.ts';

/**
 * What passes between the limiter on a worker's event loop and its authority. In between are the sync thread and a
 * connection to the primary; these carry batches and look into none of their numbers, but for one: the thread that
 * receives an answer adds what was granted to the shared buckets (`applyGrant` of `lease-memory.ts`) before it passes
 * the answer on to the event loop.
 *
 * What the carriers must keep, because the bound hangs on it:
 * - Batches of one connection reach the authority in order, entries in the order `returns`, `asks`. Nothing is sent twice.
 * - A recall reaches the limiter after the answers that were sent before it.
 * - Once a new connection of a holder is accepted, nothing from its former one is processed any more.
 * - What cannot be sent is dropped together with its connection: `disconnected()` follows, later, never inside `send`.
 * - Every batch is answered, the empty one too, at once (`LimitAuthority.stampFor`); asks that take longer follow later.
 *   What answers several batches at once may be one answer.
 * - For each batch the primary calls, in this order: `lost(holder)` if `isReset`; `heard(holder, stamp)`; `giveBack`, and `recalled` if they answer a recall, for
 *   the returns; `ask` for the asks. When a worker's process is gone, and only then, it calls `lost(holder)` by itself.
 */
export interface LeasePort {
  /** Once, by the limiter, before it sends anything. */
  attach(client: LeaseClient): void;
  /** Calls `flush` once, as soon as the requests that this turn of the event loop has brought are looked at; never inside. */
  afterTurn(flush: () => void): void;
  /** Without a connection: dropped silently. At most 1,024 entries. The batch is the receiver's to keep. */
  send(batch: LeaseBatch): void;
}

/** The limiter, as the carrier of its batches sees it. */
export interface LeaseClient {
  /** The shared buckets (`leaseMemory(buffer)`), for the thread that applies grants. */
  readonly buffer: SharedArrayBuffer;
  /** There is a connection: the greeting is sent at once instead of with the next turn. */
  connected(): void;
  /** Answers have arrived; their grants were applied. */
  answered(answers: LeaseAnswers): void;
  /** The authority calls tokens back: what nobody waits for is returned, and each recall is answered. */
  recalled(recalls: readonly LeaseRecall[]): void;
  /** The connection is gone: what was not answered never will be. The limiter gives up what it holds, and says so. */
  disconnected(): void;
}

/** From a worker, about once a turn of its event loop while something is asked, and 250 ms after the last otherwise. */
export interface LeaseBatch {
  /** The last stamp received; 0 before the first. */
  readonly stamp: number;
  /** Comes back with the answer: the worker's own clock. */
  readonly sentMs: number;
  /** The worker holds nothing (any more): what the authority believes it holds counts as spent. Such a batch is empty. */
  readonly isReset: boolean;
  readonly returns: readonly LeaseReturn[];
  readonly asks: readonly SlotAsk[];
}

/** `LimitAuthority.giveBack`. `tokens` 0: nothing is given back, but what the worker has is less than it was granted. */
export interface LeaseReturn {
  readonly key: string;
  /** ≥ 0. */
  readonly tokens: number;
  /** What is left at the worker, ≥ 0; `MAX_HELD`: as much as the authority believes. */
  readonly have: number;
  /** The recall that this answers; 0: none. */
  readonly recall: number;
}

/** To a worker: gives back what it has of a key and does not need. */
export interface LeaseRecall {
  readonly key: string;
  /** 1 … 2^32 − 1. */
  readonly recall: number;
}

/** More than any holder has. */
export const MAX_HELD: number = 2 ** 30;

/** A `LeaseAsk` with the place that its answer belongs to. */
export interface SlotAsk {
  readonly slot: number;
  /** Of the slot, 0 … 4,095: a grant for a former owner is refused by `applyGrant`. */
  readonly generation: number;
  readonly key: string;
  readonly limit: LimitName;
  readonly spec: LimitSpec;
  readonly want: number;
  readonly atLeast: number;
  readonly have: number;
  readonly ahead: number;
}

/** To a worker: one of several answers to a batch. */
export interface LeaseAnswers {
  /** `LimitAuthority.stampFor(holder)`, taken when this was sent. */
  readonly stamp: number;
  /** `sentMs` of the last batch that had arrived when this was sent. */
  readonly sentMs: number;
  readonly answers: readonly SlotAnswer[];
}

export interface SlotAnswer extends LeaseAnswer {
  readonly slot: number;
  readonly generation: number;
}

/** A worker's own share of a limit begins so long after it was last answered; until then its share is the authority's. */
export const SHARE_AFTER_MS: number = 750;
/**
 * A worker that has nothing to ask says so as often, while its breaker is closed, and returns what it was granted in vain. No more often: a batch and its answer wake five threads
 * whose code is in no cache, which costs more than what they say (`docs/decisions/0048-four-batches-a-second.md`).
 */
export const REPORT_EVERY_MS: number = 250;
/** Entries of a batch: bounds a frame. */
export const MAX_BATCH_ENTRIES: number = 1_024;
