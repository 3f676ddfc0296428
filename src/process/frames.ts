/** A frame on a stream socket: its length in 4 bytes (little endian), then so many bytes. */
export const MAX_FRAME_BYTES: number = 1_048_576;

export const HEADER_BYTES: number = 4;

/** Cuts a byte stream into frames. Holds at most one unfinished frame. */
export class FrameReader {
  readonly #maxBytes: number;
  #pieces: Uint8Array[] = [];
  #heldBytes = 0;
  /** Of the unfinished frame with its header; of the header alone until that is complete. */
  #neededBytes = HEADER_BYTES;

  constructor(maxBytes: number = MAX_FRAME_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Hands each complete frame over; it is only valid inside the callback if the chunks are used again.
   * @returns false when the stream cannot be ours: a frame is empty or too long
   */
  push(chunk: Uint8Array, take: (frame: Uint8Array) => void): boolean {
    if (this.#heldBytes + chunk.length < this.#neededBytes) {
      this.#hold(chunk);
      return true;
    }
    const bytes = this.#heldBytes === 0 ? chunk : joined(this.#pieces, chunk, this.#heldBytes + chunk.length);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#pieces = [];
    this.#heldBytes = 0;
    this.#neededBytes = HEADER_BYTES;
    let at = 0;
    while (bytes.length - at >= HEADER_BYTES) {
      const length = view.getUint32(at, true);
      if (length === 0 || length > this.#maxBytes) return false;
      const end = at + HEADER_BYTES + length;
      if (end > bytes.length) {
        this.#neededBytes = HEADER_BYTES + length;
        break;
      }
      take(bytes.subarray(at + HEADER_BYTES, end));
      at = end;
    }
    if (at < bytes.length) this.#hold(bytes.subarray(at));
    return true;
  }

  /** A copy, so that what the socket read into may be used again. */
  #hold(bytes: Uint8Array): void {
    this.#pieces.push(bytes.slice());
    this.#heldBytes += bytes.length;
  }
}

/** In one piece: a large frame comes in many chunks, and joining each to what is there would copy it over and over. */
function joined(pieces: readonly Uint8Array[], last: Uint8Array, length: number): Uint8Array {
  const all = Buffer.allocUnsafeSlow(length);
  let at = 0;
  for (const piece of [...pieces, last]) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

/** `payload` with its length in front. */
export function framed(payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + payload.length);
  new DataView(frame.buffer).setUint32(0, payload.length, true);
  frame.set(payload, HEADER_BYTES);
  return frame;
}
