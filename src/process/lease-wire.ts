import { createConnection, type Socket } from 'node:net';
import type { LeaseAccess } from '../core/messages.ts';
import { FrameReader, framed } from './frames.ts';

/** Wait before connecting again: doubles up to the longest, with jitter, forgotten after an answer. */
const FIRST_BACKOFF_MS = 20;
const MAX_BACKOFF_MS = 1000;
/** Asks that may wait for the primary to read them: more than it can be late without being taken for lost. */
const MAX_BACKLOG_BYTES = 1_048_576;

/** A frame of answers is rarely longer, and may come in pieces. */
const READ_BYTES = 65_536;

export interface LeaseWireEvents {
  /** A frame of answers, valid only inside. False: it is not ours, and the connection is of no use. */
  answers(frame: Uint8Array): boolean;
  connected(isConnected: boolean): void;
}

/** A worker's connection to the primary's lease server, made again whenever it is lost. What cannot be sent is dropped with it. */
export class LeaseWire {
  readonly #access: LeaseAccess;
  readonly #events: LeaseWireEvents;
  #socket: Socket | null = null;
  #isUp = false;
  #failures = 0;
  #retry: NodeJS.Timeout | null = null;
  #isEnding = false;
  readonly #readInto = Buffer.allocUnsafeSlow(READ_BYTES);

  constructor(access: LeaseAccess, events: LeaseWireEvents) {
    this.#access = access;
    this.#events = events;
    this.#connect();
  }

  /** @param frames complete frames, the caller's no more */
  send(frames: Uint8Array): void {
    const socket = this.#socket;
    if (socket === null || !this.#isUp) return;
    // An ask that is dropped alone would be taken for one whose answer is still to come, and its key would never be asked for again.
    if (socket.writableLength > MAX_BACKLOG_BYTES) socket.destroy();
    else socket.write(frames);
  }

  /** Sends what waits and closes; calls back when it is gone, or could not be sent. */
  end(done: () => void): void {
    this.#isEnding = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    const socket = this.#socket;
    if (socket === null || socket.destroyed) return done();
    socket.once('close', done);
    socket.end(() => socket.destroy());
  }

  #connect(): void {
    const reader = new FrameReader();
    // Into one buffer instead of through the stream's machinery, which costs a thread that reads a few times a second more than what it reads.
    const onread = { buffer: this.#readInto, callback: (length: number) => this.#read(reader, this.#readInto.subarray(0, length)) };
    const socket = createConnection({ path: this.#access.path, onread });
    this.#socket = socket;
    socket.on('connect', () => {
      socket.write(framed(this.#access.token));
      this.#setUp(true);
    });
    // `close` follows, and says it.
    socket.on('error', () => undefined);
    socket.on('close', () => this.#lost());
  }

  /** False: it is not ours, and no more is read. */
  #read(reader: FrameReader, bytes: Uint8Array): boolean {
    this.#failures = 0;
    let isFine = true;
    const isFramed = reader.push(bytes, (frame) => {
      isFine = isFine && this.#events.answers(frame);
    });
    if (isFramed && isFine) return true;
    this.#socket?.destroy();
    return false;
  }

  #lost(): void {
    this.#setUp(false);
    this.#socket = null;
    if (this.#isEnding) return;
    const waitMs = Math.min(FIRST_BACKOFF_MS * 2 ** Math.min(this.#failures++, 16), MAX_BACKOFF_MS);
    this.#retry = setTimeout(() => this.#connect(), waitMs * (0.5 + Math.random() / 2));
  }

  #setUp(isUp: boolean): void {
    if (this.#isUp === isUp) return;
    this.#isUp = isUp;
    this.#events.connected(isUp);
  }
}
