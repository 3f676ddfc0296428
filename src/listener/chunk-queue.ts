/**
 * May be written between `open` and the next turn, when the head goes out, without the reader being called slow: nobody
 * has asked it yet, and who is called slow loses progress notifications.
 */
export const OPENING_BYTES: number = 64 * 1024;

/** Bytes of a streamed answer that wait for a slow reader. */
export class ChunkQueue {
  bytes = 0;
  readonly #chunks: Uint8Array[] = [];

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.bytes += chunk.length;
  }

  /** The next piece, at most `maxBytes` of it; call only while `bytes` is not 0. */
  shift(maxBytes: number): Uint8Array {
    const first = this.#chunks[0];
    if (first === undefined) throw new Error('The chunk queue is empty');
    const piece = first.length <= maxBytes ? first : first.subarray(0, maxBytes);
    if (piece === first) this.#chunks.shift();
    else this.#chunks[0] = first.subarray(maxBytes);
    this.bytes -= piece.length;
    return piece;
  }

  clear(): void {
    this.#chunks.length = 0;
    this.bytes = 0;
  }
}
