import type { Bench } from 'tinybench';

/** Prints the tasks of a finished bench, per operation: a task runs `batch` operations each time. */
export function printTable(title: string, bench: Bench, batch: number): void {
  const rows = bench.tasks.map((task) => {
    const { result } = task;
    if (!('latency' in result)) throw new Error(`${task.name} failed`, { cause: 'error' in result ? result.error : undefined });
    const nsOf = (ms: number | undefined): number => Math.round(((ms ?? Number.NaN) * 1e7) / batch) / 10;
    const medianNs = nsOf(result.latency.p50);
    return { task: task.name, 'median ns': medianNs, 'p99 ns': nsOf(result.latency.p99), 'per second': Math.round(1e9 / medianNs) };
  });
  console.log(`${title} (Node ${process.versions.node})`);
  console.table(rows);
}
