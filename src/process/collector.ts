import type { ToWorker } from '../core/messages.ts';

/** How long a worker may take to answer; a round goes on without those that do not. */
const COLLECT_TIMEOUT_MS = 1500;

/** The workers as a collector sees them. */
export interface Workers {
  living(): number[];
  send(slot: number, message: ToWorker): void;
}

interface Round<Answer> {
  readonly ticket: number;
  readonly missing: Set<number>;
  readonly answers: Answer[];
  readonly result: Promise<readonly Answer[]>;
  finish(): void;
}

/** Asks all workers the same and gathers their answers, one round at a time for however many wait. */
export class Collector<Answer> {
  readonly #workers: Workers;
  readonly #question: (ticket: number) => ToWorker;
  #ticket = 0;
  #round: Round<Answer> | null = null;

  constructor(workers: Workers, question: (ticket: number) => ToWorker) {
    this.#workers = workers;
    this.#question = question;
  }

  collect(): Promise<readonly Answer[]> {
    return (this.#round ?? this.#begin()).result;
  }

  /** A worker's answer. */
  receive(slot: number, ticket: number, answer: Answer): void {
    const round = this.#round;
    if (round === null || ticket !== round.ticket || !round.missing.delete(slot)) return;
    round.answers.push(answer);
    if (round.missing.size === 0) round.finish();
  }

  /** A worker died: nobody waits for it. */
  forget(slot: number): void {
    const round = this.#round;
    if (round?.missing.delete(slot) === true && round.missing.size === 0) round.finish();
  }

  #begin(): Round<Answer> {
    const { promise: result, resolve } = Promise.withResolvers<readonly Answer[]>();
    const answers: Answer[] = [];
    const ticket = ++this.#ticket;
    const finish = (): void => {
      clearTimeout(timer);
      this.#round = null;
      resolve(answers);
    };
    const timer = setTimeout(finish, COLLECT_TIMEOUT_MS);
    const round: Round<Answer> = { ticket, missing: new Set(this.#workers.living()), answers, result, finish };
    this.#round = round;
    for (const slot of round.missing) this.#workers.send(slot, this.#question(ticket));
    if (round.missing.size === 0) finish();
    return round;
  }
}
