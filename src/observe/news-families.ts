import { type Collected, ReadFamily, type Sample } from './families.ts';

/** What this host and others tell each other of sessions by the store, in batches. */
export interface NewsFigures {
  readonly sent: number;
  readonly received: number;
  /** Attempts that the store did not answer; they are made again. */
  readonly failed: number;
  /** Single uses and ends that there was no room for. */
  readonly dropped: number;
}

/** @param read null where hosts tell each other nothing */
export function newsFamilies(read: () => NewsFigures | null): Collected[] {
  return [
    new ReadFamily(
      {
        name: 'mcp_guard_session_news_total',
        help: 'Batches of news of sessions that this host told others by the store, heard of them, could not exchange, and what it left out.',
        type: 'counter',
        aggregator: 'max',
      },
      (): readonly Sample[] => {
        const figures = read();
        return figures === null ? [] : Object.entries(figures).map(([result, value]) => ({ labels: { result }, value: Number(value) }));
      },
    ),
  ];
}
