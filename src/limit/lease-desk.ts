import type { Clock, Timer } from '../core/clock.ts';
import type { Charge, LimitMode } from '../core/limit.ts';
import type { Breaker } from './breaker.ts';
import { ASKING, BUSY, DIRTY, QUEUED } from './lease-figures.ts';
import { LeaseLine } from './lease-line.ts';
import { levelOf, takeLease } from './lease-memory.ts';
import {
  type LeaseAnswers,
  type LeasePort,
  type LeaseRecall,
  type LeaseReturn,
  MAX_HELD,
  type SlotAnswer,
  type SlotAsk,
} from './lease-port.ts';
import type { LeaseTable } from './lease-table.ts';
import { WaitClock } from './wait-clock.ts';
import type { Waiter, Waiters } from './waiters.ts';

/** What is spent of a limit too small for leases is told so soon: the authority cannot refill what it believes to be held. */
const REPORT_SOON_MS = 5;
/** What is left of a lease may be gone before the next batch of the line. */
const URGENT_MS = 1;
/** A sweep looks at this many slots, or an eighth of those ever used, whichever is more. */
const SWEEP_SLOTS = 8_192;

/**
 * The asynchronous side of a worker's limiter: what is to be asked for and returned is collected and sent once per turn
 * of the event loop, answers are noted, and who waits for them is called in order.
 */
export class LeaseDesk {
  readonly line: LeaseLine;
  readonly #table: LeaseTable;
  readonly #waiters: Waiters;
  readonly #port: LeasePort;
  readonly #clock: Clock;
  readonly #waitClock: WaitClock;
  readonly #idleTtlMs: number;
  #queued: number[] = [];
  #returns: LeaseReturn[] = [];
  #dirty: number[] = [];
  #reportTimer: Timer | null = null;
  #aheadTimer: Timer | null = null;
  #aheadDueMs = Number.NEGATIVE_INFINITY;
  /** Called in the next turn because what they wait for is there already. */
  #ready: Waiter[] = [];
  #isScheduled = false;
  /** The waiter that is being called. */
  #current: Waiter | null = null;
  #sweepHand = 0;
  asks = 0;
  waits = 0;
  timeouts = 0;
  /** Of the last answer. */
  mode: LimitMode = 'remote';

  constructor(table: LeaseTable, waiters: Waiters, port: LeasePort, clock: Clock, breaker: Breaker, idleTtlMs: number) {
    this.#table = table;
    this.#waiters = waiters;
    this.#port = port;
    this.#clock = clock;
    this.#waitClock = new WaitClock(clock, () => this.#expire());
    this.#idleTtlMs = idleTtlMs;
    this.line = new LeaseLine(
      port,
      clock,
      breaker,
      () => this.#report(true),
      () => this.#flush(),
      () => this.#resume(),
    );
  }

  /** True inside the callback of a request whose time is up: its take has to end. */
  get isForced(): boolean {
    return this.#current !== null && this.#waitClock.nowMs() >= this.#current.dueMs;
  }

  /** The take of the request that is being called has ended: the next one is another. */
  decided(): void {
    this.#current = null;
  }

  /**
   * Asks for a lease before the tokens are needed, unless that is known to be in vain: with the next batch, which leaves anyway. It costs five processes and
   * threads a wake-up each, so that twenty asks in one cost little more than one. Who waits for tokens takes along what is there.
   */
  askAhead(slot: number, nowMs: number, isUrgent: boolean): void {
    const flags = this.#table.figures.flags(slot);
    if ((flags & ASKING) !== 0 || ((flags & QUEUED) !== 0 && !isUrgent)) return;
    if (nowMs < (this.#table.deniedUntilMs[slot] as number) || !this.line.isUp) return;
    if ((flags & QUEUED) === 0) this.#enqueue(slot);
    if (isUrgent) this.#flushWithin(URGENT_MS, nowMs);
  }

  /** What was taken of a small limit is told soon, with an ask for as much unless leases of it are deferred. */
  askAheadSoon(slot: number, nowMs: number, isEmpty: boolean): void {
    const flags = this.#table.figures.flags(slot);
    if ((flags & QUEUED) !== 0 && !isEmpty) return;
    if ((flags & ASKING) !== 0 || nowMs < (this.#table.deniedUntilMs[slot] as number) || !this.line.isUp) return this.markDirty(slot);
    if ((flags & QUEUED) === 0) this.#enqueue(slot);
    this.#flushWithin(isEmpty ? URGENT_MS : REPORT_SOON_MS, nowMs);
  }

  /** As `LeaseClient.recalled`. What requests wait for, for another limit too, stays. */
  recalled(recalls: readonly LeaseRecall[]): void {
    const table = this.#table;
    const nowMs = this.#clock.nowMs();
    for (const { key, recall } of recalls) {
      const slot = table.find(key);
      if (slot === undefined) {
        this.#returns.push({ key, tokens: 0, have: MAX_HELD, recall });
        continue;
      }
      const level = levelOf(table.memory, slot);
      const have = Math.min(level, this.#waiters.need(slot));
      takeLease(table.memory, slot, level - have);
      table.told[slot] = have;
      table.spentMs[slot] = nowMs;
      table.figures.addLeft(slot, level - have);
      this.#returns.push({ key, tokens: level - have, have, recall });
    }
    this.#schedule();
  }

  /** To be reported soon. */
  markDirty(slot: number): void {
    const { figures } = this.#table;
    if ((figures.flags(slot) & DIRTY) !== 0) return;
    figures.setFlags(slot, figures.flags(slot) | DIRTY);
    this.#dirty.push(slot);
    this.#wakeReport();
  }

  /** As `Limiter.whenKnown`. */
  wait(charges: readonly Charge[], again: () => void): void {
    const slots: number[] = [];
    const tokens: number[] = [];
    for (const charge of charges) {
      const slot = this.#table.find(charge.key);
      if (slot === undefined || levelOf(this.#table.memory, slot) >= charge.tokens || slots.includes(slot)) continue;
      slots.push(slot);
      tokens.push(charge.tokens);
    }
    if (this.#current === null) this.waits += 1;
    const dueMs = this.#current?.dueMs ?? this.#waitClock.nowMs() + this.line.patienceMs;
    const waiter = { again, dueMs, slots, tokens };
    this.#waiters.add(waiter);
    for (const slot of slots) this.#askNow(slot);
    if (slots.length === 0) this.#callSoon(waiter);
    this.#waitClock.wakeAt(dueMs);
  }

  /** As `LeaseClient.answered`. */
  answered({ stamp, sentMs, answers }: LeaseAnswers): void {
    this.line.answered(stamp, sentMs);
    const nowMs = this.#clock.nowMs();
    const settled = answers.filter((answer) => this.#note(answer, nowMs));
    for (const { slot } of settled) {
      for (const waiter of this.#waiters.of(slot)) this.#call(waiter);
      if (levelOf(this.#table.memory, slot) > this.#table.figures.quota(slot)) this.markDirty(slot);
    }
  }

  /** As `LeaseClient.disconnected`. */
  disconnected(): void {
    this.#table.voidAll();
    this.#returns = [];
    this.#queued = [];
    this.#dirty = [];
    this.line.disconnected();
  }

  /** Gives a slot up; false while something is under way, or when what it holds could not be returned. */
  letGo(slot: number): boolean {
    const table = this.#table;
    if (!table.isInUse(slot) || (table.figures.flags(slot) & BUSY) !== 0 || this.#waiters.has(slot)) return false;
    if ((table.told[slot] as number) > 0) {
      if (!this.line.isUp) return false;
      this.#returns.push({ key: table.keys[slot] as string, tokens: levelOf(table.memory, slot), have: 0, recall: 0 });
      this.#schedule();
    }
    table.close(slot);
    return true;
  }

  sweep(nowMs: number): void {
    const { used, figures } = this.#table;
    for (let visits = Math.min(used, Math.max(SWEEP_SLOTS, Math.ceil(used / 8))); visits > 0; visits--) {
      if (this.#sweepHand >= used) this.#sweepHand = 0;
      const slot = this.#sweepHand++;
      if (nowMs - figures.usedMs(slot) >= this.#idleTtlMs) this.letGo(slot);
    }
    if (this.#table.size === 0) this.#table.forgetAll();
  }

  /** Returns what is held. Nobody is left waiting. */
  close(): void {
    for (const waiter of this.#waiters.all()) this.#call(waiter);
    this.#askNothing();
    for (let slot = 0; slot < this.#table.used; slot++) this.letGo(slot);
    this.#flush();
    this.line.close();
    this.#waitClock.close();
    this.#reportTimer?.cancel();
    this.#aheadTimer?.cancel();
  }

  /** Somebody waits for it: with the end of this turn, unless an ask is under way. */
  #askNow(slot: number): void {
    const flags = this.#table.figures.flags(slot);
    if ((flags & ASKING) !== 0) return;
    if ((flags & QUEUED) === 0) this.#enqueue(slot);
    this.#schedule();
  }

  #enqueue(slot: number): void {
    const { figures } = this.#table;
    figures.setFlags(slot, figures.flags(slot) | QUEUED);
    this.#queued.push(slot);
  }

  /** What was to be asked for is not needed any more. */
  #askNothing(): void {
    const { figures } = this.#table;
    for (const slot of this.#queued) figures.setFlags(slot, figures.flags(slot) & ~QUEUED);
    this.#queued = [];
  }

  #callSoon(waiter: Waiter): void {
    this.#ready.push(waiter);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#port.afterTurn(() => this.#flush());
  }

  #flushWithin(ms: number, nowMs: number): void {
    if (this.#aheadTimer !== null && this.#aheadDueMs <= nowMs + ms) return;
    this.#aheadTimer?.cancel();
    this.#aheadDueMs = nowMs + ms;
    this.#aheadTimer = this.#clock.after(ms, () => this.#flush());
  }

  #flush(): void {
    this.#isScheduled = false;
    this.#aheadTimer?.cancel();
    this.#aheadTimer = null;
    const ready = this.#ready;
    this.#ready = [];
    for (const waiter of ready) this.#call(waiter);
    if (!this.line.isUp) return;
    const asks: SlotAsk[] = [];
    const nowMs = this.#clock.nowMs();
    const queued = this.#queued;
    this.#queued = [];
    for (const slot of queued) {
      const ask = this.#ask(slot, nowMs);
      if (ask !== null) asks.push(ask);
    }
    const returns = this.#returns;
    this.#returns = [];
    if (asks.length + returns.length > 0) this.line.send(returns, asks);
  }

  /** What a queued slot needs by now; null when it is there already, or lasts until the next batch. */
  #ask(slot: number, nowMs: number): SlotAsk | null {
    const { memory, told, figures, askedLeast, specs, keys, limits } = this.#table;
    figures.setFlags(slot, figures.flags(slot) & ~QUEUED);
    const have = levelOf(memory, slot);
    const first = this.#waiters.firstNeed(slot);
    if (first > 0 && first <= have) for (const waiter of this.#waiters.of(slot)) this.#callSoon(waiter);
    if (first === 0 && !this.#table.isNeededSoon(slot, nowMs)) return null;
    const want = Math.min(figures.burst(slot), this.#waiters.need(slot) + figures.quota(slot) - have);
    if (want <= 0) {
      // It came back with more than it needs: what was spent of that is told all the same, or nothing is refilled in its place.
      if (figures.isSmall(slot)) this.markDirty(slot);
      return null;
    }
    // Ahead of need a lease is worth an answer only as a whole; who waits takes what there is.
    const atLeast = first > have ? Math.min(want, first - have) : want;
    figures.setFlags(slot, figures.flags(slot) | ASKING);
    told[slot] = have;
    this.#table.spentMs[slot] = nowMs;
    const ahead = first > have ? Math.max(0, want - Math.max(atLeast, this.#waiters.need(slot) - have)) : want;
    // That there is no lease says nothing of what a request needs.
    askedLeast[slot] = ahead === want ? figures.burst(slot) + 1 : atLeast;
    this.asks += 1;
    const spec = specs[slot] as SlotAsk['spec'];
    const generation = this.#table.generation(slot);
    return { slot, generation, key: keys[slot] as string, limit: limits[slot] as SlotAsk['limit'], spec, want, atLeast, have, ahead };
  }

  /** False: the slot has another owner by now, or asked for nothing. */
  #note({ slot, generation, granted, waitMs, left, mode }: SlotAnswer, nowMs: number): boolean {
    const table = this.#table;
    if (!table.isOwner(slot, generation) || (table.figures.flags(slot) & ASKING) === 0) return false;
    table.figures.setFlags(slot, table.figures.flags(slot) & ~ASKING);
    table.told[slot] = (table.told[slot] as number) + granted;
    table.figures.answer(slot, left, nowMs);
    table.setMode(slot, mode);
    if (granted > 0) {
      table.deferAhead(slot, waitMs > 0 ? nowMs + waitMs : 0);
    } else {
      table.deniedUntilMs[slot] = nowMs + waitMs;
      table.deniedNeed[slot] = table.askedLeast[slot] as number;
    }
    this.mode = mode;
    return true;
  }

  #call(waiter: Waiter): void {
    const { again } = waiter;
    if (!this.#waiters.remove(waiter) || again === null) return;
    waiter.again = null;
    this.#current = waiter;
    try {
      again();
    } finally {
      this.#current = null;
    }
  }

  /** Asks are possible again: for those who wait now, and what was queued. */
  #resume(): void {
    for (const slot of this.#waiters.slots()) this.#askNow(slot);
    this.#schedule();
  }

  #expire(): void {
    const due = this.#waiters.due(this.#waitClock.nowMs());
    this.timeouts += due.length;
    const { figures } = this.#table;
    if (due.some((waiter) => waiter.slots.some((slot) => (figures.flags(slot) & BUSY) !== 0))) this.line.timedOut(this.#clock.nowMs());
    // While the breaker is open nobody waits.
    for (const waiter of this.line.mayWait ? due : this.#waiters.all()) this.#call(waiter);
    const nextMs = this.#waiters.nextDueMs();
    if (nextMs < Number.POSITIVE_INFINITY) this.#waitClock.wakeAt(nextMs);
  }

  #wakeReport(): void {
    if (this.#reportTimer === null) this.#reportTimer = this.#clock.after(REPORT_SOON_MS, () => this.#reportSoon());
  }

  #reportSoon(): void {
    this.#reportTimer = null;
    if (this.line.isUp) this.#report(false);
  }

  /** Tells what was spent of limits too small for leases; with every turn of the line, returns what was not needed after all. */
  #report(isTurn: boolean): void {
    if (!this.line.isUp) return this.#dropSurplus();
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const slot of dirty) {
      const flags = this.#table.figures.flags(slot);
      if ((flags & DIRTY) === 0) continue;
      if ((flags & BUSY) !== 0 || this.#waiters.has(slot)) this.#keepDirty(slot);
      else this.#reportSlot(slot, isTurn);
    }
  }

  /** An ask is under way, which may not count what was spent since: that is told soon after. */
  #keepDirty(slot: number): void {
    this.#dirty.push(slot);
    this.#wakeReport();
  }

  /** What cannot be returned is lost: beyond its lease a worker may have no more than its own share, which it earns now. */
  #dropSurplus(): void {
    const { memory, figures } = this.#table;
    for (const slot of this.#dirty) takeLease(memory, slot, Math.max(0, levelOf(memory, slot) - figures.quota(slot)));
  }

  #reportSlot(slot: number, isTurn: boolean): void {
    const { memory, told, figures, keys } = this.#table;
    const level = levelOf(memory, slot);
    const surplus = Math.max(0, level - figures.quota(slot));
    const tokens = isTurn ? surplus : 0;
    // A request may still be waiting for another limit, and come back for what it was granted of this one.
    if (surplus > tokens) this.#dirty.push(slot);
    else figures.setFlags(slot, figures.flags(slot) & ~DIRTY);
    const have = level - tokens;
    if (told[slot] === have) return;
    takeLease(memory, slot, tokens);
    told[slot] = have;
    this.#table.spentMs[slot] = this.#clock.nowMs();
    figures.addLeft(slot, tokens);
    this.#returns.push({ key: keys[slot] as string, tokens, have, recall: 0 });
    this.#schedule();
  }
}
