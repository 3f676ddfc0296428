import type { ListFigures } from '../core/upstream.ts';
import { type Collected, ReadFamily, type Sample } from './families.ts';

const RESULTS = ['hits', 'misses', 'joined', 'stale', 'bypassed'] as const;
/** What each is called in the label. */
const LABELS = { hits: 'hit', misses: 'miss', joined: 'joined', stale: 'stale', bypassed: 'bypass' } as const;

/** How requests for lists were answered where lists are kept, and how much is kept. Server names come from the configuration. */
export class ListCounts {
  /** Of this worker; set after building. */
  figures: () => readonly ListFigures[] = () => [];
  /** Of this worker; set after building. */
  unheard: () => readonly { readonly server: string; readonly unheard: number }[] = () => [];
  readonly families: readonly Collected[];

  constructor() {
    this.families = [
      this.#family('counter', 'mcp_guard_list_requests_total', 'Requests for lists that are kept, by how they were answered.', (of) =>
        RESULTS.map((result) => ({ labels: { server: of.server, result: LABELS[result] }, value: of[result] })),
      ),
      this.#family(
        'counter',
        'mcp_guard_list_invalidations_total',
        'Times that lists that are kept became old before their time.',
        (of) => [{ labels: { server: of.server }, value: of.invalidations }],
      ),
      this.#family('gauge', 'mcp_guard_list_cache_pages', 'Pages of lists that are kept.', (of) => [
        { labels: { server: of.server }, value: of.pages },
      ]),
      this.#family('gauge', 'mcp_guard_list_cache_bytes', 'Bytes of the pages of lists that are kept.', (of) => [
        { labels: { server: of.server }, value: of.bytes },
      ]),
      new ReadFamily(
        {
          name: 'mcp_guard_subscribed_resources_unheard',
          help: 'Resources that clients subscribed to, and whose changes are not told between workers because they are too many.',
          type: 'gauge',
          aggregator: 'sum',
        },
        () => this.unheard().map(({ server, unheard }) => ({ labels: { server }, value: unheard })),
      ),
    ];
  }

  #family(type: 'counter' | 'gauge', name: string, help: string, samples: (figures: ListFigures) => readonly Sample[]): Collected {
    return new ReadFamily({ name, help, type, aggregator: 'sum' }, () => this.figures().flatMap(samples));
  }
}
