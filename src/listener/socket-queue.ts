import type { Clock } from '../core/clock.ts';
import { StallWatch } from './stall-watch.ts';

/** What carries the frames of one WebSocket. */
export interface FrameWriter {
  /** False: the peer does not take it all at once, and `SocketQueue.drained` will be called. */
  writeFrame(message: string | Uint8Array): boolean;
  /** The peer does not read: it is cut off. */
  drop(): void;
  onDrain(): void;
}

export interface SocketQueueOptions {
  readonly clock: Clock;
  readonly maxBufferedBytes: number;
  readonly stallMs: number;
}

/** Frames for a peer that may read slowly: one at a time is in the engine's hands, the others wait here, bounded. */
export class SocketQueue {
  readonly #options: SocketQueueOptions;
  readonly #writer: FrameWriter;
  readonly #stall: StallWatch;
  #waiting: (string | Uint8Array)[] = [];
  #waitingBytes = 0;
  #isBlocked = false;
  #isDrainOwed = false;

  constructor(options: SocketQueueOptions, writer: FrameWriter) {
    this.#options = options;
    this.#writer = writer;
    this.#stall = new StallWatch(options.clock, options.stallMs, () => writer.drop());
  }

  /** As `MessageSocket.send`. Whoever calls it calls `flush` later. */
  push(message: string | Uint8Array): boolean {
    const bytes = Buffer.byteLength(message);
    this.#waiting.push(message);
    this.#waitingBytes += bytes;
    if (this.#isBlocked && this.#waitingBytes - bytes > this.#options.maxBufferedBytes) this.#writer.drop();
    this.#isDrainOwed ||= this.#isBlocked;
    return !this.#isBlocked;
  }

  flush(): void {
    while (!this.#isBlocked) {
      const message = this.#waiting.shift();
      if (message === undefined) return this.#tellDrain();
      this.#waitingBytes -= Buffer.byteLength(message);
      this.#isBlocked = !this.#writer.writeFrame(message);
    }
    this.#stall.start();
  }

  /** The engine's: all that it was given is with the peer. */
  drained(): void {
    this.#isBlocked = false;
    this.#stall.stop();
    this.flush();
  }

  /** What waits goes to the engine whatever the peer does, because the end comes next. */
  flushAll(): void {
    for (const message of this.#waiting) this.#writer.writeFrame(message);
    this.clear();
  }

  clear(): void {
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#isDrainOwed = false;
    this.#stall.stop();
  }

  #tellDrain(): void {
    if (!this.#isDrainOwed) return;
    this.#isDrainOwed = false;
    this.#writer.onDrain();
  }
}
