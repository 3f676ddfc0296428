import type { Clock } from '../core/clock.ts';
import type { Places } from '../core/limit.ts';
import type { StateSeal } from '../core/state-seal.ts';
import type { UpstreamEvents } from '../core/upstream.ts';
import type { EventStore } from './event-store.ts';
import type { NewsHub } from './news-desk.ts';
import type { PartingCounts } from './partings.ts';
import type { PeerDesk } from './peer-desk.ts';
import type { SessionDesk } from './session-desk.ts';

/** Which of an ordered list of patterns comes first that matches a server's tool; −1 for none. */
export type ToolIndex = (server: string, tool: string) => number;

/** What every upstream needs from outside. */
export interface UpstreamDeps {
  readonly clock: Clock;
  readonly events: UpstreamEvents;
  /** Version of the gateway, as it introduces itself to upstreams. */
  readonly version: string;
  /** The gateway's own environment, of which children see PATH, HOME and LANG. */
  readonly baseEnv: Readonly<Record<string, string | undefined>>;
  /** Compiles tool patterns that have been checked. */
  readonly compileTools: (patterns: readonly string[]) => ToolIndex;
  /** Where what is said in sessions is kept for clients that come back; absent: nowhere. */
  readonly kept?: EventStore;
  /** How long a child may take to end, from closing its stdin to SIGKILL. Default 2,000. */
  readonly stopGraceMs?: number;
  /** For what clients carry for the gateway between two requests; absent where nobody is asked anything. */
  readonly stateSeal?: StateSeal;
  /** Whether the server is reached without a handshake: then one that it refuses is not tried again soon. Absent: never. */
  readonly hasOtherWay?: () => boolean;
  /** How long a request waits for a child that is about to be ready. Default `HOLD_MS`. */
  readonly holdMs?: number;
  /** What is counted over all workers; absent where nothing is begun that has to be. */
  readonly places?: Places;
  /** Where ends of sessions that a server was not told of yet are counted. */
  readonly partings?: PartingCounts;
  /** Where workers tell each other what servers say; absent where there are no other workers. */
  readonly news?: NewsHub;
  /** The way to sessions that other workers hold; absent or null where there are no other workers. */
  readonly sessions?: SessionDesk | null;
  /** The way to sessions of other hosts; absent or null where there are none. */
  readonly peers?: PeerDesk | null;
}

/** Nesting that an upstream's message may have. */
export const MAX_UPSTREAM_DEPTH: number = 512;

/** Requests that wait for an upstream which is about to be ready, per upstream. */
export const MAX_HELD: number = 256;

/** How long such a request waits at most. */
export const HOLD_MS: number = 2000;
