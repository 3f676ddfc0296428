import { fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { Bench } from 'tinybench';
import { printTable } from './print-table.ts';

/** Bounds: what work must cost before a thread is worth it. The task does nothing; all that is measured is the hand-off. */
const IN_FLIGHT = 64;

/** The task, run by the pool's threads, which load this same file. */
export default function nothing(value: number): number {
  return value;
}

async function measure(): Promise<void> {
  const pool = new Piscina({ filename: fileURLToPath(import.meta.url), minThreads: 1, maxThreads: 1 });
  const bench = new Bench({ time: 1_500, warmupTime: 300 });
  bench.add('one at a time: round trip', async () => {
    await pool.run(1);
  });
  const many = Array.from({ length: IN_FLIGHT }, (_, i) => i);
  const batched = new Bench({ time: 1_500, warmupTime: 300 });
  let busyMs = 0;
  let calls = 0;
  batched.add(`${IN_FLIGHT} at a time: per call`, async () => {
    const before = performance.eventLoopUtilization();
    const startMs = performance.now();
    await Promise.all(many.map((value) => pool.run(value)));
    busyMs += performance.eventLoopUtilization(before).utilization * (performance.now() - startMs);
    calls += IN_FLIGHT;
  });
  await bench.run();
  printTable('piscina hand-off', bench, 1);
  await batched.run();
  printTable('piscina hand-off', batched, IN_FLIGHT);
  console.log(`event loop time of a call: ${((busyMs * 1_000) / calls).toFixed(1)} µs`);
  await pool.destroy();
}

if (isMainThread) await measure();
