import type { Clock, Timer } from '../core/clock.ts';
import type { LeaseAnswer, LeaseAsk, SendRecall } from '../core/limit.ts';

/** An ask for what requests wait for, which is answered when others have given back what they do not need. */
export interface WaitingAsk {
  readonly holder: number;
  readonly ask: LeaseAsk;
  readonly answer: (answer: LeaseAnswer) => void;
}

interface Recall {
  /** What holders have not answered yet, by its number. */
  readonly owing: Map<number, number>;
  /** Those among them that asks still wait for. */
  readonly awaited: Set<number>;
  waiting: WaitingAsk[];
  /** Null: nobody is waited for any more. */
  timer: Timer | null;
}

/** How long an ask waits for holders; one that takes longer is busy, and keeps what it has. */
const RECALL_WITHIN_MS = 20;
/** A timer that comes later than this says that this event loop stood still: what has arrived meanwhile gets so long to be read. */
const LATE_MS = 5;
const CATCH_UP_MS = 5;
/** Keys of which tokens are called back at once; beyond them asks are decided by what is there. */
const MAX_RECALLS = 8_192;
/** Asks that wait for one key: each of at most 256 workers has one under way. */
const MAX_WAITING = 512;

/**
 * Tokens that are called back for asks that found too few. From the moment a holder is asked until it has answered it is granted
 * nothing of that key: its answer says what it has, and a grant on the way would be neither in that nor in what is held elsewhere.
 */
export class Recalls {
  readonly #clock: Clock;
  readonly #send: SendRecall;
  readonly #decide: (waiting: WaitingAsk) => void;
  readonly #recalls = new Map<string, Recall>();
  #lastId = 0;
  /** Holders asked so far, each time that they were. */
  sent = 0;

  /** `decide` answers an ask by what is there by then. */
  constructor(clock: Clock, send: SendRecall, decide: (waiting: WaitingAsk) => void) {
    this.#clock = clock;
    this.#send = send;
    this.#decide = decide;
  }

  /** Keys of which an answer is outstanding. */
  get size(): number {
    return this.#recalls.size;
  }

  /** The holder has a recall of this key to answer. */
  isOwed(holder: number, key: string): boolean {
    return this.#recalls.get(key)?.owing.has(holder) === true;
  }

  /** The ask waits, if others are just giving back, or its own holder is. */
  join(waiting: WaitingAsk): boolean {
    const recall = this.#recalls.get(waiting.ask.key);
    if (recall === undefined || recall.waiting.length >= MAX_WAITING) return false;
    if (recall.timer === null && !recall.owing.has(waiting.holder)) return false;
    recall.waiting.push(waiting);
    return true;
  }

  /** Calls back what the holders have; the ask waits for that. Who is busy with an earlier recall is not asked again. False: none of them can be asked. */
  begin(holders: readonly number[], waiting: WaitingAsk): boolean {
    const { key } = waiting.ask;
    const known = this.#recalls.get(key);
    if (known === undefined ? this.#recalls.size >= MAX_RECALLS : known.timer !== null || known.waiting.length >= MAX_WAITING) return false;
    this.#lastId = (this.#lastId % 0xffffffff) + 1;
    const id = this.#lastId;
    const asked = holders.filter((holder) => known?.owing.has(holder) !== true && this.#send(holder, key, id));
    this.sent += asked.length;
    if (asked.length === 0) return false;
    const recall: Recall = known ?? { owing: new Map(), awaited: new Set(), waiting: [], timer: null };
    for (const holder of asked) {
      recall.owing.set(holder, id);
      recall.awaited.add(holder);
    }
    recall.waiting.push(waiting);
    const dueMs = this.#clock.nowMs() + RECALL_WITHIN_MS;
    recall.timer = this.#clock.after(RECALL_WITHIN_MS, () => {
      if (this.#clock.nowMs() - dueMs <= LATE_MS) return this.#giveUp(key, recall);
      recall.timer = this.#clock.after(CATCH_UP_MS, () => this.#giveUp(key, recall));
    });
    this.#recalls.set(key, recall);
    return true;
  }

  answered(holder: number, key: string, id: number): void {
    const recall = this.#recalls.get(key);
    if (recall?.owing.get(holder) === id) this.#settled(holder, key, recall);
  }

  /** It owes nothing any more, and waits for nothing. */
  lost(holder: number): void {
    for (const [key, recall] of this.#recalls) {
      const isWaiting = recall.waiting.some((waiting) => waiting.holder === holder);
      if (isWaiting) recall.waiting = recall.waiting.filter((waiting) => waiting.holder !== holder);
      if (recall.owing.has(holder)) this.#settled(holder, key, recall);
    }
  }

  close(): void {
    for (const { timer } of this.#recalls.values()) timer?.cancel();
    this.#recalls.clear();
  }

  #giveUp(key: string, recall: Recall): void {
    recall.awaited.clear();
    this.#proceed(key, recall);
  }

  #settled(holder: number, key: string, recall: Recall): void {
    recall.owing.delete(holder);
    recall.awaited.delete(holder);
    this.#proceed(key, recall);
  }

  /** First come, first served: those whose holder has nothing to answer. */
  #proceed(key: string, recall: Recall): void {
    if (recall.owing.size === 0) this.#recalls.delete(key);
    if (recall.awaited.size > 0) return;
    recall.timer?.cancel();
    recall.timer = null;
    const { waiting } = recall;
    recall.waiting = waiting.filter(({ holder }) => recall.owing.has(holder));
    for (const one of waiting) if (!recall.owing.has(one.holder)) this.#decide(one);
  }
}
