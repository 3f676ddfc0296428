import { randomUUID } from 'node:crypto';
import { AggregatorRegistry } from 'prom-client';
import type { MetricsDump } from '../core/messages.ts';
import type { ExposedMetric } from './families.ts';
import type { Metrics } from './metrics.ts';

/** First element of a worker's dump: whose figures these are. A process has one for its life. */
interface DumpHead {
  readonly source: string;
}

const SOURCE: DumpHead = { source: randomUUID() };
/** Lost workers remembered one by one; more are added up. */
const MAX_LOST = 64;

/** The figures of this process, for the primary. */
export async function dumpMetrics(metrics: Metrics): Promise<MetricsDump> {
  return [SOURCE, ...(await metrics.registry.getMetricsAsJSON())];
}

function isHead(item: unknown): item is DumpHead {
  return typeof item === 'object' && item !== null && typeof (item as Partial<DumpHead>).source === 'string';
}

function metricsOf(dump: MetricsDump): ExposedMetric[] {
  return dump.filter((item) => !isHead(item)) as ExposedMetric[];
}

function sumUp(dumps: readonly MetricsDump[]): ReturnType<typeof AggregatorRegistry.aggregate> {
  return AggregatorRegistry.aggregate(dumps.map(metricsOf));
}

/** Exposition text of several dumps together: counters and histograms summed, gauges as each of them says. */
export async function aggregateDumps(dumps: readonly MetricsDump[]): Promise<string> {
  return sumUp(dumps).metrics();
}

/**
 * Adds up the figures of all workers that ever were. What a lost worker had counted at its last scrape stays in the sums:
 * a counter that fell would be read as a restart, and the rest of the sum as new events.
 */
export class DumpLedger {
  /** Counters of each worker at its last scrape; the oldest first. */
  readonly #last = new Map<string, MetricsDump>();
  #retired: MetricsDump = [];

  /** @param dumps of this round, one per worker that answered */
  async text(dumps: readonly MetricsDump[], own: MetricsDump): Promise<string> {
    const present = new Set<string>();
    for (const dump of dumps) present.add(this.#remember(dump));
    const missing = Array.from(this.#last).filter(([source]) => !present.has(source));
    const text = await aggregateDumps([...dumps, own, this.#retired, ...missing.map(([, dump]) => dump)]);
    await this.#retire(missing.slice(0, Math.max(missing.length - MAX_LOST, 0)));
    return text;
  }

  #remember(dump: MetricsDump): string {
    const head = dump[0];
    const source = isHead(head) ? head.source : '';
    if (source === '') return source;
    this.#last.delete(source);
    this.#last.set(
      source,
      metricsOf(dump).filter((metric) => metric.type !== 'gauge'),
    );
    return source;
  }

  async #retire(lost: readonly (readonly [string, MetricsDump])[]): Promise<void> {
    if (lost.length === 0) return;
    for (const [source] of lost) this.#last.delete(source);
    this.#retired = await sumUp([this.#retired, ...lost.map(([, dump]) => dump)]).getMetricsAsJSON();
  }
}
