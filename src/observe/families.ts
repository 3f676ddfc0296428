/** One line of the exposition, in prom-client's form. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  /** Where it differs from the family's name: `…_bucket`, `…_sum`, `…_count`. */
  readonly metricName?: string;
}

/** How the figures of several workers become one. */
export type Aggregator = 'sum' | 'max' | 'min';

/** A metric with all its series, in prom-client's form. */
export interface ExposedMetric {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly aggregator: Aggregator;
  readonly values: readonly Sample[];
}

/** What a prom-client registry asks of a metric. */
export interface Collected {
  readonly name: string;
  get(): ExposedMetric;
}

/** Stands for every label value that is not shown. */
export const OTHER: string = 'other';

/** A number that somebody holds and moves: no lookup, no labels when it counts. */
export class Cell {
  value = 0;
}

/** Children of one metric by their label values; beyond `limit` of them all share the one whose labels are `other`. */
export class Children<Child> {
  readonly #names: readonly string[];
  readonly #limit: number;
  readonly #make: () => Child;
  readonly #byKey = new Map<string, { readonly labels: Readonly<Record<string, string>>; readonly child: Child }>();

  constructor(names: readonly string[], limit: number, make: () => Child) {
    this.#names = names;
    this.#limit = limit;
    this.#make = make;
  }

  child(...values: readonly string[]): Child {
    const known = this.#byKey.get(values.join('\0'));
    if (known !== undefined) return known.child;
    if (this.#byKey.size < this.#limit) return this.#add(values);
    const others = this.#names.map(() => OTHER);
    return this.#byKey.get(others.join('\0'))?.child ?? this.#add(others);
  }

  /** Every child with its labels. */
  entries(): Iterable<{ readonly labels: Readonly<Record<string, string>>; readonly child: Child }> {
    return this.#byKey.values();
  }

  #add(values: readonly string[]): Child {
    const labels = Object.fromEntries(this.#names.map((name, index) => [name, values[index] ?? '']));
    const child = this.#make();
    this.#byKey.set(values.join('\0'), { labels, child });
    return child;
  }
}

export interface FamilyOptions {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
  /** Most children; further label values become `other`. */
  readonly limit?: number;
}

const DEFAULT_LIMIT = 1000;

/** Counters, or gauges that are set, with the same labels. */
export class CellFamily extends Children<Cell> implements Collected {
  readonly name: string;
  readonly #help: string;
  readonly #type: 'counter' | 'gauge';
  readonly #aggregator: Aggregator;

  constructor(options: FamilyOptions, type: 'counter' | 'gauge' = 'counter', aggregator: Aggregator = 'sum') {
    super(options.labels ?? [], options.limit ?? DEFAULT_LIMIT, () => new Cell());
    this.name = options.name;
    this.#help = options.help;
    this.#type = type;
    this.#aggregator = aggregator;
  }

  get(): ExposedMetric {
    const values = Array.from(this.entries(), ({ labels, child }) => ({ labels, value: child.value }));
    return { name: this.name, help: this.#help, type: this.#type, aggregator: this.#aggregator, values };
  }
}

/** A figure, or several, read when somebody asks. */
export class ReadFamily implements Collected {
  readonly name: string;
  readonly #exposed: Omit<ExposedMetric, 'values'>;
  readonly #read: () => number | readonly Sample[];

  constructor(exposed: Omit<ExposedMetric, 'values'>, read: () => number | readonly Sample[]) {
    this.name = exposed.name;
    this.#exposed = exposed;
    this.#read = read;
  }

  get(): ExposedMetric {
    const read = this.#read();
    return { ...this.#exposed, values: typeof read === 'number' ? [{ labels: {}, value: read }] : read };
  }
}
