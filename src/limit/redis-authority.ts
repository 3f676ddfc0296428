import type { Clock } from '../core/clock.ts';
import type { AuthorityStatus } from '../core/fleet.ts';
import type { LeaseAnswer, LeaseAsk, LimitAuthority, LimitMode } from '../core/limit.ts';
import type { FailMode } from '../core/principal.ts';
import type { Store } from '../core/store.ts';
import type { BucketCall, RedisBucket } from './redis-bucket.ts';
import { RedisCalls } from './redis-calls.ts';
import { RedisEpochs } from './redis-epochs.ts';
import { RedisHealth } from './redis-health.ts';
import type { RedisOutage } from './redis-outage.ts';
import type { LeaseCall, LeaseReply } from './redis-script.ts';
import { RedisSoon } from './redis-soon.ts';
import { RedisTable } from './redis-table.ts';
import { RedisWaiting, type Waiter } from './redis-waiting.ts';
import { VouchedTime } from './vouched-time.ts';

/** With the way to the worker and back no request waits 20 ms. An answer takes one or two, on a machine that does other things as well. */
const WAIT_MS = 15;
/** An answer later than this is no pause of this process or of Redis any more: it is lost. */
const LATE_MS = 100;
/** How long tokens may be spent after the call that fetched or renewed them. */
const LEASE_LIFE_MS = 2000;
/** When Redis takes a silent host for dead: twice the life, so that clocks may run differently. */
const DEAD_AFTER_MS = 2 * LEASE_LIFE_MS;
/** A bucket that had to be forgotten while workers hold tokens of it: longer than they keep what they do not use. */
const FORGOTTEN_DEAD_AFTER_MS = 60_000;
const RENEW_MS = 900;
const IDLE_MS = 1000;
/** What is spent of a small limit is reported soon, because Redis cannot refill what it believes to be held. */
const REPORT_MS = 2;
/** A pool that runs low is filled so soon, with others, unless it is nearly empty or somebody waits for it. */
const REFILL_MS = 250;
/** Who is refused by `closed` may ask again after this long: Redis may be back. At once, if only one answer was late. */
const CLOSED_MS = 250;
const REPORTS_PER_SWEEP = 5000;
const MAX_WAITING = 10_000;

export interface RedisAuthorityOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Put before every key. */
  readonly prefix: string;
  /** Unique among all hosts and starts. */
  readonly holder: string;
  /** Event loops that ask. */
  readonly workers: number;
  readonly maxHosts: number;
  readonly maxKeys: number;
  readonly random?: () => number;
}

/** Figures since the start, for metrics. */
export interface RedisAuthorityStats extends AuthorityStatus {
  /** Calls to Redis; those that failed or took too long; asks that were answered by a fail mode. */
  readonly calls: number;
  readonly failures: number;
  readonly fallbacks: number;
  /** Asks waiting for Redis now. */
  readonly waiting: number;
  /** Sum of the times that calls took which were answered, and their number. */
  readonly answeredMs: number;
  readonly answered: number;
}

/**
 * The primary of a host, as the authority of its workers and a holder towards Redis. Workers are granted what the host holds; it asks Redis
 * for more with one call at a time per bucket, in which everything is said that happened since the last. Nobody waits longer than 15 ms:
 * then the limit's fail mode decides; at once for who comes while Redis owes that bucket an answer, or is known to be lost.
 */
export class RedisAuthority implements LimitAuthority {
  readonly #options: RedisAuthorityOptions;
  readonly #clock: Clock;
  readonly #table: RedisTable;
  readonly #epochs: RedisEpochs;
  readonly #vouched: VouchedTime;
  readonly #health: RedisHealth;
  readonly #waiting: RedisWaiting;
  readonly #calls: RedisCalls;
  readonly #unreported: RedisSoon;
  readonly #low: RedisSoon;
  #number = 0;
  #isClosed = false;
  #mode: LimitMode = 'remote';
  readonly #counts = { asks: 0, denials: 0, tokens: 0, calls: 0, failures: 0, fallbacks: 0, answeredMs: 0, answered: 0 };

  constructor(options: RedisAuthorityOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#table = new RedisTable(options);
    this.#epochs = new RedisEpochs(options.store, options.clock, options.prefix, options.holder);
    this.#vouched = new VouchedTime(Math.max(1, options.workers));
    this.#waiting = new RedisWaiting(options.clock, (waiter, nowMs) => this.#tooLate(waiter, nowMs));
    const { store, clock, random = Math.random } = options;
    this.#calls = new RedisCalls(store);
    this.#unreported = new RedisSoon(clock, REPORT_MS, (bucket, nowMs) => this.#reportSpent(bucket, nowMs));
    this.#low = new RedisSoon(clock, REFILL_MS, (bucket, nowMs) => this.#refill(bucket, nowMs));
    const onBack = (outage: RedisOutage): void => this.#succeeded(outage);
    this.#health = new RedisHealth({ clock, epochs: this.#epochs, isSpread: store.isSpread, random, waitMs: WAIT_MS, onBack });
  }

  get size(): number {
    return this.#table.size;
  }

  ask(holder: number, asked: LeaseAsk, answer: (answer: LeaseAnswer) => void): void {
    if (this.#isClosed) return;
    this.#counts.asks++;
    const nowMs = this.#clock.nowMs();
    const bucket = this.#bucketOf(asked, nowMs);
    this.#noteOutage(bucket, nowMs);
    bucket.settle(holder, asked.have, nowMs);
    bucket.lastAskMs = nowMs;
    // In an outage the share bounds what is given, and the answer names the fail mode.
    const ask = this.#outageOf(bucket).isOpen ? asked : bucket.trimmed(asked, this.#options.workers);
    if (ask === null) return answer(bucket.nothingAhead(asked, this.#options.workers, nowMs));
    const waiter: Waiter = { bucket, holder, ask, answer, untilMs: nowMs + WAIT_MS, isDone: false };
    if (bucket.isExact && bucket.record !== bucket.have) this.#unreported.add(bucket);
    if (this.#serve(waiter, nowMs)) return;
    if (atLeastOf(ask) > bucket.burst || bucket.isDenied(atLeastOf(ask), nowMs)) return this.#deny(waiter, nowMs);
    if (!this.#mayWait(bucket, nowMs)) return this.#fallBack(waiter, nowMs);
    this.#waiting.add(waiter);
    this.#call(bucket, nowMs);
    this.#low.now();
  }

  giveBack(holder: number, key: string, tokens: number, have: number): void {
    const bucket = this.#table.get(key);
    if (bucket === null || this.#isClosed) return;
    const nowMs = this.#clock.nowMs();
    this.#noteOutage(bucket, nowMs);
    bucket.giveBack(holder, tokens, have, nowMs);
    if (bucket.isExact) this.#unreported.add(bucket);
  }

  lost(holder: number): void {
    const nowMs = this.#clock.nowMs();
    this.#vouched.lost(holder, nowMs);
    for (const bucket of this.#table.all()) {
      this.#noteOutage(bucket, nowMs);
      bucket.settle(holder, 0, nowMs);
      this.#waiting.dismiss(bucket, holder);
    }
  }

  heard(holder: number, stamp: number): void {
    this.#vouched.heard(holder, stamp, this.#clock.nowMs());
  }

  stampFor(holder: number): number {
    return this.#vouched.stampFor(holder, this.#clock.nowMs());
  }

  /** Renews what is held, returns what is idle, reports what was spent, forgets what is over, and looks whether Redis is back. */
  sweep(nowMs: number): void {
    if (this.#isClosed) return;
    this.#health.touch(nowMs);
    let reports = 0;
    for (const bucket of this.#table.all()) {
      const outage = this.#outageOf(bucket);
      bucket.expirePool(nowMs);
      if (bucket.isForgettable(nowMs, IDLE_MS, outage.id)) this.#table.delete(bucket.key);
      else if (!outage.isOpen && reports < REPORTS_PER_SWEEP && this.#isReportDue(bucket, nowMs)) {
        reports++;
        this.#report(bucket, nowMs);
      }
    }
  }

  stats(): RedisAuthorityStats {
    const { asks, denials, tokens, ...rest } = this.#counts;
    return { kind: 'redis', mode: this.#mode, size: this.size, asks, denials, tokens, recalls: 0, ...rest, waiting: this.#waiting.size };
  }

  /** Gives back what this host holds, as far as Redis takes it at once. The store is the caller's to close, afterwards. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    const nowMs = this.#clock.nowMs();
    for (const bucket of this.#table.all()) {
      if (bucket.have > 0 && !this.#outageOf(bucket).isOpen) this.#report(bucket, nowMs, bucket.pool);
    }
    this.#isClosed = true;
    this.#calls.flush();
    this.#epochs.close();
    this.#unreported.close();
    this.#low.close();
    this.#waiting.clear();
  }

  /** Who was behind another in a worker comes when that one was given up: it has waited enough. */
  #mayWait(bucket: RedisBucket, nowMs: number): boolean {
    return !this.#outageOf(bucket).isOpen && !bucket.isOverdue(nowMs) && this.#waiting.size < MAX_WAITING;
  }

  #bucketOf(ask: LeaseAsk, nowMs: number): RedisBucket {
    const { bucket, evicted } = this.#table.open(ask, nowMs);
    if (evicted !== null) this.#forget(evicted, nowMs);
    bucket.reshape(ask.spec);
    return bucket;
  }

  /** What workers still hold of it stays counted in Redis until they have surely given it up. */
  #forget(bucket: RedisBucket, nowMs: number): void {
    for (const waiter of this.#waiting.of(bucket)) {
      this.#waiting.remove(waiter);
      this.#fallBack(waiter, nowMs);
    }
    this.#unreported.delete(bucket);
    this.#low.delete(bucket);
    if (bucket.have + bucket.debt === 0 || this.#outageOf(bucket).isOpen) return;
    this.#send(bucket, nowMs, { want: 0, atLeast: 1, back: bucket.pool, deadAfterMs: FORGOTTEN_DEAD_AFTER_MS });
  }

  #noteOutage(bucket: RedisBucket, nowMs: number): void {
    const outage = this.#outageOf(bucket);
    if (outage.id >= 0) bucket.noteOutage(outage.id, Math.max(outage.sinceMs(nowMs), this.#table.forgottenMs));
  }

  #outageOf(bucket: RedisBucket): RedisOutage {
    return this.#health.outageOf(bucket.names.tag);
  }

  /** Grants out of the pool, if it can. */
  #serve(waiter: Waiter, nowMs: number): boolean {
    const { bucket, holder, ask } = waiter;
    bucket.expirePool(nowMs);
    const granted = bucket.takeFromPool(holder, atLeastOf(ask), ask.want, bucket.partOf(this.#options.workers));
    if (granted === 0) return false;
    this.#answer(waiter, { granted, waitMs: 0, left: bucket.leftAt(nowMs), mode: 'remote' });
    if (bucket.isLow) this.#low.add(bucket);
    if (bucket.isNearlyEmpty) this.#low.now();
    return true;
  }

  #deny(waiter: Waiter, nowMs: number): void {
    const { bucket, ask } = waiter;
    const waitMs = bucket.denialMs(atLeastOf(ask), nowMs);
    this.#answer(waiter, { granted: 0, waitMs, left: bucket.leftAt(nowMs), mode: 'remote' });
  }

  /** Without Redis: each limit as its fail mode says. */
  #fallBack(waiter: Waiter, nowMs: number): void {
    this.#counts.fallbacks++;
    const mode = waiter.bucket.spec.failMode;
    this.#mode = mode;
    this.#answer(waiter, this.#decideAlone(waiter, mode, nowMs));
  }

  #decideAlone({ bucket, holder, ask }: Waiter, mode: FailMode, nowMs: number): LeaseAnswer {
    const { isOpen, id } = this.#outageOf(bucket);
    // Without an outage (this process alone was late) there is no share either.
    if (mode === 'closed' || (mode === 'local' && id < 0)) return { granted: 0, waitMs: isOpen ? CLOSED_MS : 1, left: 0, mode };
    if (mode === 'open') {
      bucket.handFreely(holder, ask.want);
      return { granted: ask.want, waitMs: 0, left: Math.max(0, bucket.burst - ask.want), mode };
    }
    this.#noteOutage(bucket, nowMs);
    const granted = bucket.takeFromShare(holder, ask, nowMs);
    return { granted, waitMs: granted > 0 ? 0 : bucket.shareWaitMs(atLeastOf(ask), nowMs), left: bucket.shareTokens(nowMs), mode };
  }

  #answer(waiter: Waiter, answer: LeaseAnswer): void {
    if (waiter.isDone) return;
    waiter.isDone = true;
    this.#counts.tokens += answer.granted;
    if (answer.granted === 0) this.#counts.denials++;
    waiter.answer(answer);
  }

  /** Its time is up: the call it waited for is given up, too. */
  #tooLate(waiter: Waiter, nowMs: number): void {
    const { bucket } = waiter;
    const { call } = bucket;
    if (call !== null && !call.isGivenUp && nowMs - call.sentAtMs >= WAIT_MS) {
      call.isGivenUp = true;
      bucket.call = null;
      bucket.overdue = call;
      this.#failed(bucket, nowMs);
      // One turn more: answers that have arrived are read first.
      this.#clock.after(LATE_MS - WAIT_MS, () => this.#clock.after(1, () => this.#lose(bucket, call)));
    }
    this.#fallBack(waiter, nowMs);
  }

  /** Whoever has only this one bucket would not see five calls fail. */
  #lose(bucket: RedisBucket, call: BucketCall): void {
    if (bucket.overdue === call && !this.#isClosed) this.#outageOf(bucket).lost(this.#clock.nowMs());
  }

  /** Asks Redis for what the waiting need, or for a lease; unless a call is on its way, whose answer does it then. */
  #call(bucket: RedisBucket, nowMs: number): void {
    if (bucket.call !== null || this.#isClosed) return;
    const waiting = this.#waiting.of(bucket);
    let needed = 0;
    for (const { ask } of waiting) needed += bucket.isExact ? ask.want : atLeastOf(ask);
    const atLeast = waiting[0] === undefined ? 1 : atLeastOf(waiting[0].ask);
    const want = Math.max(atLeast, bucket.wanted(needed));
    this.#send(bucket, nowMs, { want, atLeast, back: 0, deadAfterMs: DEAD_AFTER_MS });
  }

  #isReportDue(bucket: RedisBucket, nowMs: number): boolean {
    if (bucket.pool > 0 && nowMs - bucket.lastAskMs >= IDLE_MS) return bucket.call === null;
    return bucket.isReportDue(nowMs, RENEW_MS);
  }

  /** Says what was spent, and gives back what is not needed. */
  #report(bucket: RedisBucket, nowMs: number, back: number = this.#surplus(bucket, nowMs)): void {
    this.#unreported.delete(bucket);
    this.#send(bucket, nowMs, { want: 0, atLeast: 1, back, deadAfterMs: DEAD_AFTER_MS });
  }

  #surplus(bucket: RedisBucket, nowMs: number): number {
    const isIdle = nowMs - bucket.lastAskMs >= IDLE_MS;
    return isIdle ? bucket.pool : Math.max(0, bucket.pool - bucket.lease);
  }

  #reportSpent(bucket: RedisBucket, nowMs: number): void {
    if (bucket.call === null && bucket.record !== bucket.have && !this.#outageOf(bucket).isOpen) this.#report(bucket, nowMs);
  }

  #refill(bucket: RedisBucket, nowMs: number): void {
    if (bucket.isLow && !this.#outageOf(bucket).isOpen) this.#call(bucket, nowMs);
  }

  #send(bucket: RedisBucket, nowMs: number, what: { want: number; atLeast: number; back: number; deadAfterMs: number }): void {
    const back = bucket.drainPool(bucket.pool - what.back, nowMs);
    bucket.chargeAbsence(nowMs - this.#vouched.advance(nowMs));
    const number = ++this.#number;
    const call: BucketCall = { number, sentAtMs: nowMs, have: bucket.have, debt: bucket.debt, isGivenUp: false };
    bucket.call = call;
    bucket.lastNumber = number;
    bucket.lastCallMs = nowMs;
    this.#counts.calls++;
    const said: LeaseCall = {
      ...what,
      perSecond: bucket.spec.perSecond,
      burst: bucket.burst,
      holder: this.#options.holder,
      number,
      have: call.have,
      back,
      debt: call.debt,
      target: bucket.worthwhile(what.atLeast),
    };
    const onAnswer = (reply: LeaseReply | null): void => this.#answered(bucket, call, reply);
    this.#calls.send(bucket.names.keys, said, onAnswer, () => this.#refused(bucket, call));
  }

  #answered(bucket: RedisBucket, call: BucketCall, reply: LeaseReply | null): void {
    if (this.#isClosed) return;
    const nowMs = this.#clock.nowMs();
    this.#counts.answered++;
    this.#counts.answeredMs += nowMs - call.sentAtMs;
    bucket.ended(call);
    if (reply !== null) bucket.accept(call, reply, LEASE_LIFE_MS, nowMs);
    if (!call.isGivenUp) {
      if (nowMs - call.sentAtMs > LATE_MS) this.#failed(bucket, nowMs);
      else this.#succeeded(this.#outageOf(bucket));
    }
    this.#serveWaiting(bucket, reply, nowMs);
    if (bucket.isExact && bucket.call === null && bucket.record !== bucket.have) this.#unreported.add(bucket);
  }

  /** First come, first served; who needs more than there is hears so, and the next may need less. */
  #serveWaiting(bucket: RedisBucket, reply: LeaseReply | null, nowMs: number): void {
    for (const waiter of this.#waiting.of(bucket)) {
      const isServed = this.#serve(waiter, nowMs);
      if (!isServed && reply !== null && reply.left >= atLeastOf(waiter.ask)) continue;
      if (!isServed && reply === null) continue;
      this.#waiting.remove(waiter);
      if (!isServed) this.#deny(waiter, nowMs);
    }
    if (this.#waiting.of(bucket).length > 0) this.#call(bucket, nowMs);
  }

  #refused(bucket: RedisBucket, call: BucketCall): void {
    if (this.#isClosed) return;
    const nowMs = this.#clock.nowMs();
    bucket.ended(call);
    if (!call.isGivenUp) this.#failed(bucket, nowMs);
    if (bucket.call !== null) return;
    for (const waiter of this.#waiting.of(bucket)) {
      this.#waiting.remove(waiter);
      this.#fallBack(waiter, nowMs);
    }
  }

  #failed(bucket: RedisBucket, nowMs: number): void {
    this.#counts.failures++;
    this.#outageOf(bucket).failed(nowMs);
  }

  #succeeded(outage: RedisOutage): void {
    outage.succeeded();
    this.#mode = 'remote';
  }
}

function atLeastOf(ask: LeaseAsk): number {
  return Math.max(1, ask.atLeast);
}
