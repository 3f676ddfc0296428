import type { Envelope } from '../core/envelope.ts';
import type { ChildEra } from '../core/mesh.ts';
import type { Refusal } from '../core/refusal.ts';
import type { InFlight, ReplySink, RequestOptions, UpstreamState } from '../core/upstream.ts';

/** A program and its pipes, in the revisions that it is spoken to. */
export interface ChildUpstream {
  readonly state: UpstreamState;
  /** Whether a request would be sent, now or as soon as it is ready. */
  readonly isUsable: boolean;
  /** Its process group, if it runs. */
  readonly pids: readonly number[];
  start(): void;
  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal;
  notify(message: Envelope, options: RequestOptions): Refusal | null;
  close(): Promise<void>;
}

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
  /** It takes no more calls, and ends with the last one. */
  isRetiring = false;
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
