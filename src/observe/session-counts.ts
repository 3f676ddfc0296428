import { CellFamily, type Collected, ReadFamily, type Sample } from './families.ts';

/** Sessions of clients, and what a worker keeps of them. */
export interface SessionFigures {
  /** Begun in this worker. */
  readonly open: number;
  /** Known to this worker, wherever they began. */
  readonly known: number;
  /** Over, and remembered. */
  readonly ended: number;
  readonly streams: number;
  /** What is kept of streams, for clients that come back. */
  readonly kept: { readonly messages: number; readonly bytes: number; readonly dropped: number };
}

/** Requests in sessions with one server that came to a worker. */
export interface SessionUseFigures {
  readonly server: string;
  /** The session began in that worker. */
  readonly here: number;
  /** It began in another. */
  readonly elsewhere: number;
}

/** How many sessions there are, began and ended. Server names come from the configuration. */
export class SessionCounts {
  /** Of this worker; set after building. */
  figures: () => SessionFigures = () => ({ open: 0, known: 0, ended: 0, streams: 0, kept: { messages: 0, bytes: 0, dropped: 0 } });
  /** Sessions that are over and of which their servers were not told yet; set after building. */
  partings: { readonly waiting: number; readonly dropped: number } = { waiting: 0, dropped: 0 };
  /** Of this worker; set after building. */
  uses: () => readonly SessionUseFigures[] = () => [];
  readonly opened: CellFamily = new CellFamily({
    name: 'mcp_guard_sessions_opened_total',
    help: 'Sessions of clients that began.',
    labels: ['server'],
  });
  readonly closed: CellFamily = new CellFamily({
    name: 'mcp_guard_sessions_closed_total',
    help: 'Sessions of clients that ended, by reason.',
    labels: ['server', 'reason'],
  });
  readonly families: readonly Collected[];

  constructor() {
    const figure =
      (type: 'gauge' | 'counter') =>
      (name: string, help: string, read: (figures: SessionFigures) => number): Collected =>
        new ReadFamily({ name, help, type, aggregator: 'sum' }, () => read(this.figures()));
    const gauge = figure('gauge');
    const counter = figure('counter');
    this.families = [
      this.opened,
      this.closed,
      new ReadFamily(
        {
          name: 'mcp_guard_session_requests_total',
          help: 'Requests in sessions of clients, by whether the session began in the worker that the request came to.',
          type: 'counter',
          aggregator: 'sum',
        },
        () => this.uses().flatMap(samplesOf),
      ),
      new ReadFamily(
        {
          name: 'mcp_guard_session_partings_dropped_total',
          help: 'Ended sessions of which their servers are not told, because too many were waiting.',
          type: 'counter',
          aggregator: 'sum',
        },
        () => this.partings.dropped,
      ),
      new ReadFamily(
        {
          name: 'mcp_guard_session_partings_waiting',
          help: 'Ended sessions of which their servers are not told yet.',
          type: 'gauge',
          aggregator: 'sum',
        },
        () => this.partings.waiting,
      ),
      gauge('mcp_guard_sessions', 'Sessions of clients that go on.', ({ open }) => open),
      gauge('mcp_guard_sessions_known', 'Entries in the session tables of all workers.', ({ known }) => known),
      gauge('mcp_guard_sessions_ended_known', 'Ended sessions that workers remember.', ({ ended }) => ended),
      gauge('mcp_guard_session_streams', 'Standing streams that clients hold open.', ({ streams }) => streams),
      gauge('mcp_guard_session_events', 'Messages that are kept for clients that come back.', ({ kept }) => kept.messages),
      gauge('mcp_guard_session_event_bytes', 'Memory for messages that are kept for clients that come back.', ({ kept }) => kept.bytes),
      counter('mcp_guard_session_events_dropped_total', 'Messages that could not be kept any longer.', ({ kept }) => kept.dropped),
    ];
  }
}

function samplesOf({ server, here, elsewhere }: SessionUseFigures): Sample[] {
  return [
    { labels: { server, began: 'here' }, value: here },
    { labels: { server, began: 'elsewhere' }, value: elsewhere },
  ];
}
