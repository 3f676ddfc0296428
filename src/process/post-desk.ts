import type { ToPrimary } from '../core/messages.ts';
import type { PostAnswer, PostRelay, RelayedPost } from '../core/post-relay.ts';
import { Asks } from './asks.ts';

const LIMITS = { timeoutMs: 5000, max: 256 };

/** One worker's POSTs for streams of other workers, over the primary. */
export class PostDesk implements PostRelay {
  readonly #asks = new Asks<PostAnswer>(LIMITS);
  readonly #send: (message: ToPrimary) => void;

  constructor(send: (message: ToPrimary) => void) {
    this.#send = send;
  }

  send(worker: number, post: RelayedPost, done: (answer: PostAnswer | null) => void): void {
    this.#asks.ask(
      (ticket) => this.#send({ type: 'post', worker, ticket, post }),
      (answer) => queueMicrotask(() => done(answer)),
    );
  }

  answered(ticket: number, answer: PostAnswer | null): void {
    this.#asks.answer(ticket, answer);
  }
}
