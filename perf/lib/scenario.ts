import type { Bench } from './bench.ts';

/**
 * A measurement. A feature adds one as a file of `perf/scenarios` that exports it as `scenario`, and its bounds under its name in
 * `perf/budgets.json`. It starts what it needs through the bench, which ends it; it records figures, and it throws when an
 * answer was wrong or nothing could be measured.
 */
export interface Scenario {
  /** The name of its file. */
  readonly name: string;
  /** What it shows, in a line. */
  readonly shows: string;
  /** Left out of quick runs: it cannot be made short. */
  readonly isLong?: boolean;
  run(bench: Bench): Promise<void>;
}
