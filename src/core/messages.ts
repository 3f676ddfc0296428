import type { PostAnswer, RelayedPost } from './post-relay.ts';
import type { ConfigSnapshot } from './config.ts';
import type { LimitsView } from './fleet.ts';
import type { BucketView } from './limit.ts';
import type { ServerNews } from './server-news.ts';
import type { SessionNews } from './session-news.ts';
import type { PlaceToPrimary, PlaceToWorker } from './place-messages.ts';
import type { CircuitState, TransportName, UpstreamState } from './upstream.ts';

/** How one worker sees one upstream. */
export interface UpstreamStatus {
  readonly server: string;
  readonly transport: TransportName;
  readonly pathPrefix: string | null;
  readonly isRequired: boolean;
  readonly state: UpstreamState;
  readonly circuit: CircuitState;
  /** For operators; null when ready. */
  readonly detail: string | null;
  /** Process groups of this worker's children. */
  readonly pids: readonly number[];
}

/** Metrics of one worker: prom-client's `getMetricsAsJSON` form, opaque here. */
export type MetricsDump = readonly unknown[];

/** A line that a child wrote to standard error, redacted, cut and safe to show. */
export interface StderrLine {
  /** When it was read. */
  readonly wallMs: number;
  /** Whose child wrote it. */
  readonly worker: number;
  readonly line: string;
}

/** The last lines of one server's children, oldest first. */
export interface ServerStderr {
  readonly server: string;
  readonly lines: readonly StderrLine[];
}

/** Where a worker asks for leases, and the secret that says who it is: another for each worker that was ever started. */
export interface LeaseAccess {
  readonly path: string;
  /** 32 bytes. */
  readonly token: Uint8Array;
}

/** Where the workers of one gateway meet, and what proves that one belongs to it. */
export interface MeshAccess {
  /** Of their sockets, one for each slot. */
  readonly folder: string;
  /** 32 bytes, the same for all workers, and known to nobody else. */
  readonly secret: Uint8Array;
  readonly slots: number;
  /** Largest frame that one may send another. */
  readonly maxFrameBytes: number;
}

/** What one worker knows of its budgets. */
export interface WorkerLimits {
  readonly worker: number;
  readonly buckets: readonly BucketView[];
  /** Keys held, shown or not. */
  readonly size: number;
}

/** Primary → worker. */
export type ToWorker =
  | {
      readonly type: 'start';
      readonly worker: number;
      readonly config: ConfigSnapshot;
      readonly port: number;
      readonly adminPort: number;
      readonly verbosity: number;
      /** Null: this worker's limits are its own. */
      readonly leases: LeaseAccess | null;
      /** Keys that seal session ids, newest first. */
      readonly sealKeys: readonly Uint8Array[];
      /** Null: no worker needs another. */
      readonly mesh: MeshAccess | null;
      /** How long ago the worker died whose place this one takes; null for the first. */
      readonly sinceDeathMs: number | null;
    }
  /** State of the whole fleet of workers, sent on every change. `reason` is empty when ready. */
  | { readonly type: 'fleet'; readonly reason: string; readonly upstreams: readonly UpstreamStatus[] }
  | { readonly type: 'collect'; readonly ticket: number }
  /** Answer to `ask_metrics`: exposition text of all workers together. */
  | { readonly type: 'metrics_text'; readonly ticket: number; readonly text: string }
  | { readonly type: 'collect_stderr'; readonly ticket: number }
  /** Answer to `ask_stderr`: the lines of all workers' children. */
  | { readonly type: 'stderr_all'; readonly ticket: number; readonly servers: readonly ServerStderr[] }
  | { readonly type: 'collect_limits'; readonly ticket: number }
  /** Answer to `ask_limits`: the budgets of all workers. */
  | { readonly type: 'limits_all'; readonly ticket: number; readonly limits: LimitsView }
  | { readonly type: 'places'; readonly message: PlaceToWorker }
  /** A POST for a stream of this worker that `worker` took. */
  | { readonly type: 'post'; readonly worker: number; readonly ticket: number; readonly post: RelayedPost }
  /** Answer to the own `post`; null: the worker is gone. */
  | { readonly type: 'post_answer'; readonly ticket: number; readonly answer: PostAnswer | null }
  /** What another worker, or another host, says of sessions. */
  | { readonly type: 'sessions'; readonly news: SessionNews }
  /** What another worker says of servers. */
  | { readonly type: 'server_news'; readonly news: ServerNews }
  /** A worker has begun: tell of all sessions, and what news of servers are wanted. */
  | { readonly type: 'share_sessions' }
  | { readonly type: 'drain'; readonly delayMs: number; readonly timeoutMs: number };

/** Worker → primary. */
export type ToPrimary =
  | { readonly type: 'hello' }
  | { readonly type: 'listening'; readonly port: number; readonly adminPort: number }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'upstreams'; readonly statuses: readonly UpstreamStatus[] }
  /** Complete JSON lines in UTF-8, each with its newline; `lines` counts them, `dropped` those lost since the last frame. */
  | { readonly type: 'audit'; readonly bytes: Uint8Array; readonly lines: number; readonly dropped: number }
  | { readonly type: 'ask_metrics'; readonly ticket: number }
  | { readonly type: 'metrics'; readonly ticket: number; readonly dump: MetricsDump }
  | { readonly type: 'ask_stderr'; readonly ticket: number }
  | { readonly type: 'stderr'; readonly ticket: number; readonly servers: readonly ServerStderr[] }
  | { readonly type: 'ask_limits'; readonly ticket: number }
  | { readonly type: 'limits'; readonly ticket: number; readonly limits: WorkerLimits }
  | { readonly type: 'places'; readonly message: PlaceToPrimary }
  /** A POST for a stream of `worker`. */
  | { readonly type: 'post'; readonly worker: number; readonly ticket: number; readonly post: RelayedPost }
  /** Answer to the `post` that `worker` took. */
  | { readonly type: 'post_answer'; readonly worker: number; readonly ticket: number; readonly answer: PostAnswer }
  | { readonly type: 'server_news'; readonly news: ServerNews }
  /** `isOwn`: other hosts have to hear it of this one. */
  | { readonly type: 'sessions'; readonly news: SessionNews; readonly isOwn: boolean }
  | { readonly type: 'drained' };

const TO_WORKER: ReadonlySet<string> = new Set([
  'start',
  'fleet',
  'collect',
  'metrics_text',
  'collect_stderr',
  'stderr_all',
  'collect_limits',
  'limits_all',
  'places',
  'post',
  'post_answer',
  'sessions',
  'server_news',
  'share_sessions',
  'drain',
]);
const TO_PRIMARY: ReadonlySet<string> = new Set([
  'hello',
  'listening',
  'failed',
  'upstreams',
  'audit',
  'ask_metrics',
  'metrics',
  'ask_stderr',
  'stderr',
  'ask_limits',
  'limits',
  'places',
  'post',
  'post_answer',
  'sessions',
  'server_news',
  'drained',
]);

function typeOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return '';
  const type = (value as { type?: unknown }).type;
  return typeof type === 'string' ? type : '';
}

/** Null for anything that is no message of ours; both ends are the same build, so the type tag decides. */
export function asToWorker(value: unknown): ToWorker | null {
  return TO_WORKER.has(typeOf(value)) ? (value as ToWorker) : null;
}

/** Null for anything that is no message of ours. */
export function asToPrimary(value: unknown): ToPrimary | null {
  return TO_PRIMARY.has(typeOf(value)) ? (value as ToPrimary) : null;
}
