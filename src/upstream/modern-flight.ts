import type { InFlight } from '../core/upstream.ts';
import type { PendingEntry, PendingTable } from './pending.ts';

/** A request of revision 2026-07-28 in flight: its client leaves to cancel it. */
export class ModernFlight implements InFlight {
  readonly #entry: PendingEntry;
  readonly #pending: PendingTable;

  constructor(entry: PendingEntry, pending: PendingTable) {
    this.#entry = entry;
    this.#pending = pending;
  }

  detach(whenOver: () => void): void {
    this.#entry.sink = null;
    this.#pending.cancel(this.#entry);
    whenOver();
  }

  resume(): void {
    this.#entry.resume();
  }
}
