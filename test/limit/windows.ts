import type { LimitSpec } from '../../src/core/principal.ts';

export interface Admission {
  readonly ms: number;
  readonly tokens: number;
}

/**
 * By how much the worst window that begins and ends with an admission exceeds burst + rate × T. Exact, in one pass:
 * count(i..j) − rate·(tj − ti) splits into a part of i and a part of j.
 */
export function worstExcess(admissions: readonly Admission[], spec: LimitSpec): number {
  const startMs = admissions[0]?.ms ?? 0;
  let worst = Number.NEGATIVE_INFINITY;
  let lead = Number.NEGATIVE_INFINITY;
  let count = 0;
  for (const { ms, tokens } of admissions) {
    const refilled = (spec.perSecond * (ms - startMs)) / 1000;
    lead = Math.max(lead, refilled - count);
    count += tokens;
    worst = Math.max(worst, count - refilled + lead);
  }
  return worst - Math.max(1, Math.floor(spec.burst));
}
