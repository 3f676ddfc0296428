import type { AuditRecord, AuditSink } from '../core/audit.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { buildRecordLine } from './record.ts';
import type { RecordStamp } from './record.ts';
import type { Redact } from './redact.ts';

/** A batch waits at most this long, so a record is in the file well under a second after its request. */
const FLUSH_MS = 50;
const BATCH_BYTES = 65_536;
const QUEUE_BYTES = 8 * 1024 * 1024;
const QUEUE_LINES = 50_000;
/** Become lines one right after the other: the code of the first is still in the processor's caches for the rest. */
const TOGETHER = 32;
/** UTF-16 units of a client's texts in a record that is not kept as it came, but becomes a line, cut to its bounds, at once. */
const LARGE_UNITS = 2048;
/** In UTF-8, of a UTF-16 unit. */
const MAX_UNIT_BYTES = 3;
/** Of a buffer: with room for the line with which a batch is full. */
const USUAL_BYTES = BATCH_BYTES + 4096;
const NOTHING: Buffer = Buffer.alloc(0);

/**
 * Hands complete lines to the keeper of the files. Called within `write`; must not throw or block.
 * @returns false when it cannot take them now: they are kept and offered again; anything else means taken
 */
export type SendAudit = (bytes: Uint8Array, lines: number, dropped: number) => unknown;

export interface WorkerSinkOptions {
  /** Number of this worker, a field of every line. */
  readonly worker: number;
  readonly clock: Clock;
  readonly redact: Redact;
  readonly send: SendAudit;
  /** Most that waits for `send`, in bytes and in lines. */
  readonly queueBytes?: number;
  readonly queueLines?: number;
}

interface Waiting {
  readonly record: AuditRecord;
  readonly stamp: RecordStamp;
}

/** The audit sink of a worker: batches lines towards the primary, bounded; a loss is counted, reported and a gap in `seq`. */
export class WorkerSink implements AuditSink {
  readonly #options: WorkerSinkOptions;
  readonly #line: ReturnType<typeof buildRecordLine>;
  readonly #maxBytes: number;
  readonly #maxLines: number;
  /** Lines as bytes: as text they would be thousands of pieces, which each collection of the young generation copies. */
  #pending: Buffer = NOTHING;
  /** Records that are no lines yet; `#pendingLines` counts them too. */
  #records: Waiting[] = [];
  #pendingBytes = 0;
  #pendingLines = 0;
  #dropped = 0;
  #seq = 0;
  #timer: Timer | null = null;
  #isRefused = false;

  constructor(options: WorkerSinkOptions) {
    this.#options = options;
    this.#line = buildRecordLine(options.redact);
    this.#maxBytes = options.queueBytes ?? QUEUE_BYTES;
    this.#maxLines = options.queueLines ?? QUEUE_LINES;
  }

  write(record: AuditRecord): void {
    const { clock, worker } = this.#options;
    const seq = ++this.#seq;
    if (this.#isFull(record)) return this.#drop();
    this.#records.push({ record, stamp: { wallMs: clock.wallMs(), seq, worker } });
    this.#pendingLines += 1;
    if (this.#records.length >= TOGETHER || isLarge(record)) this.#encode();
    if (this.#pendingBytes >= BATCH_BYTES && !this.#isRefused) this.flush();
    else this.#wake();
  }

  /** Offers everything that waits now; call it when the worker ends. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = null;
    if (this.#pendingLines === 0 && this.#dropped === 0) return;
    this.#encode();
    this.#isRefused = this.#options.send(this.#batch(), this.#pendingLines, this.#dropped) === false;
    if (this.#isRefused) return this.#wake();
    if (this.#pending.length > USUAL_BYTES) this.#pending = NOTHING;
    this.#pendingBytes = 0;
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
    return this.#pendingBytes >= this.#maxBytes * share || this.#pendingLines >= this.#maxLines * share;
  }

  /**
   * A copy, so that the buffer, which is old by now, is used again: given away, one every 50 ms would be garbage that only a full collection
   * frees. A buffer that had to grow is given away itself, unless it is mostly empty: whoever keeps a batch must not keep more than twice what he counts.
   */
  #batch(): Uint8Array {
    const bytes = this.#pending.subarray(0, this.#pendingBytes);
    const isGivenAway = this.#pending.length > USUAL_BYTES && this.#pendingBytes > this.#pending.length / 2;
    return isGivenAway ? bytes : new Uint8Array(bytes);
  }

  #encode(): void {
    const records = this.#records;
    this.#records = [];
    for (const { record, stamp } of records) this.#append(this.#line(record, stamp));
  }

  #append(line: string): void {
    const needed = this.#pendingBytes + line.length * MAX_UNIT_BYTES;
    if (needed > this.#pending.length) this.#grow(needed);
    this.#pendingBytes += this.#pending.write(line, this.#pendingBytes);
  }

  #grow(neededBytes: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(neededBytes, 2 * this.#pending.length, USUAL_BYTES));
    this.#pending.copy(larger, 0, 0, this.#pendingBytes);
    this.#pending = larger;
  }

  #drop(): void {
    this.#dropped += 1;
    this.#wake();
  }

  #wake(): void {
    this.#timer ??= this.#options.clock.after(FLUSH_MS, () => this.flush());
  }
}

/** Whether a client made it large: what else a record holds is bounded by the configuration or by the size of a head. */
function isLarge({ method, tool, resource, detail }: AuditRecord): boolean {
  return (method?.length ?? 0) + (tool?.length ?? 0) + (resource?.length ?? 0) + (detail?.length ?? 0) > LARGE_UNITS;
}
