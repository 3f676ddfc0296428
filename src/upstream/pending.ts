import type { Clock, Timer } from '../core/clock.ts';
import type { Envelope } from '../core/envelope.ts';
import { UPSTREAM_TIMEOUT } from '../core/errors.ts';
import type { InFlight, ReplySink } from '../core/upstream.ts';
import type { Refusal } from '../core/refusal.ts';
import { settleShape } from '../core/shape.ts';
import type { DeadlinesOf } from './deadlines.ts';
import { IdRing } from './id-ring.ts';

/** How often deadlines are looked at: one timer per table, none while it is empty. */
export const SWEEP_MS: number = 50;

/** What carries a request on the wire; the stdio child has none per request. */
export interface Carrier {
  /** The client reads again, or nobody listens any more. */
  resume(): void;
  /** The request is given up: stop reading its answer. */
  abandon(): void;
  /** The client is gone; who can, makes room for its return. The request is not over. */
  left?(): void;
}

/**
 * A request that waits for its answer. `idToken` and `progressToken` are the client's own, as raw JSON, and go back
 * into whatever is delivered; upstream they are both replaced by `id`.
 */
export class PendingEntry implements InFlight {
  readonly id: number;
  /** A request of the gateway itself (initialize, ping). */
  readonly isOwn: boolean;
  readonly principalKey: string;
  readonly idToken: string;
  readonly progressToken: string | null;
  /** Null once the client is gone: the answer is still awaited, and dropped. */
  sink: ReplySink | null;
  carrier: Carrier | null = null;
  /** `onStream` was called. */
  isStreaming = false;
  /** The client reads slowly: what is optional is dropped until it resumes. */
  isSlow = false;
  isDone = false;
  /** Its stream is over, its answer is not here: it comes on a stream that the client fetches, perhaps by way of another worker. */
  isDeferred = false;
  readonly timeoutMs: number;
  readonly #isShort: boolean;
  idleAtMs: number;
  readonly hardAtMs: number;
  #whenOver: (() => void) | null = null;

  constructor(fields: EntryFields) {
    this.id = fields.id;
    this.isOwn = fields.isOwn;
    this.principalKey = fields.principalKey;
    this.idToken = fields.idToken;
    this.progressToken = fields.progressToken;
    this.sink = fields.sink;
    this.timeoutMs = fields.timeoutMs;
    this.#isShort = fields.isShort;
    this.idleAtMs = fields.nowMs + fields.timeoutMs;
    this.hardAtMs = fields.nowMs + fields.timeoutMaxMs;
  }

  /** Its deadline has passed: the client is told. Callers of a tool with little time, or who do not fetch their answers, cannot open the circuit of its server for all. */
  expired(deadline: 'idle' | 'hard'): void {
    const detail = `no answer within its ${deadline} deadline`;
    if (this.#isShort || this.isDeferred) this.sink?.onFail(UPSTREAM_TIMEOUT, detail);
    else this.sink?.onFail(UPSTREAM_TIMEOUT, detail, 'failed');
  }

  /** It lasts as long as its client stays: a subscription. */
  get isOpen(): boolean {
    return this.hardAtMs === Number.POSITIVE_INFINITY;
  }

  detach(whenOver: () => void): void {
    this.sink = null;
    this.isSlow = false;
    if (this.isDone) whenOver();
    else this.#whenOver = whenOver;
    this.carrier?.resume();
  }

  gone(): void {
    this.carrier?.left?.();
    this.resume();
  }

  /** The upstream works on, unseen: only the hard deadline holds. */
  defer(): void {
    this.isDeferred = true;
    this.idleAtMs = this.hardAtMs;
  }

  /** The table's: nobody waits for the answer any more. */
  over(): void {
    this.isDone = true;
    this.#whenOver?.();
    this.#whenOver = null;
  }

  resume(): void {
    this.isSlow = false;
    this.carrier?.resume();
  }
}

interface EntryFields {
  readonly id: number;
  readonly isOwn: boolean;
  readonly principalKey: string;
  readonly idToken: string;
  readonly progressToken: string | null;
  readonly sink: ReplySink | null;
  readonly nowMs: number;
  readonly timeoutMs: number;
  readonly timeoutMaxMs: number;
  readonly isShort: boolean;
}

/** A request that nobody makes. */
export function noEntry(): PendingEntry {
  const times = { nowMs: 0, timeoutMs: 0, timeoutMaxMs: 0, isShort: false };
  return new PendingEntry({ id: 0, isOwn: true, principalKey: '', idToken: '0', progressToken: null, sink: null, ...times });
}

settleShape(noEntry);

/** Subscriptions at once, of one upstream and worker: they wait for hours, and must not take the room of what is answered in a moment. */
const MAX_OPEN = 4096;

export interface PendingOptions {
  readonly clock: Clock;
  /** Client requests at once; subscriptions have a bound of their own, the gateway's requests are few and not counted. */
  readonly maxEntries: number;
  readonly deadlinesOf: DeadlinesOf;
  /** The entry was removed because a deadline passed; the owner tells the sink and the upstream. */
  onExpired(entry: PendingEntry, deadline: 'idle' | 'hard'): void;
}

/**
 * The one table of requests that an upstream connection has in flight, keyed by ids that only the gateway knows. An
 * answer finds its request by that id and nothing else, so that equal ids of different clients never meet.
 */
export class PendingTable {
  readonly #entries: IdRing<PendingEntry> = new IdRing();
  readonly #options: PendingOptions;
  #clientEntries = 0;
  #openEntries = 0;
  #sweeper: Timer | null = null;

  constructor(options: PendingOptions) {
    this.#options = options;
  }

  /** Requests of clients, the detached ones included: the upstream still works on them. */
  get size(): number {
    return this.#clientEntries + this.#openEntries;
  }

  /** Null when the table is full. `isOpen`: it may last as long as its client stays, no deadline ends it. */
  add(message: Envelope, principalKey: string, sink: ReplySink, isOpen: boolean = false): PendingEntry | null {
    if (isOpen ? this.#openEntries >= MAX_OPEN : this.#clientEntries >= this.#options.maxEntries) return null;
    if (isOpen) this.#openEntries += 1;
    else this.#clientEntries += 1;
    const { timeoutMs, timeoutMaxMs, isShort = false } = this.#options.deadlinesOf(message);
    return this.#insert({
      isOwn: false,
      principalKey,
      idToken: message.bytes.toString('utf8', message.idStart, message.idEnd),
      progressToken: message.tokenStart < 0 ? null : message.bytes.toString('utf8', message.tokenStart, message.tokenEnd),
      sink,
      timeoutMs: isOpen ? Number.POSITIVE_INFINITY : timeoutMs,
      timeoutMaxMs: isOpen ? Number.POSITIVE_INFINITY : timeoutMaxMs,
      isShort,
    });
  }

  /** A request of the gateway itself. */
  addOwn(sink: ReplySink, timeoutMs: number): PendingEntry {
    return this.#insert({
      isOwn: true,
      principalKey: '',
      idToken: '0',
      progressToken: null,
      sink,
      timeoutMs,
      timeoutMaxMs: timeoutMs,
      isShort: false,
    });
  }

  /** All that is under way, in no particular order. */
  list(): PendingEntry[] {
    return this.#entries.list();
  }

  get(id: number): PendingEntry | undefined {
    return this.#entries.get(id);
  }

  /** Takes the entry out; false when it was no longer in. */
  remove(entry: PendingEntry): boolean {
    if (!this.#entries.remove(entry)) return false;
    if (entry.isOwn) return this.#removed(entry);
    if (entry.isOpen) this.#openEntries -= 1;
    else this.#clientEntries -= 1;
    return this.#removed(entry);
  }

  #removed(entry: PendingEntry): true {
    entry.over();
    return true;
  }

  /** The client took the request back: nobody waits for it any more, and a later answer finds nobody. */
  cancel(entry: PendingEntry): void {
    if (!this.remove(entry)) return;
    entry.carrier?.abandon();
    entry.sink?.onCancelled();
  }

  /** The upstream gave a sign of life for this request. */
  touch(entry: PendingEntry): void {
    entry.idleAtMs = this.#options.clock.nowMs() + entry.timeoutMs;
  }

  /**
   * The request that a principal's client knows by `idToken`. Null when there is none, and when there are several: two
   * clients may share a credential and count alike, and then nobody can tell whose request is meant. A scan, because
   * cancellations are rare and an index would cost every request.
   */
  findByClientId(principalKey: string, idToken: string): PendingEntry | null {
    let found: PendingEntry | null = null;
    for (const entry of this.#entries.list()) {
      if (entry.isOwn || entry.principalKey !== principalKey || entry.idToken !== idToken) continue;
      if (found !== null) return null;
      found = entry;
    }
    return found;
  }

  /** Empties the table; every caller still there is told. */
  failAll(refusal: Refusal, detail: string): void {
    const entries = this.#entries.list();
    for (const entry of entries) this.remove(entry);
    for (const entry of entries) {
      entry.carrier?.abandon();
      entry.sink?.onFail(refusal, detail);
    }
    this.#stopSweeper();
  }

  #insert(fields: Omit<EntryFields, 'id' | 'nowMs'>): PendingEntry {
    const entry = new PendingEntry({ ...fields, id: this.#entries.nextId(), nowMs: this.#options.clock.nowMs() });
    this.#entries.put(entry);
    this.#sweeper ??= this.#options.clock.every(SWEEP_MS, () => this.#sweep());
    return entry;
  }

  #sweep(): void {
    if (this.#entries.size === 0) return this.#stopSweeper();
    const nowMs = this.#options.clock.nowMs();
    for (const entry of this.#entries.list()) {
      const isHard = nowMs >= entry.hardAtMs;
      if (!isHard && nowMs < entry.idleAtMs) continue;
      this.remove(entry);
      this.#options.onExpired(entry, isHard ? 'hard' : 'idle');
    }
  }

  #stopSweeper(): void {
    this.#sweeper?.cancel();
    this.#sweeper = null;
  }
}
