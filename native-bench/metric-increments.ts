import { Counter, Histogram, Registry } from 'prom-client';
import { Bench } from 'tinybench';
import { Cell } from '../src/observe/families.ts';
import { Durations, EDGES } from '../src/observe/histogram.ts';
import { RequestCounts } from '../src/observe/request-counts.ts';
import { printTable } from './print-table.ts';

/** Bounds: what counting a request costs, and what the library's own metrics would cost in its place. */
const BATCH = 1_000;
const METHODS = ['tools/call', 'tools/list', 'ping', 'initialize'];
const STATUSES = [200, 200, 200, 403, 429];

const registers = [new Registry()];
const counter = new Counter({ name: 'requests', help: 'x', labelNames: ['method', 'status'], registers });
const bound = counter.labels('tools/call', '200');
const histogram = new Histogram({ name: 'duration', help: 'x', labelNames: ['method'], buckets: [...EDGES], registers });
const counts = new RequestCounts();
const durations = new Durations();
const cell = new Cell();

function repeat(step: (index: number) => void): () => void {
  return () => {
    for (let i = 0; i < BATCH; i++) step(i);
  };
}

const method = (index: number): string => METHODS[index % METHODS.length] as string;
const status = (index: number): number => STATUSES[index % STATUSES.length] as number;
const durationMs = (index: number): number => (index % 40) * 0.1;

const bench = new Bench({ time: 700, warmupTime: 200 });
bench
  .add(
    'a request: count by method and status, and its duration',
    repeat((i) => counts.count(method(i), status(i), durationMs(i))),
  )
  .add(
    'a held counter',
    repeat(() => void (cell.value += 1)),
  )
  .add(
    'a held histogram',
    repeat((i) => durations.observe(durationMs(i))),
  )
  .add(
    'prom-client: the same request',
    repeat((i) => {
      counter.inc({ method: method(i), status: status(i) });
      histogram.observe({ method: method(i) }, durationMs(i) / 1_000);
    }),
  )
  .add(
    'prom-client: a bound counter',
    repeat(() => bound.inc()),
  );
await bench.run();
printTable('metric increments', bench, BATCH);
