import type { Registry } from 'prom-client';
import type { Clock } from '../core/clock.ts';
import { VERSION } from '../core/version.ts';
import { ChildCounts } from './child-counts.ts';
import { type Cell, CellFamily, type Collected, ReadFamily } from './families.ts';
import { LimitCounts } from './limit-counts.ts';
import { ListCounts } from './list-counts.ts';
import { PeerCounts } from './peer-counts.ts';
import { PlaceCounts } from './place-counts.ts';
import { measureProcess } from './process-figures.ts';
import { registryOf } from './registry.ts';
import { RequestCounts } from './request-counts.ts';
import { SessionCounts } from './session-counts.ts';
import { ToolCounts } from './tool-counts.ts';
import { UpstreamCounts } from './upstream-counts.ts';

/** Figures that other rooms hold; read at a scrape. Set after building, and again after a reload. */
export interface MetricSources {
  connections: () => number;
  requestsInFlight: () => number;
  streams: () => number;
  activeIdentities: () => number;
}

const MAX_REASONS = 200;

/** The metrics of one worker; `docs/metrics.md` lists them. Whoever counts holds the cell: nothing is looked up by label strings. */
export class Metrics {
  readonly requests: RequestCounts = new RequestCounts();
  readonly upstreams: UpstreamCounts = new UpstreamCounts();
  readonly tools: ToolCounts = new ToolCounts();
  readonly places: PlaceCounts = new PlaceCounts();
  readonly lists: ListCounts = new ListCounts();
  readonly children: ChildCounts;
  readonly peers: PeerCounts = new PeerCounts();
  readonly sources: MetricSources = { connections: () => 0, requestsInFlight: () => 0, streams: () => 0, activeIdentities: () => 0 };
  readonly auth: CellFamily = new CellFamily({
    name: 'mcp_guard_auth_total',
    help: 'Decisions about credentials.',
    labels: ['provider', 'result'],
  });
  readonly sessions: SessionCounts = new SessionCounts();
  readonly limits: LimitCounts = new LimitCounts();
  readonly refusals: CellFamily = new CellFamily({
    name: 'mcp_guard_refusals_total',
    help: 'Requests that were refused or failed, by reason of the error catalogue.',
    labels: ['reason'],
    limit: MAX_REASONS,
  });
  readonly blocked: Cell;
  readonly logSuppressed: Cell;
  readonly internalErrors: CellFamily = new CellFamily({
    name: 'mcp_guard_internal_errors_total',
    help: 'Faults of the gateway itself, by place.',
    labels: ['where'],
    limit: MAX_REASONS,
  });
  readonly reloads: CellFamily = new CellFamily({
    name: 'mcp_guard_reloads_total',
    help: 'Reloads of what changed on disk, in each worker.',
    labels: ['what', 'result'],
  });
  readonly registry: Registry;
  readonly #close: () => void;

  /** @param worker number of this worker */
  constructor(clock: Clock, worker: number = 0) {
    this.children = new ChildCounts(worker);
    const blocked = new CellFamily({ name: 'mcp_guard_blocked_total', help: 'Requests refused because the caller may not.' });
    const suppressed = new CellFamily({ name: 'mcp_guard_log_suppressed_total', help: 'Log lines left out because there were too many.' });
    this.blocked = blocked.child();
    this.logSuppressed = suppressed.child();
    const measured = measureProcess();
    this.#close = () => measured.close();
    const own = [
      this.auth,
      ...this.limits.families,
      this.refusals,
      blocked,
      this.internalErrors,
      suppressed,
      this.reloads,
      this.tools,
      ...this.places.families,
      ...this.sessions.families,
      ...this.lists.families,
      ...this.children.families,
      ...this.peers.families,
    ];
    this.registry = registryOf([
      ...this.requests.families,
      ...own,
      ...this.upstreams.families,
      ...this.#gauges(clock),
      ...measured.families,
    ]);
  }

  /** Stops measuring; the counters stay readable. */
  close(): void {
    this.#close();
  }

  #gauges(clock: Clock): Collected[] {
    const { sources } = this;
    const startMs = clock.nowMs();
    const gauge = (name: string, help: string, read: () => number): Collected =>
      new ReadFamily({ name, help, type: 'gauge', aggregator: 'sum' }, read);
    return [
      gauge('mcp_guard_connections', 'Open client connections.', () => sources.connections()),
      gauge('mcp_guard_requests_in_flight', 'Requests between arrival and the end of their answer.', () => sources.requestsInFlight()),
      gauge('mcp_guard_sse_active', 'Answers that are event streams and have not ended.', () => sources.streams()),
      gauge('mcp_guard_active_identities', 'Identities with a budget in use; one that reaches several workers counts in each.', () =>
        sources.activeIdentities(),
      ),
      new ReadFamily(
        {
          name: 'mcp_guard_uptime_seconds',
          help: 'Time since the oldest process of the gateway started.',
          type: 'gauge',
          aggregator: 'max',
        },
        () => (clock.nowMs() - startMs) / 1000,
      ),
      new ReadFamily(
        { name: 'mcp_guard_build_info', help: 'Always 1; the labels say what runs.', type: 'gauge', aggregator: 'max' },
        () => [{ labels: { version: VERSION, node: process.versions.node }, value: 1 }],
      ),
    ];
  }
}
