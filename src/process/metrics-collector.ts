import type { MetricsDump, ToWorker } from '../core/messages.ts';

/** How long a worker may take to hand over its figures; a scrape goes on without those that do not. */
const COLLECT_TIMEOUT_MS = 1500;

/** The workers as the collector sees them. */
export interface Workers {
  living(): number[];
  send(slot: number, message: ToWorker): void;
}

/** Gathers the metrics of all workers, one round at a time for however many scrapes wait. */
export class MetricsCollector {
  readonly #workers: Workers;
  #ticket = 0;
  #missing = new Set<number>();
  #dumps: MetricsDump[] = [];
  #round: Promise<readonly MetricsDump[]> | null = null;
  #finish: (() => void) | null = null;

  constructor(workers: Workers) {
    this.#workers = workers;
  }

  collect(): Promise<readonly MetricsDump[]> {
    this.#round ??= this.#begin();
    return this.#round;
  }

  /** A worker's figures. */
  receive(slot: number, ticket: number, dump: MetricsDump): void {
    if (ticket !== this.#ticket || !this.#missing.delete(slot)) return;
    this.#dumps.push(dump);
    if (this.#missing.size === 0) this.#finish?.();
  }

  /** A worker died: nobody waits for it. */
  forget(slot: number): void {
    if (this.#missing.delete(slot) && this.#missing.size === 0) this.#finish?.();
  }

  #begin(): Promise<readonly MetricsDump[]> {
    const ticket = ++this.#ticket;
    this.#dumps = [];
    this.#missing = new Set(this.#workers.living());
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#finish?.(), COLLECT_TIMEOUT_MS);
      this.#finish = () => {
        clearTimeout(timer);
        this.#finish = null;
        this.#round = null;
        this.#missing.clear();
        resolve(this.#dumps);
      };
      for (const slot of this.#missing) this.#workers.send(slot, { type: 'collect', ticket });
      if (this.#missing.size === 0) this.#finish();
    });
  }
}
