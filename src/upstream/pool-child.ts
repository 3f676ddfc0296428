import type { StdioUpstream } from './stdio.ts';

/** One child of a pool, from its start to the end of its process. */
export class PoolChild {
  /** Its place among the children of the server: unique in the gateway for shared ones, in the worker for others. */
  readonly number: number;
  /** Whose it is; empty when all share it. */
  readonly key: string;
  readonly upstream: StdioUpstream;
  /** In progress. */
  inFlight = 0;
  /** Begun since its start. */
  calls = 0;
  lastUsedMs: number;
  /** It takes no more calls, and ends with the last one. */
  isRetiring = false;
  /** Of its whole process group, when last looked at; null before. */
  residentBytes: number | null = null;

  constructor(number: number, key: string, upstream: StdioUpstream, nowMs: number) {
    this.number = number;
    this.key = key;
    this.upstream = upstream;
    this.lastUsedMs = nowMs;
  }

  get isReady(): boolean {
    return !this.isRetiring && this.upstream.state === 'ready';
  }

  /** It could take another call. */
  hasRoom(maxCalls: number): boolean {
    return !this.isRetiring && this.upstream.isUsable && (maxCalls === 0 || this.inFlight < maxCalls);
  }
}
