import type { Clock, Timer } from '../core/clock.ts';
import type { LeaseAnswer, LeaseAsk, SendRecall } from '../core/limit.ts';

/** An ask for what requests wait for, which is answered when others have given back what they do not need. */
export interface WaitingAsk {
  readonly holder: number;
  readonly ask: LeaseAsk;
  readonly answer: (answer: LeaseAnswer) => void;
}

interface Recall {
  readonly id: number;
  /** Holders that have not answered yet. */
  readonly owing: Set<number>;
  waiting: WaitingAsk[];
  /** Whoever owes still, is not waited for any more. */
  isOver: boolean;
  timer: Timer | null;
}

/** How long an ask waits for holders; one that takes longer is busy, and keeps what it has. */
const RECALL_WITHIN_MS = 20;
/** Keys of which tokens are called back at once; beyond them asks are decided by what is there. */
const MAX_RECALLS = 8_192;
/** Asks that wait for one key: each worker has one under way, and what it asked before a lost connection. */
const MAX_WAITING = 64;

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
    if (recall.isOver && !recall.owing.has(waiting.holder)) return false;
    recall.waiting.push(waiting);
    return true;
  }

  /** Calls back what the holders have; the ask waits for that. False: none of them can be asked. */
  begin(holders: readonly number[], waiting: WaitingAsk): boolean {
    const { key } = waiting.ask;
    if (this.#recalls.has(key) || this.#recalls.size >= MAX_RECALLS) return false;
    this.#lastId = (this.#lastId % 0xffffffff) + 1;
    const id = this.#lastId;
    const owing = new Set(holders.filter((holder) => this.#send(holder, key, id)));
    this.sent += owing.size;
    if (owing.size === 0) return false;
    const timer = this.#clock.after(RECALL_WITHIN_MS, () => {
      recall.timer = null;
      this.#proceed(key, recall);
    });
    const recall: Recall = { id, owing, waiting: [waiting], isOver: false, timer };
    this.#recalls.set(key, recall);
    return true;
  }

  answered(holder: number, key: string, id: number): void {
    const recall = this.#recalls.get(key);
    if (recall?.id === id && recall.owing.delete(holder)) this.#proceed(key, recall);
  }

  /** It owes nothing any more, and waits for nothing. */
  lost(holder: number): void {
    for (const [key, recall] of this.#recalls) {
      const isWaiting = recall.waiting.some((waiting) => waiting.holder === holder);
      if (isWaiting) recall.waiting = recall.waiting.filter((waiting) => waiting.holder !== holder);
      if (recall.owing.delete(holder)) this.#proceed(key, recall);
    }
  }

  close(): void {
    for (const { timer } of this.#recalls.values()) timer?.cancel();
    this.#recalls.clear();
  }

  /** First come, first served: those whose holder has nothing to answer. */
  #proceed(key: string, recall: Recall): void {
    if (recall.owing.size === 0) this.#recalls.delete(key);
    recall.isOver ||= recall.owing.size === 0 || recall.timer === null;
    if (!recall.isOver) return;
    recall.timer?.cancel();
    const { waiting } = recall;
    recall.waiting = waiting.filter(({ holder }) => recall.owing.has(holder));
    for (const one of waiting) if (!recall.owing.has(one.holder)) this.#decide(one);
  }
}
