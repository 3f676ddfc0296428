import type { PeerIncident } from './peers.ts';
import type { RequestContext } from './context.ts';
import type { UpstreamEvents } from './upstream.ts';

/** The end of a client's session. */
export interface SessionEnd {
  /** Its public name. */
  readonly ref: string;
  readonly server: string;
  readonly principalKey: string;
  /** `deleted` by its client, `expired` for want of use, `evicted` by a newer one of the same caller, `lost` by its server. */
  readonly reason: 'deleted' | 'expired' | 'evicted' | 'lost';
}

/**
 * What happens, one method per event: each moves its counters, writes its audit record and its log line together. None
 * throws. The request events are called by `pipeline/` in this order; `settled` closes every request exactly once.
 */
export interface Events extends UpstreamEvents {
  /** A credential was accepted or refused (`context.refusal`). */
  authenticated(context: RequestContext): void;
  /** A request or notification was sent upstream; of a tool call the trail has this beside its end. */
  sent(context: RequestContext): void;
  /** A client has a session from now on. */
  sessionOpened(context: RequestContext): void;
  sessionClosed(end: SessionEnd): void;
  /** The request is over; everything in the context is final. */
  settled(context: RequestContext): void;
  /** The TLS certificate was read anew (null), or could not be: the old one stays in use. */
  certificateReloaded(error: Error | null): void;
  /** A connection between this host and another. `address`: of the other one. */
  peer(what: PeerIncident, address: string, reason: string): void;
  /** Something that should not happen; `where` is a stable name. */
  internalError(where: string, error: unknown): void;
}
