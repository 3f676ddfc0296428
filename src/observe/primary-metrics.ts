import type { Registry } from 'prom-client';
import type { AuditStats } from '../core/audit.ts';
import type { Clock } from '../core/clock.ts';
import type { MetricsDump } from '../core/messages.ts';
import { DumpLedger } from './aggregate.ts';
import { type AuthorityFigures, authorityFamilies } from './authority-families.ts';
import { type Collected, ReadFamily, type Sample } from './families.ts';
import { type NewsFigures, newsFamilies } from './news-families.ts';
import { measureProcess } from './process-figures.ts';
import { registryOf } from './registry.ts';

/** Workers as the primary counts them. */
export interface WorkerFigures {
  readonly alive: number;
  readonly restarts: number;
}

export interface PrimaryMetricsDeps {
  readonly clock: Clock;
  /** Null while there is no trail. */
  readonly audit: () => AuditStats | null;
  /** Null where no worker has to ask anybody. */
  readonly limits: () => AuthorityFigures | null;
  /** Null where hosts tell each other nothing of sessions. */
  readonly news: () => NewsFigures | null;
  /** False when the one worker runs in this process, whose figures it reports itself. */
  readonly hasOwnProcess: boolean;
}

/** Metrics of the whole gateway: those of all workers together, and what only the primary knows. */
export class PrimaryMetrics {
  readonly #registry: Registry;
  readonly #ledger: DumpLedger = new DumpLedger();
  readonly #close: () => void;
  #workers: WorkerFigures = { alive: 0, restarts: 0 };

  constructor(deps: PrimaryMetricsDeps) {
    const measured = deps.hasOwnProcess ? measureProcess() : null;
    const startMs = deps.clock.nowMs();
    const uptime = new ReadFamily(
      { name: 'mcp_guard_uptime_seconds', help: 'Time since the oldest process of the gateway started.', type: 'gauge', aggregator: 'max' },
      () => (deps.clock.nowMs() - startMs) / 1000,
    );
    this.#close = () => measured?.close();
    this.#registry = registryOf([
      ...this.#workerFamilies(),
      ...auditFamilies(deps.audit),
      ...authorityFamilies(deps.limits),
      ...newsFamilies(deps.news),
      uptime,
      ...(measured?.families ?? []),
    ]);
  }

  /** Exposition text (Prometheus 0.0.4) of the workers' dumps and the primary's own figures together. */
  async text(dumps: readonly MetricsDump[], workers: WorkerFigures): Promise<string> {
    this.#workers = workers;
    const own = await this.#registry.getMetricsAsJSON();
    return this.#ledger.text(dumps, own);
  }

  close(): void {
    this.#close();
  }

  #workerFamilies(): Collected[] {
    return [
      new ReadFamily(
        { name: 'mcp_guard_workers', help: 'Workers that are alive.', type: 'gauge', aggregator: 'max' },
        () => this.#workers.alive,
      ),
      new ReadFamily(
        { name: 'mcp_guard_worker_restarts_total', help: 'Workers that replaced a lost one.', type: 'counter', aggregator: 'max' },
        () => this.#workers.restarts,
      ),
    ];
  }
}

function auditFamilies(audit: () => AuditStats | null): Collected[] {
  const counter = (name: string, help: string, read: (stats: AuditStats) => number | readonly Sample[]): Collected =>
    new ReadFamily({ name, help, type: 'counter', aggregator: 'max' }, () => {
      const stats = audit();
      return stats === null ? [] : read(stats);
    });
  const perOutput = (read: (output: AuditStats['outputs'][number]) => number) => (stats: AuditStats) =>
    stats.outputs.map((output) => ({ labels: { output: output.output }, value: read(output) }));
  return [
    counter('mcp_guard_audit_records_total', 'Audit records that the workers handed over.', (stats) => stats.records),
    counter('mcp_guard_audit_dropped_total', 'Audit records lost, by where there was no room.', (stats) => [
      { labels: { where: 'worker' }, value: stats.workerDrops },
      ...stats.outputs.map((output) => ({ labels: { where: output.output }, value: output.droppedLines })),
    ]),
    counter(
      'mcp_guard_audit_written_total',
      'Audit records written.',
      perOutput((output) => output.writtenLines),
    ),
    counter(
      'mcp_guard_audit_write_errors_total',
      'Failed writes of audit records, which are retried.',
      perOutput((output) => output.writeErrors),
    ),
    counter('mcp_guard_audit_rotations_total', 'Audit files put aside.', (stats) => stats.rotations),
    new ReadFamily(
      { name: 'mcp_guard_audit_queue_bytes', help: 'Audit records that wait to be written.', type: 'gauge', aggregator: 'max' },
      () => {
        const stats = audit();
        return stats === null ? [] : perOutput((output) => output.queuedBytes)(stats);
      },
    ),
  ];
}
