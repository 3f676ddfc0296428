const NEWLINE = 10;
const TAKEN: Batch = { bytes: Buffer.alloc(0), lines: 0 };

interface Batch {
  readonly bytes: Buffer;
  readonly lines: number;
}

/** Bytes to write next, ending with a whole line. */
export interface Chunk {
  readonly bytes: Buffer;
  readonly lines: number;
}

/** Lines waiting for a file, bounded in bytes. Gives them back in order and never in the middle of a line. */
export class LineQueue {
  readonly #maxBytes: number;
  /** Places of taken batches are emptied and cut off now and then: shifting a long array copies it each time. */
  #batches: Batch[] = [];
  #first = 0;
  bytes = 0;
  lines = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** False when there is no room: nothing of it was taken. A missing last newline is added. */
  push(text: Uint8Array | string, lines: number): boolean {
    if (text.length === 0) return true;
    const bytes = wholeLines(typeof text === 'string' ? Buffer.from(text) : Buffer.from(text.buffer, text.byteOffset, text.length));
    if (this.bytes + bytes.length > this.#maxBytes) return false;
    this.#batches.push({ bytes, lines });
    this.bytes += bytes.length;
    this.lines += lines;
    return true;
  }

  /** Bytes of the first line that waits, 0 when none does. */
  get firstLineBytes(): number {
    const first = this.#batches[this.#first];
    return first === undefined ? 0 : first.bytes.indexOf(NEWLINE) + 1;
  }

  /** Takes whole lines, as many as fit into `roomBytes` and at least one. Null when empty. */
  take(roomBytes: number): Chunk | null {
    if (this.#first === this.#batches.length) return null;
    const taken: Batch[] = [];
    let room = roomBytes;
    for (let batch = this.#batches[this.#first]; batch !== undefined; batch = this.#batches[this.#first]) {
      if (batch.bytes.length > room) {
        const head = this.#splitFirst(batch, room, taken.length === 0);
        if (head !== null) taken.push(head);
        break;
      }
      taken.push(batch);
      this.#advance();
      room -= batch.bytes.length;
    }
    return this.#leave(taken);
  }

  /** Forgets everything; returns how many lines that were. */
  clear(): number {
    const { lines } = this;
    this.#batches = [];
    this.#first = 0;
    this.bytes = 0;
    this.lines = 0;
    return lines;
  }

  #advance(): void {
    this.#batches[this.#first] = TAKEN;
    this.#first += 1;
  }

  #splitFirst(batch: Batch, room: number, isNeeded: boolean): Batch | null {
    let end = room < 1 ? 0 : batch.bytes.lastIndexOf(NEWLINE, room - 1) + 1;
    if (end === 0) {
      if (!isNeeded) return null;
      end = batch.bytes.indexOf(NEWLINE) + 1;
    }
    const head = batch.bytes.subarray(0, end);
    const lines = countLines(head);
    if (end === batch.bytes.length) this.#advance();
    else this.#batches[this.#first] = { bytes: batch.bytes.subarray(end), lines: Math.max(batch.lines - lines, 0) };
    return { bytes: head, lines };
  }

  #leave(taken: readonly Batch[]): Chunk | null {
    const bytes = taken.length === 1 && taken[0] !== undefined ? taken[0].bytes : Buffer.concat(taken.map((batch) => batch.bytes));
    const lines = taken.reduce((sum, batch) => sum + batch.lines, 0);
    if (this.#first > this.#batches.length / 2) {
      this.#batches = this.#batches.slice(this.#first);
      this.#first = 0;
    }
    this.bytes -= bytes.length;
    this.lines = Math.max(this.lines - lines, 0);
    return { bytes, lines };
  }
}

function wholeLines(bytes: Buffer): Buffer {
  return bytes.at(-1) === NEWLINE ? bytes : Buffer.concat([bytes, Buffer.of(NEWLINE)]);
}

/** Newlines in `bytes`. */
export function countLines(bytes: Buffer): number {
  let lines = 0;
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) lines += 1;
  return lines;
}
