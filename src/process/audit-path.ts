import type { Readable, Writable } from 'node:stream';
import type { ToPrimary, ToWorker } from '../core/messages.ts';
import { FrameReader } from './frames.ts';
import type { Link } from './link.ts';

/** Where a worker's audit lines travel to the primary, in order. */
export interface AuditPath {
  /** Complete lines in UTF-8; `lines` counts them, `dropped` those lost since the last batch. The bytes are not to be changed any more. */
  send(bytes: Uint8Array, lines: number, dropped: number): void;
  /** About how many bytes wait for the primary to read. */
  readonly backlogBytes: number;
  /** Calls back when the system has taken everything, or nobody is there to read it. */
  flush(done: () => void): void;
}

/** Descriptor of a worker's audit pipe: behind the standard streams and node's own channel. */
export const AUDIT_FD = 4;
/** Of a batch on the pipe, little endian: length of what follows u32, lines u32, dropped u32, bytes. */
const LENGTH_BYTES = 4;
const COUNT_BYTES = 8;
const MAX_COUNT = 0xffffffff;
/** More than a sink may let wait (8 MiB and a line). */
const MAX_BATCH_BYTES = 16 * 1024 * 1024;

/**
 * A pipe of its own: over node's channel a batch is packed, serialised, copied and parsed by several hands on both sides
 * (`docs/decisions/0037-pipe-for-audit-lines.md`).
 */
export class AuditPipe implements AuditPath {
  readonly #stream: Writable;

  constructor(stream: Writable) {
    this.#stream = stream;
  }

  get backlogBytes(): number {
    return this.#stream.writableLength;
  }

  send(bytes: Uint8Array, lines: number, dropped: number): void {
    const head = Buffer.allocUnsafe(LENGTH_BYTES + COUNT_BYTES);
    head.writeUInt32LE(COUNT_BYTES + bytes.length, 0);
    head.writeUInt32LE(Math.min(lines, MAX_COUNT), LENGTH_BYTES);
    head.writeUInt32LE(Math.min(dropped, MAX_COUNT), LENGTH_BYTES + 4);
    this.#stream.cork();
    this.#stream.write(head);
    this.#stream.write(bytes);
    this.#stream.uncork();
  }

  flush(done: () => void): void {
    // Called with an error when the other end is gone.
    this.#stream.write(Buffer.alloc(0), () => done());
  }
}

/** The worker inside the primary. */
export function auditPathOf(link: Link<ToPrimary, ToWorker>): AuditPath {
  return {
    send: (bytes, lines, dropped) => link.send({ type: 'audit', bytes, lines, dropped }),
    get backlogBytes() {
      return link.backlogBytes;
    },
    flush: (done) => link.flush(done),
  };
}

/** The primary's end of a pipe. `garbled`: it says something else, and nothing more is read. */
export function readAuditPipe(
  stream: Readable,
  take: (bytes: Uint8Array, lines: number, dropped: number) => void,
  garbled: () => void,
): void {
  const reader = new FrameReader(MAX_BATCH_BYTES);
  let isSound = true;
  const takeFrame = (frame: Uint8Array): void => {
    isSound &&= frame.length >= COUNT_BYTES;
    if (!isSound) return;
    const counts = new DataView(frame.buffer, frame.byteOffset, COUNT_BYTES);
    take(frame.subarray(COUNT_BYTES), counts.getUint32(0, true), counts.getUint32(4, true));
  };
  stream.on('data', (chunk: Uint8Array) => {
    isSound = reader.push(chunk, takeFrame) && isSound;
    if (isSound) return;
    stream.destroy();
    garbled();
  });
  // Of a worker that is being killed.
  stream.on('error', () => undefined);
}
