/** Something that waits for the next turn of the event loop. */
export interface Deferred {
  /** Must not throw. */
  runDeferred(): void;
}

/**
 * Runs what was pushed in one `setImmediate` per turn of the loop. Answers go through it because bytes that follow a
 * request in the same buffer must meet a request that is still pending: then the connection is closed instead of
 * parsing them as another request. Promise jobs are no substitute, they run before µWS goes on parsing.
 */
export class LoopQueue {
  #waiting: Deferred[] = [];
  readonly #runAll = (): void => {
    const batch = this.#waiting;
    this.#waiting = [];
    for (const deferred of batch) deferred.runDeferred();
  };

  push(deferred: Deferred): void {
    if (this.#waiting.push(deferred) === 1) setImmediate(this.#runAll);
  }
}
