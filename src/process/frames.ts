/** A frame on a stream socket: its length in 4 bytes (little endian), then so many bytes. */
export const MAX_FRAME_BYTES: number = 1_048_576;

export const HEADER_BYTES: number = 4;
const EMPTY: Uint8Array = new Uint8Array(0);

/** Cuts a byte stream into frames. Holds at most one unfinished frame. */
export class FrameReader {
  #held: Uint8Array = EMPTY;

  /**
   * Hands each complete frame over; it is only valid inside the callback.
   * @returns false when the stream cannot be ours: a frame is empty or too long
   */
  push(chunk: Uint8Array, take: (frame: Uint8Array) => void): boolean {
    const bytes = this.#held.length === 0 ? chunk : joined(this.#held, chunk);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let at = 0;
    while (bytes.length - at >= HEADER_BYTES) {
      const length = view.getUint32(at, true);
      if (length === 0 || length > MAX_FRAME_BYTES) return false;
      const end = at + HEADER_BYTES + length;
      if (end > bytes.length) break;
      take(bytes.subarray(at + HEADER_BYTES, end));
      at = end;
    }
    // A copy, so that what the socket read into may be used again.
    this.#held = at === bytes.length ? EMPTY : bytes.slice(at);
    return true;
  }
}

function joined(one: Uint8Array, other: Uint8Array): Uint8Array {
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}

/** `payload` with its length in front. */
export function framed(payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + payload.length);
  new DataView(frame.buffer).setUint32(0, payload.length, true);
  frame.set(payload, HEADER_BYTES);
  return frame;
}
