import type { LeaseAnswer, LeaseAsk, LimitName } from '../core/limit.ts';
import type { LimitSpec } from '../core/principal.ts';
import { wholeBurst } from './bucket.ts';
import type { LocalShare } from './local-share.ts';
import { bucketKeys, type BucketKeys } from './redis-keys.ts';
import type { LeaseReply } from './redis-script.ts';

/** Part of a burst that all hosts together may keep in their pools, and all their workers together as much again. */
const LEASED_PART = 0.1;
/** How much longer a denial may last for a call to bring more than one token. */
const LEASE_WAIT_MS = 100;
/** An outage may be over sooner than a share is filled. */
const MAX_SHARE_WAIT_MS = 1000;
/** How long a worker that holds its part waits at most before it asks ahead again. */
const MAX_AHEAD_WAIT_MS = 100;
/** What was told so lately need not be told again because something was spent since: the next call says it. */
const SOON_ENOUGH_MS = 500;
/** Whose answer is owed for longer than this may never have reached Redis. */
const OVERDUE_MS = 1000;

/** A host's part of the limit while Redis does not answer. */
interface Share {
  /** Which outage it belongs to: what is left of an earlier one is gone. */
  readonly outage: number;
  /** When it stood at zero, as `LocalShare` keeps it. */
  emptyAtMs: number;
}

/** A call on the way to Redis. */
export interface BucketCall {
  readonly number: number;
  readonly sentAtMs: number;
  readonly have: number;
  readonly debt: number;
  /** Nobody waits for it any more: it took too long. */
  isGivenUp: boolean;
}

/**
 * What a host knows of one bucket in Redis: tokens it has for its workers (`pool`), those the workers have, what Redis believes of
 * both (`record`), and what it granted on its own while Redis did not answer (`debt`). All tokens are whole.
 */
export class RedisBucket {
  readonly key: string;
  readonly limit: LimitName;
  readonly names: BucketKeys;
  spec: LimitSpec;
  burst: number;
  /** Most tokens that the pool keeps, and most that the workers are given ahead of need; 0: every decision is Redis's. */
  lease = 0;
  pool = 0;
  /** Tokens at the workers. */
  held = 0;
  record = 0;
  debt = 0;
  call: BucketCall | null = null;
  /** The last that was given up, until it is answered all the same. */
  overdue: BucketCall | null = null;
  lastNumber = 0;
  lastCallMs: number = Number.NEGATIVE_INFINITY;
  lastAskMs: number;
  deniedUntilMs: number = Number.NEGATIVE_INFINITY;
  readonly #byHolder = new Map<number, number>();
  readonly #maxHosts: number;
  readonly #shares: LocalShare;
  #hosts: number;
  /** After it Redis may have taken this host for dead: the pool is gone. */
  #poolUntilMs = Number.NEGATIVE_INFINITY;
  #left = 0;
  #leftAtMs = 0;
  #share: Share | null = null;
  #absentMs: number | null = null;
  /** Less than one token. */
  #owed = 0;

  constructor(ask: LeaseAsk, prefix: string, maxHosts: number, shares: LocalShare, nowMs: number) {
    this.key = ask.key;
    this.limit = ask.limit;
    this.names = bucketKeys(prefix, ask.key);
    this.#maxHosts = maxHosts;
    this.#shares = shares;
    this.#hosts = maxHosts;
    this.lastAskMs = nowMs;
    this.spec = ask.spec;
    this.burst = wholeBurst(ask.spec);
    this.#setLease();
  }

  /** Tokens that this host answers for. */
  get have(): number {
    return this.pool + this.held;
  }

  /** A limit so small that its tenth cannot be divided among hosts: the host keeps nothing of it. */
  get isExact(): boolean {
    return Math.floor(this.burst * LEASED_PART) < this.#maxHosts;
  }

  /** The lease is divided among the hosts that were seen on this key. */
  #setLease(): void {
    this.lease = this.isExact ? 0 : Math.max(1, Math.floor((this.burst * LEASED_PART) / this.#hosts));
  }

  /** A worker that asks may find too little: a third was given to one, and others may come before it is filled. */
  get isLow(): boolean {
    return !this.isExact && this.pool < (this.lease * 2) / 3;
  }

  /** The next worker that asks finds too little. */
  get isNearlyEmpty(): boolean {
    return !this.isExact && this.pool < this.lease / 4;
  }

  reshape(spec: LimitSpec): void {
    if (this.spec === spec) return;
    this.spec = spec;
    this.burst = wholeBurst(spec);
    this.#setLease();
  }

  /** The call was answered, or failed. */
  ended(call: BucketCall): void {
    if (this.call === call) this.call = null;
    if (this.overdue === call) this.overdue = null;
  }

  /** Redis owes an answer that was given up: waiting for another is in vain. */
  isOverdue(nowMs: number): boolean {
    return this.overdue !== null && nowMs - this.overdue.sentAtMs < OVERDUE_MS;
  }

  /** What a worker says that it has; what it had besides is spent. More than was known of only holds tokens down in Redis. */
  settle(holder: number, have: number, nowMs: number): void {
    this.#clipShare(nowMs);
    this.held += have - (this.#byHolder.get(holder) ?? 0);
    if (have > 0) this.#byHolder.set(holder, have);
    else this.#byHolder.delete(holder);
  }

  /** Takes tokens back from a worker; what it was not known to hold is lost. */
  giveBack(holder: number, tokens: number, have: number, nowMs: number): void {
    const before = this.#byHolder.get(holder) ?? 0;
    this.settle(holder, Math.min(have, before), nowMs);
    if (this.#isPoolAlive(nowMs)) this.pool += Math.max(0, Math.min(tokens, before - have));
  }

  #isPoolAlive(nowMs: number): boolean {
    return nowMs < this.#poolUntilMs;
  }

  /** Forgets a pool that Redis may count as spent already. */
  expirePool(nowMs: number): void {
    if (this.pool === 0 || this.#isPoolAlive(nowMs)) return;
    this.#clipShare(nowMs);
    this.pool = 0;
  }

  /** What each of the host's workers may keep; without bound where each decision is Redis's. */
  partOf(workers: number): number {
    return this.isExact ? Number.POSITIVE_INFINITY : Math.max(1, Math.floor(this.lease / Math.max(1, workers)));
  }

  /**
   * The ask, with no more ahead of need than gives its holder its part of what all workers of all hosts may keep; null when nothing is left of
   * it. Small limits are asked for each time, and called back.
   */
  trimmed(ask: LeaseAsk, workers: number): LeaseAsk | null {
    if (ask.ahead === 0 || this.isExact) return ask;
    const ahead = Math.min(ask.ahead, Math.max(0, this.partOf(workers) - ask.have));
    if (ahead === ask.ahead) return ask;
    const want = ask.want - ask.ahead + ahead;
    return want === 0 ? null : { ...ask, want, ahead, atLeast: Math.min(ask.atLeast, want) };
  }

  /** To a worker that holds its part: it may ask again when half of that can be gone. */
  nothingAhead(ask: LeaseAsk, workers: number, nowMs: number): LeaseAnswer {
    const spentMs = ((ask.have - this.partOf(workers) / 2) * 1000) / this.spec.perSecond;
    return { granted: 0, waitMs: Math.min(MAX_AHEAD_WAIT_MS, Math.max(1, Math.ceil(spentMs))), left: this.leftAt(nowMs), mode: 'remote' };
  }

  /** Grants `atLeast` … `want` tokens out of the pool, no more than `fair` beyond the least; 0 when there are fewer. */
  takeFromPool(holder: number, atLeast: number, want: number, fair: number): number {
    if (this.pool < atLeast) return 0;
    const granted = Math.min(this.pool, Math.max(atLeast, Math.min(want, fair)));
    this.pool -= granted;
    this.#hand(holder, granted);
    return granted;
  }

  /** Tokens that came from elsewhere than Redis. */
  #hand(holder: number, tokens: number): void {
    this.held += tokens;
    this.#byHolder.set(holder, (this.#byHolder.get(holder) ?? 0) + tokens);
  }

  /** Whole tokens that can be there at most, after the last answer and as time has passed since. */
  leftAt(nowMs: number): number {
    const gained = Math.floor(((nowMs - this.#leftAtMs) * this.spec.perSecond) / 1000);
    return Math.max(0, Math.min(this.burst - this.held, this.#left + gained + this.pool));
  }

  /** Whether Redis has said that too little is there before a moment which has not come. */
  isDenied(atLeast: number, nowMs: number): boolean {
    return nowMs < this.deniedUntilMs && this.leftAt(nowMs) < this.worthwhile(atLeast);
  }

  /** Until asking again makes sense for who was denied. */
  denialMs(atLeast: number, nowMs: number): number {
    const missing = this.worthwhile(atLeast) - this.leftAt(nowMs);
    return Math.max(1, Math.ceil((missing * 1000) / this.spec.perSecond));
  }

  /** Tokens to ask Redis for: what is needed, and what fills the pool besides. */
  wanted(needed: number): number {
    return Math.min(this.burst, needed + Math.max(0, this.lease - this.pool));
  }

  /** Tokens that are worth a call: half a lease, if it is there soon after what is needed. */
  worthwhile(atLeast: number): number {
    const soon = atLeast + Math.floor((this.spec.perSecond * LEASE_WAIT_MS) / 1000);
    return Math.max(atLeast, Math.min(soon, Math.ceil(this.lease / 2)));
  }

  /** Takes in an answer. One to a call that is not the last tells nothing about tokens: the later call has already disowned them. */
  accept(call: BucketCall, reply: LeaseReply, aliveMs: number, nowMs: number): void {
    this.debt = Math.max(0, this.debt - call.debt);
    if (call.number !== this.lastNumber) return;
    this.pool += reply.granted;
    this.record = call.have + reply.granted;
    this.#poolUntilMs = call.sentAtMs + aliveMs;
    this.#left = reply.left;
    this.#leftAtMs = nowMs;
    this.deniedUntilMs = reply.waitMs > 0 ? nowMs + reply.waitMs : Number.NEGATIVE_INFINITY;
    this.#hosts = Math.min(this.#maxHosts, Math.max(1, reply.hosts));
    this.#setLease();
  }

  /** Pool that goes back to Redis, out of the pool. */
  drainPool(keep: number, nowMs: number): number {
    const back = Math.max(0, this.pool - keep);
    if (back > 0) this.#clipShare(nowMs);
    this.pool -= back;
    return back;
  }

  /**
   * Workers that are cut off from the host spend their shares of each limit without asking: as much is taken off in Redis.
   * `absentMs`: sum of their absences since the start, divided by the number of workers.
   */
  chargeAbsence(absentMs: number): void {
    const newMs = this.#absentMs === null ? 0 : Math.max(0, absentMs - this.#absentMs);
    this.#absentMs = absentMs;
    this.#owed += (newMs * this.spec.perSecond) / 1000 / this.#maxHosts;
    const whole = Math.floor(this.#owed);
    this.#owed -= whole;
    this.debt = Math.min(this.burst, this.debt + whole);
  }

  /**
   * An outage is going on, in which each host has its share of the limit. It starts empty when the outage (or `floorMs`, if that is
   * later) does, and with what the host still has of its lease it is never more than its part of the burst: so all hosts
   * together stay below the limit, whatever was there before. To be called before anything is settled.
   */
  noteOutage(outage: number, floorMs: number): void {
    if (this.#share?.outage !== outage) this.#share = { outage, emptyAtMs: floorMs };
  }

  /** Before tokens of the lease go: the share does not get the room that they leave but by time. */
  #clipShare(nowMs: number): void {
    if (this.#share !== null) this.#share.emptyAtMs = this.#shares.clip(this.spec, this.#share.emptyAtMs, nowMs, this.have);
  }

  /** Grants out of the share. */
  takeFromShare(holder: number, ask: LeaseAsk, nowMs: number): number {
    const whole = this.shareTokens(nowMs);
    const granted = whole < Math.max(1, ask.atLeast) ? 0 : Math.min(ask.want, whole);
    if (granted === 0 || this.#share === null) return 0;
    this.#share.emptyAtMs = this.#shares.take(this.spec, this.#share.emptyAtMs, granted, nowMs, this.have);
    // More than a burst cannot be missing in Redis, however long the outage was.
    this.debt = Math.min(this.burst, this.debt + granted);
    this.#hand(holder, granted);
    return granted;
  }

  /** Milliseconds until the share holds `tokens`; after `takeFromShare`. */
  shareWaitMs(tokens: number, nowMs: number): number {
    const waitMs = this.#shares.waitMs(this.spec, this.#share?.emptyAtMs ?? nowMs, tokens, nowMs);
    return Math.min(MAX_SHARE_WAIT_MS, Math.max(1, Math.ceil(waitMs)));
  }

  shareTokens(nowMs: number): number {
    return Math.floor(this.#shares.level(this.spec, this.#share?.emptyAtMs ?? nowMs, nowMs, this.have));
  }

  /** Tokens that nobody asked Redis for and that count nowhere. */
  handFreely(holder: number, tokens: number): void {
    this.#hand(holder, tokens);
  }

  /** Whether Redis should hear of this bucket without being asked for anything. */
  isReportDue(nowMs: number, renewMs: number): boolean {
    if (this.call !== null) return false;
    if (this.debt > 0) return true;
    const sinceMs = nowMs - this.lastCallMs;
    return this.record === this.have ? this.have > 0 && sinceMs >= renewMs : sinceMs >= SOON_ENOUGH_MS;
  }

  /** Whether forgetting it loses nothing. `outage`: of the one that is going on. */
  isForgettable(nowMs: number, idleMs: number, outage: number): boolean {
    if (this.call !== null || this.debt > 0 || this.record > 0 || this.have > 0) return false;
    if (this.#share?.outage === outage) return false;
    return nowMs - this.lastAskMs >= idleMs && nowMs >= this.deniedUntilMs;
  }
}
