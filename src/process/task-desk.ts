import type { ToPrimary } from '../core/messages.ts';
import type { TaskAnswer, TaskOrder, TaskRelay } from '../core/task-relay.ts';
import { Asks } from './asks.ts';

const LIMITS = { timeoutMs: 60_000, max: 1024 };

/** One worker's requests about tasks that other workers have, over the primary. */
export class TaskDesk implements TaskRelay {
  readonly #asks = new Asks<TaskAnswer>(LIMITS);
  readonly #send: (message: ToPrimary) => void;

  constructor(send: (message: ToPrimary) => void) {
    this.#send = send;
  }

  ask(worker: number, order: TaskOrder, done: (answer: TaskAnswer | null) => void): void {
    this.#asks.ask(
      (ticket) => this.#send({ type: 'task', worker, ticket, order }),
      (answer) => queueMicrotask(() => done(answer)),
    );
  }

  answered(ticket: number, answer: TaskAnswer | null): void {
    this.#asks.answer(ticket, answer);
  }
}
