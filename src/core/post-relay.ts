import type { RequestHead } from './head.ts';

/** A POST to a standing stream that another worker holds. That worker authenticates and decides; nothing is decided before. */
export interface RelayedPost {
  readonly head: RequestHead;
  readonly body: Uint8Array;
}

/** What the POST is answered with; what it asked for comes on the stream. */
export interface PostAnswer {
  readonly status: number;
  /** As a `HeaderList`. */
  readonly headers: readonly string[];
  readonly body: string;
}

/** The way to the other workers of this gateway. */
export interface PostRelay {
  /** `done` is called once, never inside; null: that worker is not there, or does not answer. */
  send(worker: number, post: RelayedPost, done: (answer: PostAnswer | null) => void): void;
}
