import type { BatchStreams } from '../core/batch-streams.ts';
import type { AuthSurface, Authenticator } from '../core/auth.ts';
import type { Clock } from '../core/clock.ts';
import type { CorsSettings, VirtualSettings } from '../core/config.ts';
import type { Events } from '../core/events.ts';
import type { Fleet } from '../core/fleet.ts';
import type { InFlightLimiter, Limiter, LimitOutcome } from '../core/limit.ts';
import type { RouteTable } from '../core/upstream.ts';
import type { JsonLimits } from '../mcp/parse.ts';
import type { ChargeBook } from './charges.ts';
import type { SessionBook } from './session-book.ts';
import type { StreamBook } from './stream-book.ts';
import type { SessionStreams } from './session-streams.ts';
import type { TaskBook } from './tasks.ts';

/** What the request path needs of the configuration, worked out once. */
export interface PathSettings {
  readonly maxRequestBytes: number;
  readonly jsonLimits: JsonLimits;
  readonly isAcceptStrict: boolean;
  readonly isDeniedCounted: boolean;
  /** 0: streams of calls stand until the answer is there. */
  readonly pollAfterMs: number;
  readonly isWebSocketEnabled: boolean;
  readonly isSseEnabled: boolean;
  readonly cors: CorsSettings;
  /** A separate admin listener exists: then the main one does not serve admin endpoints. */
  readonly hasAdminListener: boolean;
  /** The admin listener asks for a credential. */
  readonly isAdminListenerGuarded: boolean;
}

/** The rooms as the request path sees them; composed by `build.ts`, shared by all requests of a worker. */
export interface Parts {
  readonly settings: PathSettings;
  readonly clock: Clock;
  readonly events: Events;
  readonly auth: Authenticator;
  readonly authSurface: AuthSurface;
  readonly charges: ChargeBook;
  readonly limiter: Limiter;
  readonly inFlight: InFlightLimiter;
  readonly routes: RouteTable;
  /** For `/routes`. */
  readonly virtuals: readonly VirtualSettings[];
  readonly sessions: SessionBook;
  readonly tasks: TaskBook;
  /** Standing streams of revision 2024-11-05. */
  readonly legacyStreams: StreamBook;
  readonly streams: SessionStreams;
  readonly batches: BatchStreams;
  readonly fleet: Fleet;
  /** Reused for every take: the request path is synchronous there. */
  readonly outcome: LimitOutcome;
  /** Changes while running; nothing else here does. */
  readonly load: Load;
}

/** What is going on in this worker. */
export interface Load {
  /** Requests between arrival and settle. */
  active: number;
  /** Answers that are event streams, and WebSockets. */
  streams: number;
  /** Not ready any more: the gateway drains. Requests are still served. */
  isDraining: boolean;
  /** Upstreams are being closed: nothing new is begun. */
  isClosing: boolean;
  /** Each ends a stream that would last as long as its client; called when requests in progress are waited for. */
  readonly standing: Set<() => void>;
  /** Called when `active` falls to zero. */
  onIdle: (() => void) | null;
}
