import { Bench } from '../perf/lib/bench.ts';
import { closedLoopRound, warmUp } from '../perf/lib/closed-loop.ts';
import { readOptions } from '../perf/lib/options.ts';
import { echoCall } from '../perf/lib/plan.ts';
import type { Target } from '../perf/lib/target.ts';

/** Starts servers, loads each with wrk from 32 connections, every answer read, and prints what they did. */
export async function measureServers(title: string, start: (bench: Bench) => Promise<readonly Target[]>): Promise<void> {
  const bench = await Bench.open({
    options: readOptions(['--quick', '--secs', '3']),
    builds: [],
    gatewayEnv: {},
    workers: 1,
    say: () => undefined,
  });
  try {
    const rows: Record<string, string | number>[] = [];
    for (const target of await start(bench)) {
      const plan = echoCall('echo', 'text');
      await warmUp(bench, target, plan);
      const { requestsPerSec = 0, p50Ms = 0, p99Ms = 0, cpuUsPerRequest = 0 } = await closedLoopRound(bench, target, plan);
      const figures = { 'per second': Math.round(requestsPerSec), 'CPU µs per request': Number(cpuUsPerRequest.toFixed(1)) };
      rows.push({ server: target.name, ...figures, 'p50 ms': Number(p50Ms.toFixed(2)), 'p99 ms': Number(p99Ms.toFixed(2)) });
    }
    console.log(`${title} (Node ${process.versions.node}; wrk runs beside it)`);
    console.table(rows);
  } finally {
    await bench.close();
  }
}
