import { Bench } from 'tinybench';
import type { LimitOutcome } from '../src/core/limit.ts';
import { SharedTable } from '../src/limit/shared-table.ts';
import { printTable } from './print-table.ts';

/** Bounds: what the identity budget costs a request. The key is looked up, the bucket refilled, a token taken. */
const BATCH = 1_000;
const KEYS = 100_000;
const spec = { perSecond: 1_000_000, burst: 1_000_000 };
const drainedSpec = { perSecond: 0.001, burst: 1 };
const out: LimitOutcome = { isAllowed: false, limit: 0, remaining: 0, resetSecs: 0, retryAfterSecs: 0 };
const keys = Array.from({ length: KEYS }, (_, i) => `api_key:user-${i}`);

function filled(count: number): SharedTable {
  const table = new SharedTable({ capacity: 131_072, idleTtlMs: 10_000 });
  for (let i = 0; i < count; i++) table.take(keys[i] as string, spec, 0, out);
  return table;
}

/** Returns a task that takes once from each of the next keys, a step of `stride` apart so that caches do not help. */
function takeFrom(table: SharedTable, count: number, stride: number, limit: { perSecond: number; burst: number }): () => void {
  let next = 0;
  let nowMs = 0;
  return () => {
    for (let i = 0; i < BATCH; i++) {
      next = (next + stride) % count;
      nowMs += 0.01;
      table.take(keys[next] as string, limit, nowMs, out);
    }
  };
}

const unknownTable = new SharedTable({ capacity: 4_096, idleTtlMs: 10_000 });
const bench = new Bench({ time: 1_000, warmupTime: 200 });
bench
  .add('known key, 10 keys', takeFrom(filled(10), 10, 1, spec))
  .add('known key, 100,000 keys at random', takeFrom(filled(KEYS), KEYS, 7_919, spec))
  .add('refused key', takeFrom(new SharedTable({ capacity: 16, idleTtlMs: 10_000 }), 1, 1, drainedSpec))
  .add('unknown key, table full (evicts)', takeFrom(unknownTable, KEYS, 1, spec));
await bench.run();
printTable('bucket take', bench, BATCH);
