import type { Clock } from '../core/clock.ts';
import type { LeaseAnswer, LeaseAsk, LimitAuthority, SendRecall } from '../core/limit.ts';
import type { LimitSpec } from '../core/principal.ts';
import {
  BYTES_PER_SLOT,
  bucketMemory,
  burstOf,
  closeBucket,
  exchangeUnits,
  filledAtMs,
  fillMs,
  idleMs,
  openBucket,
  reshapeBucket,
  tokensOf,
  unitsOf,
  unitsPerMs,
  untilFullMs,
  wholeBurst,
} from './bucket.ts';
import type { BucketMemory } from './bucket.ts';
import { Holdings, wholeTokens } from './holdings.ts';
import { leaseSize } from './lease-size.ts';
import { Recalls, type WaitingAsk } from './recalls.ts';
import { SlotList } from './slot-list.ts';
import { VouchedTime } from './vouched-time.ts';

export interface AuthorityOptions {
  /** Holders are numbered 0 … holders − 1. */
  readonly holders: number;
  /** Most keys. Never too few while it is the sum of what the holders' tables hold (`authorityCapacity`). */
  readonly capacity: number;
  /** A full bucket of which nobody holds anything is forgotten after this long. */
  readonly idleTtlMs: number;
  readonly clock: Clock;
  /** Of rate and burst of every limit; 1 = all of it. Less: what this authority may give out while another cannot be asked. */
  readonly share?: number;
  /** Every bucket opens empty: for the time after an authority of which nothing is known any more. */
  readonly opensEmpty?: boolean;
}

export interface AuthorityStats {
  readonly asks: number;
  /** Asks that were granted nothing. */
  readonly denials: number;
  /** Holders that were asked to give back what they have of a key. */
  readonly recalls: number;
  /** Tokens granted; some of them may have come back. */
  readonly tokens: number;
}

const NOBODY: readonly number[] = [];
/** Most buckets with nothing held that are looked at to find the one to evict. */
const EVICTION_SCAN = 16;
/** A sweep looks at this many slots, or an eighth of those ever used, whichever is more. */
const SWEEP_SLOTS = 8_192;
/** A lease smaller than wanted is worth this wait at most: who asks for one token must not wait for a lease of many. */
const MAX_LEASE_WAIT_MS = 100;
/** So long after a small limit ran short nothing of it is given out that no request waits for: it is decided by what is here alone. */
const SHORT_MS = 100;
/** Asked again after this long when there is no room; cannot happen with a capacity as `authorityCapacity` says. */
const NO_ROOM_WAIT_MS = 1_000;

/**
 * Buckets in the memory of one process, of which several holders spend. Level x and the tokens L that are held elsewhere
 * keep x + L ≤ burst: refill ends at burst − L, grants and returns move tokens between the two, and what a holder spent
 * or took with it is never credited. Only refill raises the sum, so every window admits at most burst + rate × T.
 *
 * A bucket of which tokens are held is never evicted. The others are as in `SharedTable`: full ones lose nothing, and
 * after one that was not, unknown keys begin empty for as long as it would have needed.
 */
export class MemoryAuthority implements LimitAuthority {
  readonly #options: AuthorityOptions;
  readonly #memory: BucketMemory;
  readonly #time: VouchedTime;
  readonly #holdings: Holdings;
  /** Slots in use of which nobody holds anything: the first has been so for longest. */
  readonly #unheld: SlotList;
  readonly #slots = new Map<string, number>();
  readonly #keys: string[] = [];
  readonly #specs: LimitSpec[] = [];
  readonly #free: number[] = [];
  /** When a slot had too little for a request last, vouched time. */
  readonly #deniedMs: Float64Array;
  #recalls: Recalls | null = null;
  #used = 0;
  #sweepHand = 0;
  /** Vouched time; before it an unknown key may be an evicted one with a debt. */
  #startEmptyUntilMs = Number.NEGATIVE_INFINITY;
  #asks = 0;
  #denials = 0;
  #tokens = 0;

  constructor(options: AuthorityOptions) {
    const { capacity, holders } = options;
    if (!Number.isInteger(capacity) || capacity < 1) throw new RangeError('capacity must be a positive integer');
    this.#options = options;
    this.#memory = bucketMemory(new SharedArrayBuffer(capacity * BYTES_PER_SLOT));
    this.#time = new VouchedTime(holders);
    this.#holdings = new Holdings(holders, capacity);
    this.#unheld = new SlotList(capacity);
    this.#deniedMs = new Float64Array(capacity);
  }

  get size(): number {
    return this.#slots.size;
  }

  get stats(): AuthorityStats {
    return { asks: this.#asks, denials: this.#denials, tokens: this.#tokens, recalls: this.#recalls?.sent ?? 0 };
  }

  ask(holder: number, ask: LeaseAsk, answer: (answer: LeaseAnswer) => void): void {
    this.#asks += 1;
    const nowMs = this.#nowMs();
    const slot = this.#hasShareOf(ask.spec) ? this.#slotOf(ask.key, ask.spec, nowMs) : -1;
    if (slot < 0 || !this.#isHolder(holder)) {
      this.#denials += 1;
      return answer({ granted: 0, waitMs: NO_ROOM_WAIT_MS, left: 0, mode: 'remote' });
    }
    // A limit that has grown meanwhile is small until its holder has answered: what it says would not count a grant on the way.
    const isSmall = leaseSize(ask.spec, this.#options.holders) === 0 || this.#recalls?.isOwed(holder, ask.key) === true;
    const recalls = isSmall ? this.#recalls : null;
    if (recalls === null) return answer(this.#grant(holder, slot, ask, nowMs));
    if (ask.ahead >= ask.want) return answer(this.#grantAhead(holder, slot, ask, nowMs));
    const waiting = { holder, ask, answer };
    if (recalls.join(waiting)) return;
    if (recalls.isOwed(holder, ask.key)) return answer(this.#nothingYet(holder, slot, 1, nowMs));
    const others = this.#isShort(slot, ask, nowMs) ? this.#holdings.othersOf(holder, slot) : NOBODY;
    if (others.length === 0 || !recalls.begin(others, waiting)) answer(this.#grantNeeded(holder, slot, ask, nowMs));
  }

  startRecalls(send: SendRecall): void {
    this.#recalls = new Recalls(this.#options.clock, send, (waiting) => this.#decide(waiting));
  }

  recalled(holder: number, key: string, recall: number): void {
    this.#recalls?.answered(holder, key, recall);
  }

  giveBack(holder: number, key: string, tokens: number, have: number): void {
    const slot = this.#slots.get(key);
    if (slot === undefined || !this.#isHolder(holder)) return;
    const nowMs = this.#nowMs();
    this.#settle(slot, nowMs);
    const gone = this.#holdings.report(holder, slot, have);
    this.#exchange(slot, nowMs, Math.min(gone, wholeTokens(tokens)));
    this.#noteHeld(slot);
  }

  lost(holder: number): void {
    if (!this.#isHolder(holder)) return;
    const nowMs = this.#nowMs();
    for (let slot = 0; slot < this.#used; slot++) {
      if (this.#holdings.of(holder, slot) === 0) continue;
      this.#settle(slot, nowMs);
      this.#holdings.report(holder, slot, 0);
      this.#noteHeld(slot);
    }
    this.#time.lost(holder, this.#options.clock.nowMs());
    this.#recalls?.lost(holder);
  }

  heard(holder: number, stamp: number): void {
    this.#time.heard(holder, stamp, this.#options.clock.nowMs());
  }

  stampFor(holder: number): number {
    return this.#time.stampFor(holder, this.#options.clock.nowMs());
  }

  /** Frees what is full and held by nobody; the clock that counts is the authority's own. */
  sweep(): void {
    const nowMs = this.#nowMs();
    let visits = Math.min(this.#used, Math.max(SWEEP_SLOTS, Math.ceil(this.#used / 8)));
    for (; visits > 0; visits--) {
      if (this.#sweepHand >= this.#used) this.#sweepHand = 0;
      const slot = this.#sweepHand++;
      if (!this.#unheld.has(slot) || idleMs(this.#memory, slot, nowMs) < this.#options.idleTtlMs) continue;
      if (untilFullMs(this.#memory, slot, nowMs) <= 0) this.#free.push(this.#evict(slot));
    }
    if (this.#slots.size > 0) return;
    this.#keys.length = this.#specs.length = this.#free.length = 0;
    this.#used = 0;
  }

  close(): Promise<void> {
    this.#recalls?.close();
    return Promise.resolve();
  }

  #grant(holder: number, slot: number, ask: LeaseAsk, nowMs: number): LeaseAnswer {
    this.#settle(slot, nowMs);
    this.#holdings.report(holder, slot, ask.have);
    const there = tokensOf(this.#memory, slot, this.#exchange(slot, nowMs, 0));
    const want = wholeTokens(ask.want);
    const least = this.#isContended(slot, ask, nowMs) ? want : Math.max(1, wholeTokens(ask.atLeast));
    const granted = there >= least ? Math.min(there, want) : 0;
    this.#exchange(slot, nowMs, -granted);
    this.#holdings.add(holder, slot, granted);
    this.#noteHeld(slot);
    if (granted === 0) this.#noteDenial(slot, nowMs);
    this.#tokens += granted;
    return { granted, waitMs: granted > 0 ? 0 : this.#waitMs(slot, ask, nowMs), left: there - granted, mode: 'remote' };
  }

  /** An ask that had others asked to give back. */
  #decide({ holder, ask, answer }: WaitingAsk): void {
    const nowMs = this.#nowMs();
    const slot = this.#slotOf(ask.key, ask.spec, nowMs);
    answer(slot < 0 ? { granted: 0, waitMs: NO_ROOM_WAIT_MS, left: 0, mode: 'remote' } : this.#grantNeeded(holder, slot, ask, nowMs));
  }

  /** Whether a small limit has less than requests wait for. From then on it is called short. */
  #isShort(slot: number, ask: LeaseAsk, nowMs: number): boolean {
    if (this.#level(slot, nowMs) >= Math.max(1, wholeTokens(ask.atLeast))) return false;
    this.#deniedMs[slot] = nowMs;
    return true;
  }

  /** Of a small limit, what requests wait for; ahead of need, only while it is not short. */
  #grantNeeded(holder: number, slot: number, ask: LeaseAsk, nowMs: number): LeaseAnswer {
    const deferMs = this.#shortForMs(slot, nowMs);
    const want = deferMs > 0 ? ask.want - ask.ahead : ask.want;
    const answer = this.#grant(holder, slot, { ...ask, want }, nowMs);
    return { ...answer, left: answer.left + this.#heldByOthers(holder, slot), waitMs: answer.granted > 0 ? deferMs : answer.waitMs };
  }

  /** Of a small limit, nothing that no request waits for while it is short, or while the holder is asked to give back. */
  #grantAhead(holder: number, slot: number, ask: LeaseAsk, nowMs: number): LeaseAnswer {
    const isOwed = this.#recalls?.isOwed(holder, ask.key) === true;
    const deferMs = Math.max(this.#shortForMs(slot, nowMs), isOwed ? SHORT_MS : 0);
    this.#settle(slot, nowMs);
    this.#holdings.report(holder, slot, ask.have);
    this.#noteHeld(slot);
    if (deferMs > 0) return this.#nothingYet(holder, slot, deferMs, nowMs);
    if (this.#level(slot, nowMs) < 1) return this.#nothingYet(holder, slot, Math.max(1, this.#msUntil(slot, 1, nowMs)), nowMs);
    const answer = this.#grant(holder, slot, { ...ask, atLeast: 1 }, nowMs);
    return { ...answer, left: answer.left + this.#heldByOthers(holder, slot) };
  }

  #nothingYet(holder: number, slot: number, waitMs: number, nowMs: number): LeaseAnswer {
    return { granted: 0, waitMs, left: this.#level(slot, nowMs) + this.#heldByOthers(holder, slot), mode: 'remote' };
  }

  #heldByOthers(holder: number, slot: number): number {
    return this.#holdings.sum(slot) - this.#holdings.of(holder, slot);
  }

  /** Whole tokens that are here. */
  #level(slot: number, nowMs: number): number {
    return tokensOf(this.#memory, slot, this.#exchange(slot, nowMs, 0));
  }

  #shortForMs(slot: number, nowMs: number): number {
    return Math.max(0, SHORT_MS - (nowMs - (this.#deniedMs[slot] as number)));
  }

  #noteDenial(slot: number, nowMs: number): void {
    this.#denials += 1;
    this.#deniedMs[slot] = nowMs;
  }

  /**
   * Of a limit with leases that was just found empty, parts of a lease are not given out while a whole one is there soon:
   * holders that want more than there is would come back for every single token.
   */
  #isContended(slot: number, ask: LeaseAsk, nowMs: number): boolean {
    if (!(nowMs - (this.#deniedMs[slot] as number) < MAX_LEASE_WAIT_MS) || ask.want > this.#reachable(slot)) return false;
    return leaseSize(ask.spec, this.#options.holders) > 0 && this.#msUntil(slot, ask.want, nowMs) <= MAX_LEASE_WAIT_MS;
  }

  /** Until the least is there; where leases are kept, until one of the wanted size, if that is within `MAX_LEASE_WAIT_MS`. */
  #waitMs(slot: number, ask: LeaseAsk, nowMs: number): number {
    const leastMs = Math.max(1, this.#msUntil(slot, Math.max(1, ask.atLeast), nowMs));
    if (leaseSize(ask.spec, this.#options.holders) === 0) return leastMs;
    const leaseMs = this.#msUntil(slot, Math.min(ask.want, this.#reachable(slot)), nowMs);
    return Math.max(leastMs, Math.min(leaseMs, MAX_LEASE_WAIT_MS));
  }

  #msUntil(slot: number, tokens: number, nowMs: number): number {
    const level = this.#exchange(slot, nowMs, 0);
    const creditMs = nowMs - filledAtMs(this.#memory, slot);
    return Math.max(0, (unitsOf(this.#memory, slot, tokens) - level) / unitsPerMs(this.#memory, slot) - creditMs);
  }

  /** What the level can rise to while nothing comes back. */
  #reachable(slot: number): number {
    return wholeBurst(this.#specs[slot] as LimitSpec) * (this.#options.share ?? 1) - this.#holdings.sum(slot);
  }

  #nowMs(): number {
    return this.#time.advance(this.#options.clock.nowMs());
  }

  #isHolder(holder: number): boolean {
    return Number.isInteger(holder) && holder >= 0 && holder < this.#options.holders;
  }

  /** Refills under what is held now: to be called before that changes. */
  #settle(slot: number, nowMs: number): void {
    this.#exchange(slot, nowMs, 0);
  }

  #exchange(slot: number, nowMs: number, tokens: number): number {
    return exchangeUnits(this.#memory, slot, nowMs, unitsOf(this.#memory, slot, tokens), this.#reserved(slot));
  }

  #reserved(slot: number): number {
    const awayMs = this.#time.reserveMs(filledAtMs(this.#memory, slot), this.#mostSavedMs(slot));
    const away = awayMs > 0 ? Math.ceil(awayMs * unitsPerMs(this.#memory, slot)) : 0;
    return unitsOf(this.#memory, slot, this.#holdings.sum(slot)) + away;
  }

  /** In which a holder's part of the burst is full; of a part without a whole token it can spend nothing. */
  #mostSavedMs(slot: number): number {
    return burstOf(this.#memory, slot) < this.#options.holders ? 0 : fillMs(this.#memory, slot);
  }

  #noteHeld(slot: number): void {
    if (this.#holdings.sum(slot) === 0) this.#unheld.add(slot);
    else this.#unheld.remove(slot);
  }

  /** −1 when every slot is taken and somebody holds something of each. */
  #slotOf(key: string, spec: LimitSpec, nowMs: number): number {
    const known = this.#slots.get(key);
    if (known !== undefined) {
      this.#reshape(known, spec, nowMs);
      return known;
    }
    const slot = this.#vacantSlot(nowMs);
    if (slot < 0) return -1;
    const isFull = this.#options.opensEmpty !== true && nowMs >= this.#startEmptyUntilMs;
    openBucket(this.#memory, slot, this.#shareOf(spec), isFull, nowMs);
    if (isFull) this.#keepFree(slot, nowMs);
    this.#slots.set(key, slot);
    this.#keys[slot] = key;
    this.#deniedMs[slot] = Number.NEGATIVE_INFINITY;
    this.#specs[slot] = spec;
    this.#unheld.add(slot);
    return slot;
  }

  /** What holders that are away may have saved of a key is not known here: it was never looked at. */
  #keepFree(slot: number, nowMs: number): void {
    const reserve = this.#time.reserveMs(Number.NEGATIVE_INFINITY, this.#mostSavedMs(slot));
    if (reserve > 0) exchangeUnits(this.#memory, slot, nowMs, 0, Math.ceil(reserve * unitsPerMs(this.#memory, slot)));
  }

  #reshape(slot: number, spec: LimitSpec, nowMs: number): void {
    const old = this.#specs[slot] as LimitSpec;
    if (old.perSecond === spec.perSecond && old.burst === spec.burst) return;
    this.#settle(slot, nowMs);
    this.#specs[slot] = spec;
    reshapeBucket(this.#memory, slot, this.#shareOf(spec), nowMs);
  }

  /** A burst that cannot be divided into whole tokens belongs to nobody: each taking one would be more than all may. */
  #hasShareOf(spec: LimitSpec): boolean {
    const { share = 1 } = this.#options;
    return share === 1 || wholeBurst(spec) * share >= 1;
  }

  #shareOf(spec: LimitSpec): LimitSpec {
    const { share = 1 } = this.#options;
    if (share === 1) return spec;
    return { ...spec, perSecond: spec.perSecond * share, burst: wholeBurst(spec) * share };
  }

  #vacantSlot(nowMs: number): number {
    const slot = this.#free.pop();
    if (slot !== undefined) return slot;
    return this.#used < this.#options.capacity ? this.#used++ : this.#evictNearestToFull(nowMs);
  }

  #evictNearestToFull(nowMs: number): number {
    let best = -1;
    let bestMs = Number.POSITIVE_INFINITY;
    let slot = this.#unheld.first;
    for (let visits = EVICTION_SCAN; visits > 0 && slot >= 0 && bestMs > 0; visits--) {
      const waitMs = untilFullMs(this.#memory, slot, nowMs);
      if (waitMs < bestMs) best = slot;
      bestMs = Math.min(bestMs, waitMs);
      slot = this.#unheld.after(slot);
    }
    if (best < 0) return -1;
    if (bestMs > 0) this.#startEmptyUntilMs = Math.max(this.#startEmptyUntilMs, nowMs + bestMs);
    return this.#evict(best);
  }

  #evict(slot: number): number {
    this.#slots.delete(this.#keys[slot] as string);
    this.#keys[slot] = '';
    this.#unheld.remove(slot);
    closeBucket(this.#memory, slot);
    return slot;
  }
}
