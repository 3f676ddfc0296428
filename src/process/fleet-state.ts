import type { UpstreamStatus } from '../core/messages.ts';

const RANK: Readonly<Record<UpstreamStatus['state'], number>> = { ready: 0, starting: 1, down: 2, closed: 3 };

const CIRCUIT_RANK: Readonly<Record<UpstreamStatus['circuit'], number>> = { closed: 0, half_open: 1, open: 2 };

function weightOf({ state, circuit }: UpstreamStatus): number {
  return RANK[state] * 3 + CIRCUIT_RANK[circuit];
}

/** The primary's picture of all workers' upstreams: the worst state of each counts. */
export class FleetState {
  readonly #expected: number;
  readonly #byWorker = new Map<number, readonly UpstreamStatus[]>();

  /** @param expected workers that must have reported before the gateway is ready */
  constructor(expected: number) {
    this.#expected = expected;
  }

  report(worker: number, statuses: readonly UpstreamStatus[]): void {
    this.#byWorker.set(worker, statuses);
  }

  /** A worker is gone; until its successor reports, the rest speak for the gateway. */
  forget(worker: number): void {
    this.#byWorker.delete(worker);
  }

  /** Worst state of each upstream, in the configuration's order. */
  upstreams(): UpstreamStatus[] {
    const worst = new Map<string, UpstreamStatus>();
    for (const statuses of this.#byWorker.values()) {
      for (const status of statuses) {
        const known = worst.get(status.server);
        if (known === undefined || weightOf(status) > weightOf(known)) worst.set(status.server, status);
      }
    }
    return [...worst.values()];
  }

  /** Why the gateway is not ready; empty when it is. Names servers, never their addresses or commands. */
  reason(hasStarted: boolean): string {
    if (this.#byWorker.size === 0 || (!hasStarted && this.#byWorker.size < this.#expected)) return 'starting';
    const missing = this.upstreams().filter((status) => status.isRequired && status.state !== 'ready');
    if (missing.length === 0) return '';
    return `upstream not ready: ${missing.map((status) => status.server).join(', ')}`;
  }
}
