import type { PlaceToPrimary, PlaceToWorker } from '../core/place-messages.ts';

/**
 * A worker's way to the primary's `PlaceAuthority`, in both directions: reliable and in order for as long as both live. Several
 * messages of one turn of the event loop travel together (the link between worker and primary does so already; nothing here is
 * shared memory, so that the way of the token leases is not needed). The primary calls `PlaceAuthority.lost(slot)` when the
 * worker in a slot has ended, before another starts there.
 */
export interface PlacePort {
  send(message: PlaceToPrimary): void;
  /** Set by who listens; called for each message of the primary. */
  receive: ((message: PlaceToWorker) => void) | null;
}
