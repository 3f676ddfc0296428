import { Children, type Collected, type ExposedMetric, type FamilyOptions, type Sample } from './families.ts';

/** Upper edges in seconds: the documented ones, and finer ones below half a millisecond, where the gateway's own work lies. */
export const EDGES: readonly number[] = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

const EDGES_MS: readonly number[] = EDGES.map((edge) => edge * 1000);
const LE: readonly string[] = [...EDGES.map(String), '+Inf'];
const MAX_CHILDREN = 1000;

/** Durations with one set of labels. Counts per bucket; they are summed up when somebody asks. */
export class Durations {
  readonly counts: Float64Array = new Float64Array(EDGES.length + 1);
  sumMs = 0;

  /** Negative and broken durations count as zero. */
  observe(durationMs: number): void {
    const ms = durationMs > 0 ? durationMs : 0;
    let bucket = 0;
    while (bucket < EDGES_MS.length && ms > (EDGES_MS[bucket] as number)) bucket += 1;
    this.counts[bucket] = (this.counts[bucket] as number) + 1;
    this.sumMs += ms;
  }
}

/** A Prometheus histogram of durations. */
export class HistogramFamily extends Children<Durations> implements Collected {
  readonly name: string;
  readonly #help: string;

  constructor(options: FamilyOptions) {
    super(options.labels ?? [], options.limit ?? MAX_CHILDREN, () => new Durations());
    this.name = options.name;
    this.#help = options.help;
  }

  get(): ExposedMetric {
    const values = Array.from(this.entries(), ({ labels, child }) => this.#samples(labels, child)).flat();
    return { name: this.name, help: this.#help, type: 'histogram', aggregator: 'sum', values };
  }

  #samples(labels: Readonly<Record<string, string>>, { counts, sumMs }: Durations): Sample[] {
    let total = 0;
    const buckets = LE.map((le, bucket): Sample => {
      total += counts[bucket] as number;
      return { labels: { ...labels, le }, value: total, metricName: `${this.name}_bucket` };
    });
    return [
      ...buckets,
      { labels, value: sumMs / 1000, metricName: `${this.name}_sum` },
      { labels, value: total, metricName: `${this.name}_count` },
    ];
  }
}
