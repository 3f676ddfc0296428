import { type Collected, ReadFamily, type Sample } from './families.ts';

/** A child of a stdio server. */
export interface ChildSample {
  readonly server: string;
  /** Its number: unique in the worker. */
  readonly child: number;
  readonly state: string;
  readonly inFlight: number;
  readonly calls: number;
  /** Null: not known yet. */
  readonly residentBytes: number | null;
}

/**
 * The children of servers with a pool, each by itself, and the calls that went to children of other workers. Children are
 * numbered and there are at most `pool.max`, so the labels are bounded; none of them names a caller.
 */
export class ChildCounts {
  /** Of this worker; set after building. */
  figures: () => readonly ChildSample[] = () => [];
  /** Of this worker; set after building. */
  relayed: () => readonly { readonly server: string; readonly relayed: number }[] = () => [];
  readonly families: readonly Collected[];

  /** @param worker number of this worker */
  constructor(worker: number) {
    const perChild = (name: string, help: string, read: (child: ChildSample) => number | null): Collected =>
      gauge(name, help, () =>
        this.figures().flatMap((one) => {
          const value = read(one);
          const labels = { server: one.server, worker: String(worker), child: String(one.child) };
          return value === null ? [] : [{ labels, value }];
        }),
      );
    this.families = [
      gauge('mcp_guard_children', 'Children of servers with a pool, by state.', () => countStates(this.figures())),
      perChild('mcp_guard_child_in_flight', 'Calls that the child works on.', ({ inFlight }) => inFlight),
      perChild('mcp_guard_child_calls', 'Calls that the child was given since it was started.', ({ calls }) => calls),
      perChild('mcp_guard_child_resident_bytes', 'Memory of the child and all it started.', ({ residentBytes }) => residentBytes),
      new ReadFamily(
        {
          name: 'mcp_guard_upstream_relayed_total',
          help: 'Calls that came to one worker and were served by a child, or in a session, of another, counted where they came.',
          type: 'counter',
          aggregator: 'sum',
        },
        () => this.relayed().map(({ server, relayed }) => ({ labels: { server }, value: relayed })),
      ),
    ];
  }
}

function gauge(name: string, help: string, read: () => readonly Sample[]): Collected {
  return new ReadFamily({ name, help, type: 'gauge', aggregator: 'sum' }, read);
}

function countStates(children: readonly ChildSample[]): Sample[] {
  const counts = new Map<string, Sample & { value: number }>();
  for (const { server, state } of children) {
    const known = counts.get(`${server}\n${state}`) ?? { labels: { server, state }, value: 0 };
    known.value += 1;
    counts.set(`${server}\n${state}`, known);
  }
  return [...counts.values()];
}
