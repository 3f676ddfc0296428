import type { LimiterStats, LimitMode, LimitName } from '../core/limit.ts';
import { type Cell, CellFamily, type Collected, ReadFamily, type Sample } from './families.ts';

const LIMITS: readonly LimitName[] = ['address', 'principal', 'tool', 'method', 'in_flight', 'upstream'];
const MODES: readonly LimitMode[] = ['remote', 'local', 'closed', 'open'];
const NOTHING: LimiterStats = { mode: 'remote', asks: 0, waits: 0, timeouts: 0, waiting: 0 };

/** How the way to the authority has been: connections lost, and threads that took the place of a dead one. */
export interface CarrierStats {
  readonly disconnects: number;
  readonly restarts: number;
}

/** What limits decided, and what it took to know. */
export class LimitCounts {
  /** The limiter of this worker; set after building. */
  stats: () => LimiterStats = () => NOTHING;
  /** The thread that asks for this worker's limiter; set after building. Null without one. */
  carrier: () => CarrierStats | null = () => null;
  readonly families: readonly Collected[];
  // Here, and not in a cell each: one object less that each request looks at.
  #allowed = 0;
  #denied = 0;
  readonly #refused: ReadonlyMap<LimitName, Cell>;

  constructor() {
    const decisions = new ReadFamily(
      {
        name: 'mcp_guard_rate_limit_total',
        help: 'Requests that the budgets they met admitted or refused.',
        type: 'counter',
        aggregator: 'sum',
      },
      () => [
        { labels: { allowed: 'true' }, value: this.#allowed },
        { labels: { allowed: 'false' }, value: this.#denied },
      ],
    );
    const refused = new CellFamily({
      name: 'mcp_guard_rate_limit_refused_total',
      help: 'Requests that a limit refused, by limit.',
      labels: ['limit'],
    });
    this.#refused = new Map(LIMITS.map((limit) => [limit, refused.child(limit)]));
    this.families = [decisions, refused, ...this.#readFamilies()];
  }

  /** `null`: no budget was asked. */
  decided(isAllowed: boolean | null): void {
    if (isAllowed === null) return;
    if (isAllowed) this.#allowed += 1;
    else this.#denied += 1;
  }

  refused(limit: LimitName | ''): void {
    if (limit === '') return;
    const cell = this.#refused.get(limit);
    if (cell !== undefined) cell.value += 1;
  }

  #readFamilies(): Collected[] {
    const carrier = (name: string, help: string, read: (stats: CarrierStats) => number): Collected =>
      new ReadFamily({ name, help, type: 'counter', aggregator: 'sum' }, () => {
        const stats = this.carrier();
        return stats === null ? [] : read(stats);
      });
    const family = (type: 'counter' | 'gauge', name: string, help: string, read: (stats: LimiterStats) => number | Sample[]): Collected =>
      new ReadFamily({ name, help, type, aggregator: 'sum' }, () => read(this.stats()));
    return [
      family('gauge', 'mcp_guard_rate_limit_mode', 'Workers by how they decide about limits now.', ({ mode }) =>
        MODES.map((one) => ({ labels: { mode: one }, value: one === mode ? 1 : 0 })),
      ),
      family('counter', 'mcp_guard_rate_limit_asks_total', 'Asks for tokens that workers sent.', ({ asks }) => asks),
      family('counter', 'mcp_guard_rate_limit_waits_total', 'Requests that waited for tokens to be granted.', ({ waits }) => waits),
      family('counter', 'mcp_guard_rate_limit_timeouts_total', 'Requests that waited for tokens in vain.', ({ timeouts }) => timeouts),
      family('gauge', 'mcp_guard_rate_limit_waiting', 'Requests that wait for tokens now.', ({ waiting }) => waiting),
      carrier(
        'mcp_guard_rate_limit_disconnects_total',
        'Times that a worker lost the authority of its limits.',
        (stats) => stats.disconnects,
      ),
      carrier('mcp_guard_rate_limit_thread_restarts_total', 'Sync threads that replaced a dead one.', (stats) => stats.restarts),
    ];
  }
}
