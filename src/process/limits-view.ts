import type { AuthorityStatus, FleetBucket, LimitsView } from '../core/fleet.ts';
import type { BucketView, LimitMode } from '../core/limit.ts';
import type { WorkerLimits } from '../core/messages.ts';

/** Buckets that a worker names, and that are shown of all together. */
export const SHOWN_BUCKETS: number = 1000;

/** What an operator must see first comes last. */
const RANK: Readonly<Record<LimitMode, number>> = { remote: 0, local: 1, open: 2, closed: 3 };

/** The budgets of all workers, one entry per key, most refused first. `authority` null: each worker decides for itself. */
export function mergeLimits(answers: readonly WorkerLimits[], authority: AuthorityStatus | null): LimitsView {
  const byKey = new Map<string, FleetBucket>();
  for (const { worker, buckets } of answers.toSorted((one, other) => one.worker - other.worker)) {
    for (const bucket of buckets) byKey.set(bucket.key, merged(byKey.get(bucket.key), worker, bucket));
  }
  const buckets = [...byKey.values()].toSorted((one, other) => other.refused - one.refused).slice(0, SHOWN_BUCKETS);
  return { buckets, authority: authority ?? ownStatus(answers) };
}

function merged(known: FleetBucket | undefined, worker: number, view: BucketView): FleetBucket {
  const leases = [...(known?.leases ?? []), { worker, tokens: view.leased }];
  const { key, limit, perSecond, burst, remaining, refused, deniedForMs, mode } = view;
  if (known === undefined) return { key, limit, perSecond, burst, remaining, refused, deniedForMs, mode, leases };
  return {
    ...known,
    remaining: Math.min(known.remaining, remaining),
    refused: known.refused + refused,
    deniedForMs: Math.max(known.deniedForMs, deniedForMs),
    mode: RANK[mode] > RANK[known.mode] ? mode : known.mode,
    leases,
  };
}

/** Without an authority there is one worker, and nothing is asked. */
function ownStatus(answers: readonly WorkerLimits[]): AuthorityStatus {
  const size = answers.reduce((sum, answer) => sum + answer.size, 0);
  return { kind: 'worker', mode: 'remote', size, asks: 0, denials: 0, recalls: 0, tokens: 0 };
}
