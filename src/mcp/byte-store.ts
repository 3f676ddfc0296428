const FIRST_BYTES = 1024;
const KEPT_BYTES = 65_536;

/** Bytes that arrive in pieces, in one growing buffer, so that tiny pieces cost no more than their length. */
export class ByteStore {
  length = 0;
  private buffer: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);

  /** Appends a copy of `bytes[from, to)`. */
  append(bytes: Uint8Array, from: number, to: number): void {
    this.reserve(to - from);
    this.buffer.set(bytes.subarray(from, to), this.length);
    this.length += to - from;
  }

  appendByte(byte: number): void {
    this.reserve(1);
    this.buffer[this.length++] = byte;
  }

  /** What is stored, valid until the next change. */
  view(): Buffer {
    return this.buffer.subarray(0, this.length);
  }

  /** Empties the store, and gives back a large buffer. */
  clear(): void {
    this.length = 0;
    if (this.buffer.length > KEPT_BYTES) this.buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  }

  private reserve(bytes: number): void {
    const needed = this.length + bytes;
    if (needed <= this.buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2));
    this.buffer.copy(larger, 0, 0, this.length);
    this.buffer = larger;
  }
}
