/** Keys of all workers together, and of their authority: more than 16 million do not fit into a Map. */
const MAX_KEYS = 2 ** 22;

/** Keys that each of so many workers holds at most. */
export function workerCapacity(maxIdentities: number, workers: number): number {
  return Math.max(1, Math.min(maxIdentities, Math.floor(MAX_KEYS / Math.max(1, workers))));
}

/**
 * Keys that the authority of these workers must have room for. Each worker holds tokens of `workerCapacity` keys at most,
 * so there is always one of which nobody holds any: no bucket is ever evicted while somebody can spend of it.
 */
export function authorityCapacity(maxIdentities: number, workers: number): number {
  return workerCapacity(maxIdentities, workers) * Math.max(1, workers) + 1;
}
