import type { PlaceFigures } from '../core/limit.ts';
import { type Collected, ReadFamily, type Sample } from './families.ts';

/** Requests that wait in the queue of one upstream. */
export interface Queued {
  readonly server: string;
  readonly queued: number;
}

/** What it took to know of places for requests in progress, and who waits for one. */
export class PlaceCounts {
  /** Of this worker; set after building. Null: it counts its requests itself. */
  figures: () => PlaceFigures | null = () => null;
  /** Of this worker; set after building. */
  queued: () => readonly Queued[] = () => [];
  readonly families: readonly Collected[];

  constructor() {
    const leased = (type: 'counter' | 'gauge', name: string, help: string, read: (figures: PlaceFigures) => number): Collected =>
      this.#family(type, name, help, () => {
        const figures = this.figures();
        return figures === null ? [] : [{ labels: {}, value: read(figures) }];
      });
    this.families = [
      this.#family('gauge', 'mcp_guard_upstream_queued', 'Requests that wait for a place of the upstream.', () =>
        this.queued().map(({ server, queued }) => ({ labels: { server }, value: queued })),
      ),
      leased('gauge', 'mcp_guard_places_keys', 'Callers and upstreams of which workers hold places.', ({ keys }) => keys),
      leased('counter', 'mcp_guard_places_asks_total', 'Asks for places that workers sent.', ({ asks }) => asks),
      leased('gauge', 'mcp_guard_places_waiting', 'Requests that wait for a place now.', ({ waiting }) => waiting),
      leased('counter', 'mcp_guard_places_timeouts_total', 'Requests that waited for the primary in vain.', ({ timeouts }) => timeouts),
      leased('counter', 'mcp_guard_places_unleased_total', 'Places that were taken without the primary.', ({ unleased }) => unleased),
    ];
  }

  #family(type: 'counter' | 'gauge', name: string, help: string, read: () => readonly Sample[]): Collected {
    return new ReadFamily({ name, help, type, aggregator: 'sum' }, read);
  }
}
