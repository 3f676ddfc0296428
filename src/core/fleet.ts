import type { LimitMode, LimitName } from './limit.ts';
import type { ServerStderr, UpstreamStatus } from './messages.ts';

/** One budget over all workers, for `GET /admin/api/limits`. */
export interface FleetBucket {
  /** Names principals by provider and id; never a credential. */
  readonly key: string;
  readonly limit: LimitName;
  readonly perSecond: number;
  readonly burst: number;
  /** Tokens left as far as is known: the least that any worker knows of. */
  readonly remaining: number;
  /** Refusals since the buckets were opened, of all workers. */
  readonly refused: number;
  /** For how long it is refused at most; 0 when it is not. */
  readonly deniedForMs: number;
  /** Of the worst worker: a fail mode before `remote`. */
  readonly mode: LimitMode;
  /** Tokens that each worker may spend without asking; workers without the key are left out. */
  readonly leases: readonly { readonly worker: number; readonly tokens: number }[];
}

/** Who decides for all, and how that goes. */
export interface AuthorityStatus {
  /** The only worker, the primary process, or the store that hosts share. */
  readonly kind: 'worker' | 'primary' | 'redis';
  readonly mode: LimitMode;
  /** Keys held. */
  readonly size: number;
  /** Since the start: asks, those that were granted nothing, and tokens granted. */
  readonly asks: number;
  readonly denials: number;
  /** Tokens that were called back from holders, per key and holder. */
  readonly recalls: number;
  readonly tokens: number;
}

export interface LimitsView {
  /** Most refused first; at most 1,000. */
  readonly buckets: readonly FleetBucket[];
  readonly authority: AuthorityStatus;
}

/** What a worker knows of the whole gateway; the process room keeps it true. */
export interface Fleet {
  /** Why the gateway is not ready, for `/ready`; empty when it is. */
  readonly reason: string;
  /** Worst state of each upstream over all workers. */
  readonly upstreams: readonly UpstreamStatus[];
  /** Exposition text of all workers together; null when it could not be collected in time. */
  metricsText(receive: (text: string | null) => void): void;
  /** What the children of all workers wrote to standard error last; null as above. */
  stderr(receive: (servers: readonly ServerStderr[] | null) => void): void;
  /** Budgets of all workers; null as above. */
  limits(receive: (limits: LimitsView | null) => void): void;
}
