/** Something to write when the turn of the event loop is over. */
export interface Writer {
  /** Must not throw. */
  writeNow(): void;
}

/**
 * Writes what one turn of the loop has to send all together at its end. A server that waits is woken by the first of them and meets
 * the rest awake; written in between, each wakes it anew, which costs the writer most of the write (`docs/performance.md`).
 */
export class WriteQueue {
  #waiting: Writer[] = [];
  readonly #writeAll = (): void => {
    const batch = this.#waiting;
    this.#waiting = [];
    for (const writer of batch) writer.writeNow();
  };

  push(writer: Writer): void {
    if (this.#waiting.push(writer) === 1) setImmediate(this.#writeAll);
  }
}
