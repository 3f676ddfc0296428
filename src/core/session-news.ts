/** A session that was used. */
export interface SessionTouch {
  readonly ref: string;
  /** Hash of whose it is. */
  readonly owner: string;
}

/** What a worker tells the others of the sessions of clients, through the primary. */
export interface SessionNews {
  /** Used since the last news. */
  readonly touched: readonly SessionTouch[];
  /** Over, and until when that must be remembered (wall clock): afterwards their age alone says so. */
  readonly ended: readonly { readonly ref: string; readonly untilMs: number }[];
  /** Requests that nobody waits for any more, as their clients took them back or fetched the reply: names of the session and raw JSON ids. */
  readonly cancelled: readonly { readonly ref: string; readonly idToken: string }[];
}
