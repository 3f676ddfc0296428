export interface AskLimits {
  /** How long a question waits for its answer. */
  readonly timeoutMs: number;
  /** Questions waiting at a time; more are not asked. */
  readonly max: number;
}

/** Questions to another process that wait for their answers. */
export class Asks<Answer> {
  readonly #limits: AskLimits;
  readonly #waiting = new Map<number, (answer: Answer | null) => void>();
  #ticket = 0;

  constructor(limits: AskLimits) {
    this.#limits = limits;
  }

  /** `receive` is called once; null: there was no answer in time. Inside when too many wait. */
  ask(send: (ticket: number) => void, receive: (answer: Answer | null) => void): void {
    if (this.#waiting.size >= this.#limits.max) return receive(null);
    const ticket = ++this.#ticket;
    const timer = setTimeout(() => this.answer(ticket, null), this.#limits.timeoutMs);
    this.#waiting.set(ticket, (answer) => {
      clearTimeout(timer);
      receive(answer);
    });
    send(ticket);
  }

  answer(ticket: number, answer: Answer | null): void {
    const receive = this.#waiting.get(ticket);
    this.#waiting.delete(ticket);
    receive?.(answer);
  }
}
