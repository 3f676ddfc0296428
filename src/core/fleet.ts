import type { ServerStderr, UpstreamStatus } from './messages.ts';

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
}
