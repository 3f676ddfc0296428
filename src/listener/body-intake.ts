const FIRST_BYTES = 16 * 1024;

/** Collects one request body in memory, at most `limitBytes` of it. Copies what it is given. */
export class BodyIntake {
  /** Bytes seen, also those past the limit, which are not kept. */
  seenBytes = 0;
  isTooLarge = false;
  readonly #declaredBytes: number;
  #limitBytes: number;
  #memory: Buffer | null = null;

  /** `declaredBytes` is −1 for a chunked body. */
  constructor(declaredBytes: number, limitBytes: number) {
    this.#declaredBytes = declaredBytes;
    this.#limitBytes = limitBytes;
  }

  /** Lowers the limit; what is already too large becomes so. */
  limitTo(limitBytes: number): void {
    this.#limitBytes = Math.min(this.#limitBytes, limitBytes);
    if (this.seenBytes > this.#limitBytes || this.#declaredBytes > this.#limitBytes) this.#overflow();
  }

  push(chunk: Uint8Array): void {
    const at = this.seenBytes;
    this.seenBytes += chunk.length;
    if (this.isTooLarge || chunk.length === 0) return;
    const isPastDeclared = this.#declaredBytes >= 0 && this.seenBytes > this.#declaredBytes;
    if (this.seenBytes > this.#limitBytes || isPastDeclared) this.#overflow();
    else this.#room(at).set(chunk, at);
  }

  /** The body, to be owned by the caller; call once, when all has arrived. */
  take(): Buffer {
    const body = this.#memory === null ? Buffer.alloc(0) : this.#memory.subarray(0, this.seenBytes);
    this.#memory = null;
    return body;
  }

  /**
   * Memory for all bytes seen. A declared body gets it once (pages that no byte reaches stay untouched); a chunked one
   * doubles it, because a list of pieces would cost a hundred bytes for each chunk of one byte.
   */
  #room(usedBytes: number): Buffer {
    const memory = this.#memory;
    if (memory !== null && memory.length >= this.seenBytes) return memory;
    const doubled = Math.min(Math.max(FIRST_BYTES, this.seenBytes * 2), this.#limitBytes);
    const grown = Buffer.allocUnsafe(this.#declaredBytes >= 0 ? this.#declaredBytes : doubled);
    memory?.copy(grown, 0, 0, usedBytes);
    this.#memory = grown;
    return grown;
  }

  #overflow(): void {
    this.isTooLarge = true;
    this.#memory = null;
  }
}
