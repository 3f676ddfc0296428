import type { FailMode, LimitSpec } from './principal.ts';

/** Which limit it is: what audit, metrics and the admin view call it. */
export type LimitName = 'address' | 'principal' | 'tool' | 'method' | 'in_flight' | 'upstream';

/** Where a decision came from: leased from an authority, or one of the fail modes (`mcp_guard_rate_limit_mode`). */
export type LimitMode = 'remote' | FailMode;

/** What one request takes from one bucket. Built when configured or once per key, never per request where it can be helped. */
export interface Charge {
  readonly limit: LimitName;
  /** Unique over all limits: begins with the limit's name unless it is a principal's own bucket. */
  readonly key: string;
  readonly spec: LimitSpec;
  /** Whole tokens, ≥ 1. More than the burst can never be admitted. */
  readonly tokens: number;
  /** Where the limiter found it last, and by what it knows whether it is still there: notes of its own, of use with charges that are kept. */
  slot?: number;
  tenure?: number;
}

/**
 * - `taken`: admitted.
 * - `refused`: `out` says for how long.
 * - `unknown`: this worker holds too few tokens and knows of no denial: `whenKnown`, then take again.
 */
export type Take = 'taken' | 'refused' | 'unknown';

/** Result of a take, written into an object that the caller reuses. Of several charges: of the one that decided. */
export interface LimitOutcome {
  isAllowed: boolean;
  /** The limit that decided: the one that refused, else the one with the fewest tokens left. */
  decidedBy: LimitName;
  /** The burst: most that can be taken at once. −1 = no limit. */
  limit: number;
  /** Whole tokens left, ≥ 0. */
  remaining: number;
  /** Seconds until the bucket is full again, rounded up. */
  resetSecs: number;
  /** Seconds until the tokens are there, ≥ 1; 0 when allowed. */
  retryAfterSecs: number;
  /** How the limit that decided was decided. Refused in `closed`: nobody could be asked, which is no fault of the caller. */
  mode: LimitMode;
}

/** What an answer says of a limit, as a request's context has it. */
export interface LimitTold {
  limit: number;
  limitRemaining: number;
  limitResetSecs: number;
}

/** Figures of one worker's limiter since it started, for metrics. */
export interface LimiterStats {
  /** `remote` while the authority answers, and where none is needed; else the fail mode that decided last. */
  readonly mode: LimitMode;
  /** Asks sent to the authority. */
  readonly asks: number;
  /** Requests that had to wait for an answer. */
  readonly waits: number;
  /** Of these, the ones that waited in vain. */
  readonly timeouts: number;
  /** Requests waiting now. */
  readonly waiting: number;
}

/**
 * Takes tokens. Over all workers and hosts, a key is admitted at most burst + rate × T in any window of length T
 * (`docs/limits.md` has the proof and what outages cost). Keys are bounded; the idle ones are forgotten.
 */
export interface Limiter {
  /**
   * All charges or none, in their order. Synchronous; allocation-free for known keys. `nowMs` is the monotonic clock.
   * What is `unknown` has taken nothing.
   */
  take(charges: readonly Charge[], nowMs: number, out: LimitOutcome): Take;
  /**
   * The same for what nearly all requests come to: one charge, found where it was the last time, with tokens. False: nothing was taken and nothing told, `take`
   * decides. Not for what `whenKnown` called back about.
   */
  takePlain(charge: Charge, nowMs: number, told: LimitTold): boolean;
  /**
   * After `unknown`: calls back exactly once, when taking again may tell more, never inside. At the latest after 100 ms, of which
   * time in which this event loop stood still is no part.
   * A take after the time is up is never `unknown`: the fail mode decides.
   */
  whenKnown(charges: readonly Charge[], again: () => void): void;
  /**
   * Returns what was taken at `takenMs` for a request that turned out not to count, less what may have been refilled in
   * its place meanwhile: who collects such requests must not get more than the burst at once. So it may be nothing.
   */
  giveBack(charges: readonly Charge[], nowMs: number, takenMs: number): void;
  /** Keys held now (`mcp_guard_active_identities`). */
  readonly size: number;
  /** Frees what is idle; called about once a second. */
  sweep(nowMs: number): void;
  /** What the admin view shows: most refused first, at most `max`. */
  view(nowMs: number, max: number): readonly BucketView[];
  stats(): LimiterStats;
  close(): void;
}

/** One bucket of one worker, for `GET /admin/api/limits`. */
export interface BucketView {
  readonly key: string;
  readonly limit: LimitName;
  readonly perSecond: number;
  readonly burst: number;
  /** Tokens this worker may spend now without asking. */
  readonly leased: number;
  /** Tokens left as far as is known. */
  readonly remaining: number;
  /** Refusals since the bucket was opened. */
  readonly refused: number;
  /** 0 when nothing is being refused now. */
  readonly deniedForMs: number;
  readonly mode: LimitMode;
}

/** A holder (a worker towards the primary, a host towards Redis) asks for tokens of one key. */
export interface LeaseAsk {
  readonly key: string;
  readonly limit: LimitName;
  readonly spec: LimitSpec;
  /** Whole tokens wanted, ≥ 1. */
  readonly want: number;
  /** Of these at least so many, or none: what waiting requests need. */
  readonly atLeast: number;
  /** Tokens of earlier leases still unspent at the holder: what it had besides is spent. */
  readonly have: number;
  /** Of those wanted, what no request waits for: all of them, and it is asked ahead of need. */
  readonly ahead: number;
}

export interface LeaseAnswer {
  /** 0 … want. */
  readonly granted: number;
  /** Milliseconds until asking again makes sense; with a grant, or when it was asked ahead of need: for more than requests need. */
  readonly waitMs: number;
  /** Whole tokens left after the grant, for headers. */
  readonly left: number;
  readonly mode: LimitMode;
}

/** Calls back what a holder has of a key and does not need. False: it cannot be reached. */
export type SendRecall = (holder: number, key: string, recall: number) => boolean;

/** Gives leases. Answers in order of time, synchronously if it can; each ask is answered exactly once, unless closed. */
export interface LimitAuthority {
  ask(holder: number, ask: LeaseAsk, answer: (answer: LeaseAnswer) => void): void;
  /** The holder gives back `tokens` it did not spend, and now has `have`. */
  giveBack(holder: number, key: string, tokens: number, have: number): void;
  /** The holder has answered a recall: what it gave back, it gave back before. */
  recalled?(holder: number, key: string, recall: number): void;
  /** From here on tokens can be called back. What is sent to a holder must not overtake what it was granted. Absent where holders cannot be reached. */
  startRecalls?(send: SendRecall): void;
  /** The holder is gone: what it held counts as spent. */
  lost(holder: number): void;
  /**
   * The holder has sent something, with the last stamp it received; 0 before the first. A holder that is cut off falls
   * back on its share of each limit some time after the last stamp, so from then on that share is not the authority's.
   */
  heard(holder: number, stamp: number): void;
  /** Goes with every answer to the holder: milliseconds of the authority's clock, > 0. */
  stampFor(holder: number): number;
  readonly size: number;
  sweep(nowMs: number): void;
  close(): Promise<void>;
}

/**
 * - `entered`: the caller owes one `leave`.
 * - `full`: there are as many requests in progress as there may be.
 * - `unknown`: this worker holds no free place and knows of no denial: `whenFree`.
 */
export type Entry = 'entered' | 'full' | 'unknown';

/**
 * Who takes places of a key, always of the same one, where it is kept from one request to the next. The requests in progress are counted in it, because each
 * request looks at it anyway; `Places` keeps the bounds within which no more is to be done than to count (`enterPlain`, `leavePlain`), and does all else.
 */
export interface PlaceNote {
  /** Requests in progress, while it is `Places`' count of them. */
  entered: number;
  /** With fewer in progress than this, another one enters plainly. */
  enterBelow: number;
  /** With more in progress than this, one leaves plainly. */
  leaveAbove: number;
  /** One has left since the keeper last looked. */
  wasUsed: boolean;
  /** Whose count it is; null: nobody's. */
  places: object | null;
}

/** Of a note by which nothing leaves plainly: more than are ever in progress. */
export const NEVER_PLAINLY: number = 2 ** 30;

/** Nobody's count. */
export function newPlaceNote(): PlaceNote {
  return { entered: 0, enterBelow: 0, leaveAbove: NEVER_PLAINLY, wasUsed: false, places: null };
}

/** Nothing enters or leaves plainly. */
export function closePlaceNote(note: PlaceNote): void {
  note.enterBelow = 0;
  note.leaveAbove = NEVER_PLAINLY;
}

/** As `Places.enter`, which has to be asked if this is false: then nothing was done. */
export function enterPlain(note: PlaceNote | null): boolean {
  if (note === null || note.entered >= note.enterBelow) return false;
  note.entered += 1;
  return true;
}

/** As `Places.leave`, the same. */
export function leavePlain(note: PlaceNote | null): boolean {
  if (note === null || note.entered <= note.leaveAbove) return false;
  note.entered -= 1;
  note.wasUsed = true;
  return true;
}

/** A wait for a place. */
export interface PlaceTicket {
  /** No callback any more. Nothing happens after the callback. */
  cancel(): void;
}

/**
 * Places for requests in progress, per key: a principal's (`provider:id`) or `upstream:<name>`. Over all workers at most `max` are taken at a time. A place is held from
 * `entered` to `leave`; those of a worker that dies are free again, because its requests died with it.
 */
export interface Places {
  /** Synchronous, without allocation where this worker holds a place. `max` ≥ 1, the same for a key at all times. */
  enter(key: string, max: number, note?: PlaceNote | null): Entry;
  /** Exactly once per `entered`; throws RangeError without one, because counts would drift open otherwise. */
  leave(key: string, note?: PlaceNote | null): void;
  /**
   * Calls back exactly once, never inside: true = entered (the caller owes a `leave`, also when nobody wants the place any
   * more), false = full. `brief` ends with the first denial or after 200 ms, when the fail mode decides; `patient` waits for a
   * place until it is cancelled. First come, first served.
   */
  whenFree(key: string, max: number, patience: 'brief' | 'patient', done: (isEntered: boolean) => void): PlaceTicket;
  /**
   * After a denial: true = all places were in use then, by the word of every worker that holds some; false = one of them did not
   * answer in time, or nobody was asked, so that there may be free ones.
   */
  isTaken(key: string): boolean;
  /** Keys held now. */
  readonly size: number;
  close(): void;
}

/** What it took a worker to know of places. */
export interface PlaceFigures {
  /** Keys with requests, places or asks. */
  readonly keys: number;
  readonly asks: number;
  /** Requests that wait now. */
  readonly waiting: number;
  /** Waits that the authority did not end in time. */
  readonly timeouts: number;
  /** Places taken without the authority. */
  readonly unleased: number;
}

/** Requests in progress per key, all with the same maximum. */
export interface InFlightLimiter {
  /** Most per key; −1 = no limit. */
  readonly max: number;
  enter(key: string, note?: PlaceNote | null): Entry;
  /** After `unknown`: as `Places.whenFree`, brief. */
  whenFree(key: string, done: (isEntered: boolean) => void): void;
  /** Exactly once per entry. */
  leave(key: string, note?: PlaceNote | null): void;
}
