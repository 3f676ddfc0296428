import type { Socket } from 'node:net';
import { Packr, RESERVE_START_SPACE } from 'msgpackr';
import { FrameReader, HEADER_BYTES } from './frames.ts';

/** A batch is sent when it weighs as much, without waiting for the end of the turn. */
const BATCH_BYTES = 262_144;
/** What a message weighs beside its bytes. */
const MESSAGE_BYTES = 256;
/** Before the other end has said who it is. */
const MAX_GREETING_BYTES = 128;

const packr = new Packr({ useRecords: false });

/** A message as it is sent: plain data for msgpackr, and about how large it is. */
export interface Packed {
  readonly value: unknown;
  readonly bytes: number;
}

export interface LinkEvents {
  /** A frame before `open`; true = go on. */
  greeting(frame: Uint8Array): boolean;
  /** False: it is no message of ours. */
  message(value: unknown): boolean;
  /** Once; nothing follows. */
  closed(): void;
}

/** One connection between two workers: messages of one turn of the loop travel in one frame. */
export class MeshLink {
  readonly #socket: Socket;
  readonly #events: LinkEvents;
  #reader = new FrameReader(MAX_GREETING_BYTES);
  #isOpen = false;
  #queue: unknown[] = [];
  #queuedBytes = 0;
  #isScheduled = false;

  constructor(socket: Socket, events: LinkEvents) {
    this.#socket = socket;
    this.#events = events;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    // `close` follows, and says it.
    socket.on('error', () => socket.destroy());
    socket.once('close', () => events.closed());
  }

  /** About how many bytes the other end has not read yet. */
  get backlogBytes(): number {
    return this.#queuedBytes + this.#socket.writableLength;
  }

  /** The other end has proved who it is: what follows are messages, of at most `maxBytes` a frame. */
  open(maxBytes: number): void {
    this.#isOpen = true;
    this.#reader = new FrameReader(maxBytes);
  }

  sendGreeting(bytes: Uint8Array): void {
    const frame = Buffer.allocUnsafe(HEADER_BYTES + bytes.length);
    frame.writeUInt32LE(bytes.length, 0);
    frame.set(bytes, HEADER_BYTES);
    this.#socket.write(frame);
  }

  send({ value, bytes }: Packed): void {
    this.#queue.push(value);
    this.#queuedBytes += bytes + MESSAGE_BYTES;
    if (this.#queuedBytes >= BATCH_BYTES) return this.#transmit();
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#transmit();
    });
  }

  /** Nothing more is heard, not even what has arrived already. */
  destroy(): void {
    this.#socket.destroy();
  }

  #transmit(): void {
    const batch = this.#queue;
    if (batch.length === 0) return;
    this.#queue = [];
    this.#queuedBytes = 0;
    if (this.#socket.destroyed) return;
    // With its length in front, in one write.
    const frame = packr.pack(batch, RESERVE_START_SPACE | HEADER_BYTES);
    frame.writeUInt32LE(frame.length - HEADER_BYTES, 0);
    this.#socket.write(frame);
  }

  #read(chunk: Buffer): void {
    let rest: Buffer | null = chunk;
    while (rest !== null && !this.#socket.destroyed) rest = this.#isOpen ? this.#readMessages(rest) : this.#readGreeting(rest);
  }

  /** What follows the greeting in the same chunk is read as messages. */
  #readGreeting(chunk: Buffer): Buffer | null {
    for (let at = 0; at < chunk.length; at++) {
      let isFine = true;
      const isFramed = this.#reader.push(chunk.subarray(at, at + 1), (frame) => {
        isFine = this.#events.greeting(frame);
      });
      if (!isFramed || !isFine) this.destroy();
      if (!isFramed || !isFine) return null;
      if (this.#isOpen) return chunk.subarray(at + 1);
    }
    return null;
  }

  #readMessages(chunk: Buffer): null {
    let isFine = true;
    const isFramed = this.#reader.push(chunk, (frame) => {
      isFine = isFine && this.#take(frame);
    });
    if (!isFramed || !isFine) this.destroy();
    return null;
  }

  #take(frame: Uint8Array): boolean {
    const batch = unpacked(frame);
    if (!Array.isArray(batch)) return false;
    for (const value of batch) {
      if (this.#socket.destroyed) return true;
      if (!this.#events.message(value)) return false;
    }
    return true;
  }
}

/** Undefined for what is no msgpack. Byte strings in it are views of the frame. */
function unpacked(frame: Uint8Array): unknown {
  try {
    return packr.unpack(frame);
  } catch {
    return undefined;
  }
}
