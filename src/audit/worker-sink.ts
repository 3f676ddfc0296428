import type { AuditRecord, AuditSink } from '../core/audit.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { buildRecordLine } from './record.ts';
import type { Redact } from './redact.ts';

/** A batch waits at most this long, so a record is in the file well under a second after its request. */
const FLUSH_MS = 50;
const BATCH_CHARS = 65_536;
const QUEUE_CHARS = 8 * 1024 * 1024;
const QUEUE_LINES = 50_000;

/**
 * Hands complete lines to the keeper of the files. Called within `write`; must not throw or block.
 * @returns false when it cannot take them now: they are kept and offered again; anything else means taken
 */
export type SendAudit = (text: string, lines: number, dropped: number) => unknown;

export interface WorkerSinkOptions {
  /** Number of this worker, a field of every line. */
  readonly worker: number;
  readonly clock: Clock;
  readonly redact: Redact;
  readonly send: SendAudit;
  /** Most that waits for `send`, in UTF-16 units and in lines. */
  readonly queueChars?: number;
  readonly queueLines?: number;
}

/** The audit sink of a worker: batches lines towards the primary, bounded; a loss is counted, reported and a gap in `seq`. */
export class WorkerSink implements AuditSink {
  readonly #options: WorkerSinkOptions;
  readonly #line: ReturnType<typeof buildRecordLine>;
  readonly #maxChars: number;
  readonly #maxLines: number;
  #pending = '';
  #pendingLines = 0;
  #dropped = 0;
  #seq = 0;
  #timer: Timer | null = null;
  #isRefused = false;

  constructor(options: WorkerSinkOptions) {
    this.#options = options;
    this.#line = buildRecordLine(options.redact);
    this.#maxChars = options.queueChars ?? QUEUE_CHARS;
    this.#maxLines = options.queueLines ?? QUEUE_LINES;
  }

  write(record: AuditRecord): void {
    const { clock, worker } = this.#options;
    const seq = ++this.#seq;
    if (this.#isFull(record)) return this.#drop();
    this.#pending += this.#line(record, { wallMs: clock.wallMs(), seq, worker });
    this.#pendingLines += 1;
    if (this.#pending.length >= BATCH_CHARS && !this.#isRefused) this.flush();
    else this.#wake();
  }

  /** Offers everything that waits now; call it when the worker ends. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = null;
    if (this.#pendingLines === 0 && this.#dropped === 0) return;
    this.#isRefused = this.#options.send(this.#pending, this.#pendingLines, this.#dropped) === false;
    if (this.#isRefused) return this.#wake();
    this.#pending = '';
    this.#pendingLines = 0;
    this.#dropped = 0;
  }

  /** Lines that wait. */
  get queuedLines(): number {
    return this.#pendingLines;
  }

  /** Records of nobody known leave the last quarter to those of principals: a flood of refusals cannot push them out. */
  #isFull(record: AuditRecord): boolean {
    const share = record.identity === undefined ? 0.75 : 1;
    return this.#pending.length >= this.#maxChars * share || this.#pendingLines >= this.#maxLines * share;
  }

  #drop(): void {
    this.#dropped += 1;
    this.#wake();
  }

  #wake(): void {
    this.#timer ??= this.#options.clock.after(FLUSH_MS, () => this.flush());
  }
}
