import type { AuditOutputStats } from '../core/audit.ts';
import type { Clock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import { type Chunk, countLines, LineQueue } from './line-queue.ts';

const QUEUE_BYTES = 32 * 1024 * 1024;
const CHUNK_BYTES = 256 * 1024;
const FIRST_RETRY_MS = 20;
const MAX_RETRY_MS = 2000;
const MAX_RETRY_CLOSING_MS = 100;
const NEWLINE = 10;

/** Where lines go. Never called twice at a time. */
export interface LineTarget {
  /**
   * Called between chunks, never within a line: the place to rotate. Does not throw for what the next write may survive.
   * @param nextBytes length of the next line, 0 when none waits
   * @returns bytes that the next chunk may have; one line is always allowed
   */
  prepare(nextBytes: number): Promise<number>;
  /** Appends; resolves with how many bytes were taken, at least one and perhaps fewer than given. */
  append(bytes: Buffer): Promise<number>;
  /** Makes what was written durable and lets go. `tornBytes` at the end belong to a line that will not be completed. */
  close(tornBytes: number): Promise<void>;
}

export interface LineWriterOptions {
  readonly output: AuditOutputStats['output'];
  readonly target: LineTarget;
  readonly clock: Clock;
  readonly log: Log;
  readonly queueBytes?: number;
}

/**
 * Writes lines to one target in order, asynchronously and whole: after an error the same bytes are tried again, from
 * where the target stopped. Bounded: what finds no room is counted as dropped. Errors are counted, logged once per
 * burst, and never reach the caller.
 */
export class LineWriter {
  readonly #options: LineWriterOptions;
  readonly #queue: LineQueue;
  #chunk: Chunk | null = null;
  #offset = 0;
  #pump: Promise<void> | null = null;
  #isPoked = false;
  #isClosing = false;
  #isAbandoned = false;
  #failures = 0;
  #wakeUp: (() => void) | null = null;
  #writtenLines = 0;
  #droppedLines = 0;
  #writeErrors = 0;

  constructor(options: LineWriterOptions) {
    this.#options = options;
    this.#queue = new LineQueue(options.queueBytes ?? QUEUE_BYTES);
  }

  /** Complete lines, `lines` of them. Never throws. */
  write(text: Uint8Array | string, lines: number): void {
    if (this.#isClosing || !this.#queue.push(text, lines)) this.#droppedLines += lines;
    else this.#start();
  }

  /** Lets the target look after itself (rotation by age) although nothing is written. */
  poke(): void {
    if (this.#isClosing) return;
    this.#isPoked = true;
    this.#start();
  }

  stats(): AuditOutputStats {
    return {
      output: this.#options.output,
      writtenLines: this.#writtenLines,
      droppedLines: this.#droppedLines,
      writeErrors: this.#writeErrors,
      queuedBytes: this.#queue.bytes + (this.#chunk === null ? 0 : this.#chunk.bytes.length - this.#offset),
    };
  }

  /** Writes what waits, for at most `timeoutMs`, then closes the target; the rest is dropped and counted. */
  async close(timeoutMs: number): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    const { clock } = this.#options;
    this.#wakeUp?.();
    // The clock's timers do not keep the process alive; lines that wait for a retry must.
    const hold = new MessageChannel();
    hold.port1.on('message', () => undefined);
    try {
      if (this.#pump !== null) await within(clock, timeoutMs, this.#pump);
      this.#isAbandoned = true;
      await within(clock, timeoutMs, this.#options.target.close(this.#giveUp()));
    } catch (error) {
      this.#failed(error);
    } finally {
      hold.port1.close();
    }
  }

  #start(): void {
    this.#pump ??= this.#run().finally(() => {
      this.#pump = null;
    });
  }

  async #run(): Promise<void> {
    while (!this.#isAbandoned && (this.#chunk !== null || this.#queue.bytes > 0 || this.#isPoked)) {
      try {
        await this.#step();
        this.#recovered();
      } catch (error) {
        this.#failed(error);
        await this.#pause();
      }
    }
  }

  async #step(): Promise<void> {
    const { target } = this.#options;
    if (this.#chunk === null) {
      this.#isPoked = false;
      const room = await target.prepare(this.#queue.firstLineBytes);
      if (this.#isAbandoned) return;
      this.#chunk = this.#queue.take(Math.min(room, CHUNK_BYTES));
      this.#offset = 0;
    }
    if (this.#chunk === null) return;
    const { bytes, lines } = this.#chunk;
    const taken = await target.append(bytes.subarray(this.#offset));
    if (this.#isAbandoned) return;
    this.#offset += taken;
    if (this.#offset < bytes.length) return;
    this.#writtenLines += lines;
    this.#chunk = null;
  }

  #failed(error: unknown): void {
    this.#writeErrors += 1;
    this.#failures += 1;
    if (this.#failures > 1) return;
    this.#options.log.error({ err: error, output: this.#options.output }, 'audit output cannot be written, retrying');
  }

  #recovered(): void {
    if (this.#failures === 0) return;
    const fields = { output: this.#options.output, attempts: this.#failures, dropped: this.#droppedLines };
    this.#failures = 0;
    this.#options.log.warn(fields, 'audit output is written again');
  }

  #pause(): Promise<void> {
    const most = this.#isClosing ? MAX_RETRY_CLOSING_MS : MAX_RETRY_MS;
    const waitMs = Math.min(FIRST_RETRY_MS * 2 ** Math.min(this.#failures - 1, 10), most);
    return new Promise((resolve) => {
      const timer = this.#options.clock.after(waitMs, resolve);
      this.#wakeUp = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  /** Counts what will not be written; returns the bytes of the line that was written in part. */
  #giveUp(): number {
    let torn = 0;
    if (this.#chunk !== null) {
      const { bytes, lines } = this.#chunk;
      const whole = this.#offset === 0 ? 0 : bytes.lastIndexOf(NEWLINE, this.#offset - 1) + 1;
      torn = this.#offset - whole;
      const written = Math.min(countLines(bytes.subarray(0, whole)), lines);
      this.#writtenLines += written;
      this.#droppedLines += lines - written;
      this.#chunk = null;
    }
    this.#droppedLines += this.#queue.clear();
    return torn;
  }
}

/** Resolves with the work or when the time is over, whichever is first; rejects when the work does. */
async function within(clock: Clock, timeoutMs: number, work: Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = clock.after(timeoutMs, resolve);
  try {
    await Promise.race([work, promise]);
  } finally {
    timer.cancel();
  }
}
