import type { Clock, Timer } from '../core/clock.ts';
import type { Breaker } from './breaker.ts';
import { MAX_BATCH_ENTRIES, REPORT_EVERY_MS, SHARE_AFTER_MS } from './lease-port.ts';
import type { LeasePort, LeaseReturn, SlotAsk } from './lease-port.ts';

/**
 * An answer that took longer tells that the authority is there, but not that it can be waited for. Many times what an answer
 * takes, because primary and worker share a machine: that it is busy for a moment must not refuse anybody.
 */
const ANSWER_WITHIN_MS = 100;
/** After as long without an answer nobody waits for this authority until it is heard again. */
const LOST_AFTER_MS = 2 * REPORT_EVERY_MS;
/** As long as nothing has been heard on this connection. */
const FIRST_ANSWER_WITHIN_MS = 20;
/** A timer that comes later than this says that this event loop was busy; nothing can be concluded about the authority. */
const LATE_MS = 10;
/** By so much a timer may be early, and what was sent with a turn was sent a little after it began. */
const EARLY_MS = 10;
/** A stamp that took longer is not taken note of, so that a slow authority leaves a worker its share. */
const STAMP_WITHIN_MS = SHARE_AFTER_MS / 2;
const NONE: readonly never[] = [];

/**
 * A worker's line to its authority. It is up once the authority has answered a greeting (an empty batch that says that
 * the worker holds nothing) and as long as the breaker is closed. Then a batch goes out when nothing was sent for `REPORT_EVERY_MS`, if only an
 * empty one: its answer vouches for the worker, and its lack tells of an outage that no request has met.
 */
export class LeaseLine {
  readonly #port: LeasePort;
  readonly #clock: Clock;
  readonly #breaker: Breaker;
  readonly #onTurn: () => void;
  readonly #onDue: () => void;
  readonly #onUp: () => void;
  #timer: Timer;
  #isGreeted = false;
  #stamp = 0;
  /** From then on this worker may spend its own share of each limit; Infinity: it never heard of an authority. */
  #shareFromMs = Number.POSITIVE_INFINITY;
  /** When the batch left by which silence is measured: after an answer the last one, if that is not answered yet; 0 = none. */
  #unansweredMs = 0;
  #sentMs = 0;
  #nextTurnMs: number;
  /** When a turn came too late to say anything, last. */
  #lateMs = Number.NEGATIVE_INFINITY;
  /** The last turn in time said nothing, because of a late one before it. */
  #isExcused = false;
  /** When silence was counted as a failure last. */
  #failedMs = Number.NEGATIVE_INFINITY;

  /** `onTurn` is called at least every `REPORT_EVERY_MS`; `onDue`: a batch is due, and had better be filled; `onUp`: asks are possible (again). */
  constructor(port: LeasePort, clock: Clock, breaker: Breaker, onTurn: () => void, onDue: () => void, onUp: () => void) {
    this.#port = port;
    this.#clock = clock;
    this.#breaker = breaker;
    this.#onTurn = onTurn;
    this.#onDue = onDue;
    this.#onUp = onUp;
    this.#nextTurnMs = clock.nowMs() + REPORT_EVERY_MS;
    this.#timer = clock.after(REPORT_EVERY_MS, () => this.#turn());
  }

  get isUp(): boolean {
    return this.#isGreeted && this.#breaker.isClosed;
  }

  /** False: the fail mode decides at once. */
  get mayWait(): boolean {
    return this.#breaker.isClosed;
  }

  /** How long it is worth waiting for an answer. */
  get patienceMs(): number {
    return this.#isGreeted ? ANSWER_WITHIN_MS : FIRST_ANSWER_WITHIN_MS;
  }

  get shareFromMs(): number {
    return this.#shareFromMs;
  }

  /** Nothing while greeted: what is held by then would be written off. */
  greet(): void {
    if (!this.#isGreeted) this.#transmit(true, NONE, NONE);
  }

  /** Only while up. Returns go first. */
  send(returns: readonly LeaseReturn[], asks: readonly SlotAsk[]): void {
    for (let at = 0; at < returns.length + asks.length; at += MAX_BATCH_ENTRIES) {
      const end = at + MAX_BATCH_ENTRIES;
      const asksFrom = Math.max(0, at - returns.length);
      this.#transmit(false, returns.slice(at, end), asks.slice(asksFrom, Math.max(0, end - returns.length)));
    }
  }

  /** Requests that could have waited no longer; many at once are one failure. */
  timedOut(nowMs: number): void {
    this.#breaker.failed(nowMs);
  }

  /** An answer to what was sent at `sentMs`. */
  answered(stamp: number, sentMs: number): void {
    const nowMs = this.#clock.nowMs();
    const tookMs = nowMs - sentMs;
    if (sentMs >= this.#unansweredMs) this.#unansweredMs = this.#sentMs > sentMs ? this.#sentMs : 0;
    if (tookMs <= STAMP_WITHIN_MS && stamp > this.#stamp) {
      this.#stamp = stamp;
      this.#shareFromMs = nowMs + SHARE_AFTER_MS;
    }
    const wasUp = this.isUp;
    this.#isGreeted = true;
    if (tookMs <= ANSWER_WITHIN_MS) this.#breaker.succeeded();
    if (!wasUp && this.isUp) this.#onUp();
  }

  disconnected(): void {
    // What was not answered counts on: a connection that is lost again and again is silence.
    this.#isGreeted = false;
    this.greet();
  }

  close(): void {
    this.#timer.cancel();
  }

  /** Once a batch is due; and before, if one has left since the last turn: the next is then so much later. */
  #turn(): void {
    const nowMs = this.#clock.nowMs();
    this.#judge(nowMs);
    this.#onTurn();
    if (this.#breaker.isClosed) {
      if (this.#isDue(nowMs)) this.#sendDue(nowMs);
    } else if (this.#breaker.mayProbe(nowMs)) {
      this.#transmit(!this.#isGreeted, NONE, NONE);
    }
    // The turn itself may have taken a while.
    const endMs = this.#clock.nowMs();
    const waitMs = this.#isDue(nowMs) ? REPORT_EVERY_MS : Math.max(0, this.#sentMs + REPORT_EVERY_MS - endMs);
    this.#nextTurnMs = endMs + waitMs;
    this.#timer = this.#clock.after(waitMs, () => this.#turn());
  }

  /**
   * What has arrived in a loop that stood still is read after a late turn, and the authority may have stood still as well: it gets a turn. One only, or a loop
   * late by turns would never see it silent.
   */
  #judge(nowMs: number): void {
    if (nowMs - this.#nextTurnMs > LATE_MS) {
      this.#lateMs = nowMs;
      return;
    }
    this.#isExcused = !this.#isExcused && nowMs - this.#lateMs < REPORT_EVERY_MS - EARLY_MS;
    if (!this.#isExcused) this.#noteSilence(nowMs);
  }

  #sendDue(nowMs: number): void {
    this.#onDue();
    if (this.#isDue(nowMs)) this.#transmit(!this.#isGreeted, NONE, NONE);
  }

  /** Nothing was sent for a turn. */
  #isDue(nowMs: number): boolean {
    return nowMs - this.#sentMs >= REPORT_EVERY_MS - EARLY_MS;
  }

  /** A failure counts no more often than four times a second, however many turns there are. */
  #noteSilence(nowMs: number): void {
    const silentMs = this.#unansweredMs > 0 ? nowMs - this.#unansweredMs : 0;
    if (silentMs >= LOST_AFTER_MS - EARLY_MS) return this.#breaker.open(nowMs);
    if (silentMs <= ANSWER_WITHIN_MS || nowMs - this.#failedMs < REPORT_EVERY_MS) return;
    this.#failedMs = nowMs;
    this.#breaker.failed(nowMs);
  }

  #transmit(isReset: boolean, returns: readonly LeaseReturn[], asks: readonly SlotAsk[]): void {
    const nowMs = this.#clock.nowMs();
    this.#sentMs = nowMs;
    if (this.#unansweredMs === 0) this.#unansweredMs = nowMs;
    this.#port.send({ stamp: this.#stamp, sentMs: nowMs, isReset, returns, asks });
  }
}
