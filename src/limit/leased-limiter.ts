import type { Clock } from '../core/clock.ts';
import type { BucketView, Charge, Limiter, LimiterStats, LimitOutcome, LimitTold, Take } from '../core/limit.ts';
import type { FailMode, LimitSpec } from '../core/principal.ts';
import { Breaker } from './breaker.ts';
import { wholeBurst, wholeSecs } from './bucket.ts';
import { LeaseDesk } from './lease-desk.ts';
import type { LeaseFigures } from './lease-figures.ts';
import { applyGrant, type LeaseMemory, levelOf, takeLease } from './lease-memory.ts';
import type { LeaseAnswers, LeaseClient, LeasePort, LeaseRecall } from './lease-port.ts';
import { LeaseTable } from './lease-table.ts';
import type { LocalShare } from './local-share.ts';
import { Waiters } from './waiters.ts';

export interface LeasedOptions {
  /** Most keys held at once. */
  readonly capacity: number;
  /** A key is returned after this long without a take. */
  readonly idleTtlMs: number;
  /** Among which the authority divides leases. */
  readonly workers: number;
  /** This worker's part of a limit while nobody can be asked: one of all workers on all hosts. */
  readonly share: LocalShare;
  readonly port: LeasePort;
  readonly clock: Clock;
  readonly breaker?: Breaker;
  /** The authority calls back tokens that others lack: small limits that are fast have leases, too. */
  readonly hasRecalls?: boolean;
}

/** How one charge went. The first three are admissions; `failed`: refused by the fail mode. */
type Verdict = 'leased' | 'shared' | 'open' | 'refused' | 'failed' | 'unknown';

/**
 * A worker's limiter when an authority decides for several: takes from leases with plain arithmetic, asks for more ahead
 * of need, and lets a request wait only when it holds too little for it and knows of no denial. While nobody answers, the
 * fail mode of each limit decides.
 */
export class LeasedLimiter implements Limiter, LeaseClient {
  readonly #table: LeaseTable;
  readonly #waiters = new Waiters();
  readonly #desk: LeaseDesk;
  readonly #share: LocalShare;
  readonly #clock: Clock;
  /** The table's, held here because each request looks at them: what is found by way of another object is one more miss of the caches. */
  readonly #memory: LeaseMemory;
  readonly #figures: LeaseFigures;
  /** From then on a take is more than a take: this worker's own share begins. Never later than the line says. */
  #plainUntilMs = Number.POSITIVE_INFINITY;
  readonly #verdicts: Verdict[] = [];
  /** Of the charge that was looked at last; −1: there was no room for it. */
  #lastSlot = -1;
  /** Of this worker itself, when it decided without its authority last. */
  #failMode: FailMode = 'local';
  #hasFailed = false;

  constructor(options: LeasedOptions) {
    const { capacity, idleTtlMs, workers, share, port, clock, breaker = new Breaker(), hasRecalls = false } = options;
    this.#table = new LeaseTable(capacity, workers, hasRecalls);
    this.#memory = this.#table.memory;
    this.#figures = this.#table.figures;
    this.#share = share;
    this.#clock = clock;
    this.#desk = new LeaseDesk(this.#table, this.#waiters, port, clock, breaker, idleTtlMs);
    port.attach(this);
    this.#desk.line.greet();
  }

  get buffer(): SharedArrayBuffer {
    return this.#table.buffer;
  }

  get size(): number {
    return this.#table.size;
  }

  takePlain({ slot = 0, tenure = 0, tokens }: Charge, nowMs: number, told: LimitTold): boolean {
    const figures = this.#figures;
    if (tenure === 0 || figures.tenure(slot) !== tenure || nowMs >= this.#plainUntilMs) return false;
    const left = takeLease(this.#memory, slot, tokens);
    if (left < 0) return false;
    figures.setUsedMs(slot, nowMs);
    if (left < figures.notice(slot)) this.#askAhead(slot, left, nowMs);
    figures.tell(slot, left, nowMs, told);
    return true;
  }

  take(charges: readonly Charge[], nowMs: number, out: LimitOutcome): Take {
    for (let i = 0; i < charges.length; i++) {
      const verdict = this.#takeOne(charges[i] as Charge, nowMs);
      this.#verdicts[i] = verdict;
      if (verdict === 'leased' || verdict === 'shared' || verdict === 'open') continue;
      this.#undo(charges, i);
      if (verdict === 'unknown') return 'unknown';
      this.#describeRefusal(charges[i] as Charge, verdict === 'failed', nowMs, out);
      this.#desk.decided();
      return 'refused';
    }
    this.#describe(charges, nowMs, out);
    this.#desk.decided();
    return 'taken';
  }

  /** All that is lacking is asked for at once, also what the take did not come to. */
  whenKnown(charges: readonly Charge[], again: () => void): void {
    const nowMs = this.#clock.nowMs();
    for (const charge of charges) if (this.#table.find(charge.key) === undefined) this.#locate(charge, nowMs);
    this.#desk.wait(charges, again);
  }

  /** Only what the authority still believes to be held here: what was reported as spent since it was taken stays spent. */
  giveBack(charges: readonly Charge[], _nowMs: number, takenMs: number): void {
    for (const { key, tokens } of charges) {
      const slot = this.#table.find(key);
      if (slot === undefined || takenMs <= (this.#table.spentMs[slot] as number)) continue;
      this.#putBack(slot, Math.min(tokens, (this.#table.told[slot] as number) - levelOf(this.#table.memory, slot)));
    }
  }

  answered(answers: LeaseAnswers): void {
    this.#desk.answered(answers);
    this.#plainUntilMs = this.#desk.line.shareFromMs;
    if (this.#desk.line.mayWait) this.#hasFailed = false;
  }

  recalled(recalls: readonly LeaseRecall[]): void {
    this.#desk.recalled(recalls);
  }

  connected(): void {
    this.#desk.line.greet();
  }

  disconnected(): void {
    this.#desk.disconnected();
  }

  sweep(nowMs: number): void {
    this.#desk.sweep(nowMs);
  }

  close(): void {
    this.#desk.close();
  }

  stats(): LimiterStats {
    const { asks, waits, timeouts, mode } = this.#desk;
    return { mode: this.#hasFailed ? this.#failMode : mode, asks, waits, timeouts, waiting: this.#waiters.size };
  }

  view(nowMs: number, max: number): readonly BucketView[] {
    const slots: number[] = [];
    for (let slot = 0; slot < this.#table.used; slot++) if (this.#table.isInUse(slot)) slots.push(slot);
    const { refused } = this.#table;
    slots.sort((a, b) => (refused[b] as number) - (refused[a] as number));
    return slots.slice(0, max).map((slot) => this.#viewOf(slot, nowMs));
  }

  #takeOne(charge: Charge, nowMs: number): Verdict {
    const table = this.#table;
    const { tokens, spec } = charge;
    let slot = table.noted(charge);
    if (slot < 0) slot = this.#locate(charge, nowMs);
    this.#lastSlot = slot;
    if (slot < 0) return this.#withoutRoom(spec.failMode);
    table.figures.setUsedMs(slot, nowMs);
    const left = takeLease(table.memory, slot, tokens);
    if (left < 0) return this.#takeWithout(slot, charge, nowMs);
    if (nowMs >= this.#desk.line.shareFromMs) this.#clipShare(slot, left + tokens, nowMs);
    if (left < table.figures.notice(slot)) this.#askAhead(slot, left, nowMs);
    return 'leased';
  }

  /** Little is left, or each take of the slot is told. */
  #askAhead(slot: number, left: number, nowMs: number): void {
    const figures = this.#figures;
    if (figures.quota(slot) === 0) this.#desk.markDirty(slot);
    else if (figures.isSmall(slot)) this.#desk.askAheadSoon(slot, nowMs, left === 0);
    else this.#desk.askAhead(slot, nowMs, left < figures.urgent(slot));
  }

  #locate(charge: Charge, nowMs: number): number {
    return this.#table.locate(charge, nowMs, (slot) => this.#desk.letGo(slot));
  }

  /** This worker holds too few tokens. */
  #takeWithout(slot: number, { tokens, spec }: Charge, nowMs: number): Verdict {
    const { line, isForced } = this.#desk;
    if (tokens > this.#table.figures.burst(slot)) return 'refused';
    if (!line.mayWait) return this.#fallBack(slot, spec, tokens, nowMs);
    if (this.#isDenied(slot, tokens, nowMs)) return 'refused';
    if (isForced || !this.#waiters.hasRoom(slot)) return this.#fallBack(slot, spec, tokens, nowMs);
    return 'unknown';
  }

  #isDenied(slot: number, tokens: number, nowMs: number): boolean {
    const { deniedUntilMs, deniedNeed, memory } = this.#table;
    return nowMs < (deniedUntilMs[slot] as number) && tokens - levelOf(memory, slot) >= (deniedNeed[slot] as number);
  }

  /** Nobody can be asked: the fail mode of the limit decides. */
  #fallBack(slot: number, spec: LimitSpec, tokens: number, nowMs: number): Verdict {
    this.#noteFailure(spec.failMode);
    this.#table.spentMs[slot] = nowMs;
    if (spec.failMode !== 'local') return spec.failMode === 'open' ? 'open' : 'failed';
    const emptyAtMs = this.#share.take(spec, this.#emptyAtMs(slot), tokens, nowMs, levelOf(this.#table.memory, slot));
    if (emptyAtMs < 0) return 'failed';
    this.#table.emptyAtMs[slot] = emptyAtMs;
    return 'shared';
  }

  /** What is left of a lease and what is earned while cut off are together no more than this worker's part of the burst. */
  #clipShare(slot: number, held: number, nowMs: number): void {
    const { specs, emptyAtMs } = this.#table;
    emptyAtMs[slot] = this.#share.clip(specs[slot] as LimitSpec, this.#emptyAtMs(slot), nowMs, held);
  }

  /** Every slot is in the middle of something. */
  #withoutRoom(failMode: FailMode): Verdict {
    this.#noteFailure(failMode);
    return failMode === 'open' ? 'open' : 'failed';
  }

  #noteFailure(failMode: FailMode): void {
    this.#failMode = failMode;
    this.#hasFailed = true;
  }

  #emptyAtMs(slot: number): number {
    return Math.max(this.#table.emptyAtMs[slot] as number, this.#desk.line.shareFromMs);
  }

  /** Gives back what the charges before `count` took, which nothing has looked at since. */
  #undo(charges: readonly Charge[], count: number): void {
    for (let i = 0; i < count; i++) {
      const { key, tokens, spec } = charges[i] as Charge;
      const slot = this.#table.find(key);
      if (slot === undefined) continue;
      if (this.#verdicts[i] === 'leased') this.#putBack(slot, tokens);
      else if (this.#verdicts[i] === 'shared') this.#table.emptyAtMs[slot] = this.#share.undo(spec, this.#emptyAtMs(slot), tokens);
    }
  }

  #putBack(slot: number, tokens: number): void {
    const { memory, figures } = this.#table;
    if (applyGrant(memory, slot, this.#table.generation(slot), tokens) === 0) return;
    if (levelOf(memory, slot) > figures.quota(slot)) this.#desk.markDirty(slot);
  }

  /** Of several limits, the one with the smallest share left. */
  #describe(charges: readonly Charge[], nowMs: number, out: LimitOutcome): void {
    out.isAllowed = true;
    out.retryAfterSecs = 0;
    for (let i = 0; i < charges.length; i++) {
      const charge = charges[i] as Charge;
      const verdict = this.#verdicts[i] as Verdict;
      const slot = this.#slotOf(charges, i);
      const remaining = this.#remaining(slot, charge.spec, verdict === 'shared', nowMs);
      if (i > 0 && remaining * out.limit >= out.remaining * wholeBurst(charge.spec)) continue;
      this.#fill(charge, remaining, out);
      out.mode = verdict === 'leased' && slot >= 0 ? this.#table.modeOf(slot) : verdict === 'shared' ? 'local' : charge.spec.failMode;
    }
  }

  /** What the last take found; of several charges, one may have had to make room for another. */
  #slotOf(charges: readonly Charge[], index: number): number {
    return charges.length === 1 ? this.#lastSlot : this.#table.noted(charges[index] as Charge);
  }

  #describeRefusal(charge: Charge, hasFailed: boolean, nowMs: number, out: LimitOutcome): void {
    const slot = this.#lastSlot;
    out.isAllowed = false;
    this.#fill(charge, this.#remaining(slot, charge.spec, hasFailed, nowMs), out);
    out.mode = hasFailed ? charge.spec.failMode : this.#table.modeOf(slot);
    out.retryAfterSecs = out.mode === 'closed' || slot < 0 ? 1 : this.#retryAfterSecs(slot, hasFailed, charge, nowMs);
    if (slot >= 0) this.#table.refused[slot] = (this.#table.refused[slot] as number) + 1;
  }

  #fill({ limit, spec }: Charge, remaining: number, out: LimitOutcome): void {
    const burst = wholeBurst(spec);
    out.decidedBy = limit;
    out.limit = burst;
    out.remaining = remaining;
    out.resetSecs = wholeSecs(((burst - remaining) / spec.perSecond) * 1000);
  }

  #remaining(slot: number, spec: LimitSpec, isOwnShare: boolean, nowMs: number): number {
    if (slot < 0) return 0;
    if (!isOwnShare) return this.#table.remaining(slot, nowMs);
    const level = levelOf(this.#table.memory, slot);
    return level + Math.floor(this.#share.level(spec, this.#emptyAtMs(slot), nowMs, level));
  }

  #retryAfterSecs(slot: number, isOwnShare: boolean, { tokens, spec }: Charge, nowMs: number): number {
    const missing = tokens - levelOf(this.#table.memory, slot) - this.#figures.leftNow(slot, nowMs);
    const waitMs = isOwnShare ? this.#share.waitMs(spec, this.#emptyAtMs(slot), tokens, nowMs) : (missing / spec.perSecond) * 1000;
    return waitMs < Number.POSITIVE_INFINITY ? Math.max(1, wholeSecs(waitMs)) : 1;
  }

  #viewOf(slot: number, nowMs: number): BucketView {
    const { keys, limits, specs, figures, refused, memory } = this.#table;
    const spec = specs[slot] as LimitSpec;
    return {
      key: keys[slot] as string,
      limit: limits[slot] as BucketView['limit'],
      perSecond: spec.perSecond,
      burst: figures.burst(slot),
      leased: levelOf(memory, slot),
      remaining: this.#table.remaining(slot, nowMs),
      refused: refused[slot] as number,
      deniedForMs: this.#table.deniedForMs(slot, nowMs),
      mode: this.#desk.line.mayWait ? this.#table.modeOf(slot) : spec.failMode,
    };
  }
}
