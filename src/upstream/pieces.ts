import { ByteStore } from '../mcp/byte-store.ts';

/**
 * The pieces of one message, put together. A single one, the usual case, is kept as it came; more go into one growing
 * buffer, because a list would cost two hundred bytes for each piece of one byte, and whoever sends chooses the pieces.
 */
export class Pieces {
  #first: Buffer | null = null;
  #store: ByteStore | null = null;

  push(piece: Buffer): void {
    if (piece.length === 0) return;
    if (this.#first === null && this.#store === null) {
      this.#first = piece;
      return;
    }
    this.#store ??= new ByteStore();
    if (this.#first !== null) this.#store.append(this.#first, 0, this.#first.length);
    this.#first = null;
    this.#store.append(piece, 0, piece.length);
  }

  /** All of them, owned by the caller; nothing is left. */
  take(): Buffer {
    const whole = this.#store?.view() ?? this.#first ?? Buffer.alloc(0);
    this.clear();
    return whole;
  }

  clear(): void {
    this.#first = null;
    this.#store = null;
  }
}
