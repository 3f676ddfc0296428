import type { Envelope } from '../core/envelope.ts';
import type { ChildEra } from '../core/mesh.ts';
import type { Refusal } from '../core/refusal.ts';
import type { InFlight, ReplySink, RequestOptions, UpstreamState } from '../core/upstream.ts';

/** A program and its pipes, in the revisions that it is spoken to. */
export interface ChildUpstream {
  readonly state: UpstreamState;
  /** Whether a request would be sent, now or as soon as it is ready. */
  readonly isUsable: boolean;
  /** Whether it is the process with this life (`ModernInfo`), and takes requests. */
  has?(life: string): boolean;
  /** It has begun tasks, as far as it has told, that are not finished. */
  readonly hasTasks?: boolean;
  /** Its process group, if it runs. */
  readonly pids: readonly number[];
  start(): void;
  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal;
  notify(message: Envelope, options: RequestOptions): Refusal | null;
  close(): Promise<void>;
}

/** So much longer a child may live than it would, for the tasks that it has begun. */
export const TASK_GRACE_MS: number = 300_000;

/** One child of a pool, from its start to the end of its process. */
export class PoolChild {
  /** Its place among the children of the server: unique in the gateway for shared ones, in the worker for others. */
  readonly number: number;
  /** Whose it is; empty when all share it. */
  readonly key: string;
  readonly era: ChildEra;
  readonly upstream: ChildUpstream;
  /** In progress. */
  inFlight = 0;
  /** Subscriptions: they keep it from being idle, but not from giving way. */
  listening = 0;
  /** Begun since its start. */
  calls = 0;
  lastUsedMs: number;
  /** It served enough, or grew too large. */
  isWorn = false;
  /** Since when its tasks are all that keeps it; null: nothing would end it. */
  #keptSinceMs: number | null = null;
  /** It takes no more calls, and ends with the last one. */
  isRetiring = false;
  /** It finds out whether the server takes a handshake by now. */
  isTrial = false;
  /** It gives its seat to one of the other kind; null when it gives way to nobody. */
  successor: ChildEra | null = null;
  /** Of its whole process group, when last looked at; null before. */
  residentBytes: number | null = null;

  constructor(number: number, key: string, era: ChildEra, upstream: ChildUpstream, nowMs: number) {
    this.number = number;
    this.key = key;
    this.era = era;
    this.upstream = upstream;
    this.lastUsedMs = nowMs;
  }

  get hasTasks(): boolean {
    return this.upstream.hasTasks === true;
  }

  /** Whether it may end, as far as its tasks are concerned: they are waited for so long since this was asked first. */
  mayEnd(nowMs: number, graceMs: number): boolean {
    // Of a worn one the clock goes on: further tasks do not put its end off.
    if (this.hasTasks) this.#keptSinceMs ??= nowMs;
    else if (!this.isWorn) this.#keptSinceMs = null;
    return !this.hasTasks || (this.#keptSinceMs !== null && nowMs - this.#keptSinceMs >= graceMs);
  }

  /** It is to be replaced; what it was kept for before says nothing of that. */
  wear(): void {
    if (this.isWorn) return;
    this.isWorn = true;
    this.#keptSinceMs = null;
  }

  /** Nothing keeps it any more, whatever it has begun. */
  forgo(): void {
    this.#keptSinceMs = Number.NEGATIVE_INFINITY;
  }

  get isReady(): boolean {
    return !this.isRetiring && this.upstream.state === 'ready';
  }

  /** Nobody works with it, whoever may listen. */
  get isIdle(): boolean {
    return this.inFlight === 0 && !this.isRetiring;
  }

  /** It could take another call. */
  hasRoom(maxCalls: number): boolean {
    return !this.isRetiring && this.upstream.isUsable && (maxCalls === 0 || this.inFlight < maxCalls);
  }
}
