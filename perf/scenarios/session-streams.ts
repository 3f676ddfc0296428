import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { HoldSessionsJob } from '../fixtures/hold-session-streams.ts';
import type { Bench } from '../lib/bench.ts';
import { httpUpstream, startGateways } from '../lib/gateway.ts';
import { finish, start, stop, until } from '../lib/process.ts';
import type { Scenario } from '../lib/scenario.ts';
import { at } from '../lib/target.ts';
import type { Target } from '../lib/target.ts';
import { startUpstream } from '../lib/upstream.ts';
import { ownCpuUs, ownRssMb } from '../lib/usage.ts';

const STREAMS = 10_000;
/** Opened before the first weighing: what any first load takes is none of a stream's. */
const FIRST_STREAMS = 100;
const SETTLE_MS = 2_000;
const IDLE_SECS = 5;
const main = fileURLToPath(new URL('../fixtures/hold-session-streams.ts', import.meta.url));

/** Opens the sessions and their streams, weighs the target, has the server say something in each, and reads it. */
async function weigh(bench: Bench, target: Target, upstream: Target, streams: number): Promise<Readonly<Record<string, number>>> {
  const job: HoldSessionsJob = { url: target.url, caller: target.callers[0] ?? [], streams };
  const file = join(bench.dir, 'streams.json');
  await writeFile(file, JSON.stringify(job), { mode: 0o600 });
  const before = ownRssMb(target.program);
  const holder = start('the holder of streams', process.execPath, [main, file]);
  const finished = finish(holder);
  const startMs = performance.now();
  await until(holder, () => /^open$/m.test(holder.output()), 100, 180_000);
  const openMs = performance.now() - startMs;
  await sleep(SETTLE_MS);
  const [held, heldUs] = [ownRssMb(target.program), ownCpuUs(target.program)];
  await sleep(bench.secs(IDLE_SECS) * 1000);
  const idleUs = ownCpuUs(target.program) - heldUs;
  await fetch(new URL('/release', upstream.url), { method: 'POST' });
  const { right } = JSON.parse((await finished).replace('open\n', '')) as { readonly right: number };
  if (right !== streams) throw new Error(`${target.name}: of ${streams} clients ${right} heard what was said to them`);
  return {
    kbPerStream: ((held.totalMb - before.totalMb) * 1024) / streams,
    rssMb: held.totalMb,
    rssMbPerWorker: held.workerMb,
    openedPerSec: (streams * 1000) / openMs,
    idleCpuPercent: idleUs / (bench.secs(IDLE_SECS) * 10_000),
  };
}

export const scenario: Scenario = {
  name: 'session-streams',
  shows:
    '10,000 sessions with an open `GET` stream each: resident memory per stream, processor time while nothing is said. Then the server speaks in all.',
  isLong: true,
  async run(bench) {
    const direct = at(await startUpstream(bench), '/session');
    const streams = bench.scaled(STREAMS, 1_000);
    const settings = { upstream: httpUpstream(direct.url), session: { max_per_principal: 100_000 } };
    for (let round = 0; round < bench.rounds(3); round++) {
      for (const target of await startGateways(bench, settings)) {
        await weigh(bench, target, direct, FIRST_STREAMS);
        const figures = await weigh(bench, target, direct, streams);
        bench.record(target.name, figures);
        bench.say(`${target.name}: ${(figures['kbPerStream'] ?? 0).toFixed(1)} KB per stream`);
        await stop(target.program);
      }
    }
    bench.note(`${streams} streams, after ${FIRST_STREAMS} that had been opened and closed before.`);
  },
};
