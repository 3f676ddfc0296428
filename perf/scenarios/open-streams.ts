import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { HoldJob, HoldResult } from '../fixtures/hold-streams.ts';
import type { Bench } from '../lib/bench.ts';
import { httpUpstream, startGateways } from '../lib/gateway.ts';
import { startNginx } from '../lib/nginx.ts';
import { echoCall, headsOf } from '../lib/plan.ts';
import { finish, start, stop, until } from '../lib/process.ts';
import type { Scenario } from '../lib/scenario.ts';
import { at } from '../lib/target.ts';
import type { Target } from '../lib/target.ts';
import { startUpstream } from '../lib/upstream.ts';
import { ownRssMb } from '../lib/usage.ts';

const STREAMS = 10_000;
/** Opened before the first weighing: what any first load takes is none of a stream's. */
const FIRST_STREAMS = 100;
const SETTLE_MS = 2_000;
const main = fileURLToPath(new URL('../fixtures/hold-streams.ts', import.meta.url));

/** Opens the streams, weighs the target, has the server answer them all, and reads every answer. */
async function weigh(bench: Bench, target: Target, upstream: Target, streams: number): Promise<Readonly<Record<string, number>>> {
  const plan = echoCall('echo', 'text');
  const { hostname: host, port } = new URL(target.url);
  const job: HoldJob = { host, port: Number(port), heads: headsOf(target, plan), plan, streams };
  const file = join(bench.dir, 'hold.json');
  await writeFile(file, JSON.stringify(job), { mode: 0o600 });
  const before = ownRssMb(target.program);
  const holder = start('the holder of streams', process.execPath, [main, file]);
  const finished = finish(holder);
  await until(holder, () => /^open$/m.test(holder.output()));
  await sleep(SETTLE_MS);
  const held = ownRssMb(target.program);
  await fetch(new URL('/release', upstream.url), { method: 'POST' });
  const { right, wrong, example } = JSON.parse((await finished).replace('open\n', '')) as HoldResult;
  if (wrong > 0 || right !== streams)
    throw new Error(`${target.name}: of ${streams} streams ${right} ended well, ${wrong} wrong. ${example}`);
  return { kbPerStream: ((held.totalMb - before.totalMb) * 1024) / streams, rssMb: held.totalMb, rssMbPerWorker: held.workerMb };
}

/** Starts the gateways anew: what a process has once used it keeps, so that only the first load weighs what streams cost. */
async function weighFresh(bench: Bench, direct: Target, streams: number): Promise<void> {
  for (const target of await startGateways(bench, { upstream: httpUpstream(direct.url) })) {
    await weigh(bench, target, direct, FIRST_STREAMS);
    const figures = await weigh(bench, target, direct, streams);
    bench.record(target.name, figures);
    bench.say(`${target.name}: ${(figures['kbPerStream'] ?? 0).toFixed(1)} KB per stream`);
    await stop(target.program);
  }
}

export const scenario: Scenario = {
  name: 'open-streams',
  shows: '10,000 calls held open at once, each by a silent event stream: resident memory per stream. Then all are answered.',
  async run(bench) {
    const direct = at(await startUpstream(bench), '/hold');
    const streams = bench.scaled(STREAMS, 1_000);
    for (let round = 0; round < bench.rounds(3); round++) await weighFresh(bench, direct, streams);
    const nginx = await startNginx(bench, direct);
    await weigh(bench, nginx, direct, FIRST_STREAMS);
    bench.record(nginx.name, await weigh(bench, nginx, direct, streams));
    bench.note(`${streams} streams, after ${FIRST_STREAMS} that had been opened and answered before.`);
  },
};
