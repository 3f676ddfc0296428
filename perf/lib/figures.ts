import type { Round } from './wrk.ts';
import type { Target } from './targets.ts';

export type TargetName = Target['name'];
export type Figure = keyof Round;
export type Rounds = Readonly<Record<TargetName, readonly Round[]>>;

/**
 * A bound on `of`'s figure as a multiple of `against`'s of the same round, so that the machine's speed and what else runs
 * on it cancel out. The median over the rounds decides.
 */
export interface Budget {
  readonly figure: Figure;
  readonly of: TargetName;
  readonly against: TargetName;
  readonly min?: number;
  readonly max?: number;
}

export interface Verdict extends Budget {
  readonly ratio: number;
  readonly isMet: boolean;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

export function medianOf(rounds: readonly Round[], figure: Figure): number {
  return median(rounds.map((round) => round[figure]));
}

/** A ratio that cannot be computed meets no budget. */
export function judge(budget: Budget, rounds: Rounds): Verdict {
  const ratio = median(
    rounds[budget.of].map((round, i) => round[budget.figure] / (rounds[budget.against][i]?.[budget.figure] ?? Number.NaN)),
  );
  return { ...budget, ratio, isMet: ratio >= (budget.min ?? 0) && ratio <= (budget.max ?? Number.MAX_VALUE) };
}
