import { monitorEventLoopDelay } from 'node:perf_hooks';
import { type Collected, ReadFamily } from './families.ts';

const RESOLUTION_MS = 20;

/** Figures of this process: processor time, memory, and how late its event loop is. */
export interface ProcessFigures {
  readonly families: readonly Collected[];
  close(): void;
}

/** Starts measuring; the event loop's lateness is that of the time since the last scrape. */
export function measureProcess(): ProcessFigures {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  // The monitor's own period is part of what it measures.
  const lateSecs = (nanoseconds: number): number => Math.max(nanoseconds / 1e6 - RESOLUTION_MS, 0) / 1000;
  const cpuSecs = (): number => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  };
  const loopDelay = (): number => {
    const late = delay.count === 0 ? 0 : lateSecs(delay.percentile(99));
    delay.reset();
    return late;
  };
  const families = [
    new ReadFamily(
      { name: 'process_cpu_seconds_total', help: 'Processor time of all processes of the gateway.', type: 'counter', aggregator: 'sum' },
      cpuSecs,
    ),
    new ReadFamily(
      {
        name: 'process_resident_memory_bytes',
        help: 'Resident memory of all processes of the gateway; shared pages count once per process.',
        type: 'gauge',
        aggregator: 'sum',
      },
      () => process.memoryUsage.rss(),
    ),
    new ReadFamily(
      {
        name: 'mcp_guard_event_loop_delay_seconds',
        help: 'Lateness of the event loop since the last scrape, 99th percentile, of the process where it is worst.',
        type: 'gauge',
        aggregator: 'max',
      },
      loopDelay,
    ),
  ];
  return { families, close: () => delay.disable() };
}
