/** Values of one figure, one per round; rounds of the same number belong together. */
export type Series = Readonly<Record<string, readonly number[]>>;

/** By target, then by figure. */
export type Measured = Readonly<Record<string, Series>>;

/**
 * A bound on a figure: absolute, or relative to another target's of the same round, so that the machine's speed and what
 * else runs on it cancel out. The median over the rounds decides. Without `min` and `max` it is an aim only.
 */
export interface Budget {
  readonly figure: string;
  readonly of: string;
  readonly against?: string;
  /** A figure of the other target with another name. */
  readonly againstFigure?: string;
  /** How the two are compared; a ratio by default. */
  readonly as?: 'ratio' | 'difference';
  readonly min?: number;
  readonly max?: number;
  /** What we want, beside what we insist on: in the same direction as the bound, or as `isMoreBetter` says. */
  readonly aim?: number;
  readonly isMoreBetter?: boolean;
  /** The generous bound of quick runs, which share the machine with others; absent: not judged there. */
  readonly quick?: number;
  /** The line of the requirement's table that this is, when it is one. */
  readonly promise?: string;
}

export interface Verdict extends Budget {
  /** Null when nothing was measured. */
  readonly value: number | null;
  /** The bound that held in this run; null: an aim only. */
  readonly bound: number | null;
  readonly isMet: boolean;
  readonly isAimReached: boolean | null;
}

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

export function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** The slope of the best line through the points. */
export function slopeOf(points: readonly (readonly [number, number])[]): number {
  const mean = (pick: 0 | 1): number => points.reduce((sum, point) => sum + point[pick], 0) / points.length;
  const [meanX, meanY] = [mean(0), mean(1)];
  const over = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  return over / points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
}

/** What the budget bounds, from all rounds; not a number when a round is missing. */
export function valueOf(budget: Budget, measured: Measured): number {
  const own = measured[budget.of]?.[budget.figure] ?? [];
  if (budget.against === undefined) return median(own);
  const other = measured[budget.against]?.[budget.againstFigure ?? budget.figure] ?? [];
  if (own.length !== other.length) return Number.NaN;
  return median(
    own.map((value, i) => {
      const base = other[i] ?? Number.NaN;
      return budget.as === 'difference' ? value - base : value / base;
    }),
  );
}

function wantsMore(budget: Budget): boolean {
  return budget.isMoreBetter ?? budget.min !== undefined;
}

/** What cannot be computed meets no bound and reaches no aim. */
export function judge(budget: Budget, measured: Measured, isQuick: boolean): Verdict {
  const value = valueOf(budget, measured);
  const isWithin = (limit: number): boolean => (wantsMore(budget) ? value >= limit : value <= limit);
  const bound = (isQuick ? budget.quick : (budget.min ?? budget.max)) ?? null;
  return {
    ...budget,
    value: Number.isFinite(value) ? value : null,
    bound,
    isMet: Number.isFinite(value) && (bound === null || isWithin(bound)),
    isAimReached: budget.aim === undefined ? null : Number.isFinite(value) && isWithin(budget.aim),
  };
}
