import type { PeerFigures } from '../core/peers.ts';
import { type Collected, ReadFamily, type Sample } from './families.ts';

/** What this worker and other hosts ask of each other; nothing where there are no other hosts. */
export class PeerCounts {
  /** Set after building. */
  figures: () => PeerFigures | null = () => null;
  readonly families: readonly Collected[] = [
    new ReadFamily(
      { name: 'mcp_guard_peer_connections', help: 'Connections to other hosts and of other hosts.', type: 'gauge', aggregator: 'sum' },
      () => this.#samples('direction', ({ out, in: into }) => ({ out, in: into })),
    ),
    new ReadFamily(
      {
        name: 'mcp_guard_peer_requests_total',
        help: 'What was to be relayed to other hosts: sent, or refused because the host cannot be reached or does not keep up.',
        type: 'counter',
        aggregator: 'sum',
      },
      () => this.#samples('result', ({ sent, unreachable, busy }) => ({ sent, unreachable, busy })),
    ),
    new ReadFamily(
      {
        name: 'mcp_guard_peer_refused_total',
        help: 'Connections of other hosts that did not prove that they know the secret, or broke the rules.',
        type: 'counter',
        aggregator: 'sum',
      },
      () => {
        const figures = this.figures();
        return figures === null ? [] : [{ labels: {}, value: figures.refused }];
      },
    ),
  ];

  #samples(label: string, read: (figures: PeerFigures) => Readonly<Record<string, number>>): Sample[] {
    const figures = this.figures();
    return figures === null ? [] : Object.entries(read(figures)).map(([name, value]) => ({ labels: { [label]: name }, value }));
  }
}
