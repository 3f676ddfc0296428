import { Bench } from '../perf/lib/bench.ts';
import { readOptions } from '../perf/lib/options.ts';
import { pipeRound } from '../perf/lib/pipe.ts';
import { echoCall } from '../perf/lib/plan.ts';
import { DEMO_SERVER, ECHO_SERVER } from '../perf/lib/stdio-servers.ts';

/** Bounds: what any gateway in front of a stdio server can do at most. Calls by the pipes of the child, so many at a time. */
const SECS = 1.5;
const SERVERS = [
  ['a child that costs next to nothing', ECHO_SERVER, echoCall('echo', 'text')],
  ['the demo server, a tool of 100 µs', DEMO_SERVER, echoCall('burn', 'text')],
] as const;

const bench = await Bench.open({ options: readOptions([]), builds: [], gatewayEnv: {}, workers: 1, say: () => undefined });
try {
  const rows: Record<string, string | number>[] = [];
  for (const [server, command, plan] of SERVERS) {
    for (const inProgress of [1, 32, 256]) {
      const { requests, secs, p50Ms, generatorCpuUs } = await pipeRound(bench, command, plan, inProgress, SECS);
      const driver = Number((generatorCpuUs / requests).toFixed(1));
      rows.push({
        server,
        'in progress': inProgress,
        'per second': Math.round(requests / secs),
        'p50 ms': p50Ms,
        'driver CPU µs per call': driver,
      });
    }
  }
  console.log(`stdio pipe (Node ${process.versions.node})`);
  console.table(rows);
} finally {
  await bench.close();
}
