import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SessionLoadJob, SessionLoadResult } from '../fixtures/session-load.ts';
import type { Bench } from '../lib/bench.ts';
import { interleave } from '../lib/bench.ts';
import { httpUpstream, startGateways } from '../lib/gateway.ts';
import { finish, start } from '../lib/process.ts';
import type { Scenario } from '../lib/scenario.ts';
import { at } from '../lib/target.ts';
import type { Target } from '../lib/target.ts';
import { startUpstream } from '../lib/upstream.ts';
import { ownCpuUs } from '../lib/usage.ts';

const CLIENTS = 16;
const SECS = 6;
const main = fileURLToPath(new URL('../fixtures/session-load.ts', import.meta.url));

async function load(bench: Bench, target: Target, isSessionPerCall: boolean): Promise<Readonly<Record<string, number>>> {
  const secs = bench.secs(SECS);
  const job: SessionLoadJob = { url: target.url, caller: target.callers[0] ?? [], clients: CLIENTS, secs, isSessionPerCall };
  const file = join(bench.dir, 'sessions.json');
  await writeFile(file, JSON.stringify(job), { mode: 0o600 });
  const beforeUs = ownCpuUs(target.program);
  const { calls, wrong, example, p50Ms, p99Ms } = JSON.parse(
    await finish(start('the clients', process.execPath, [main, file])),
  ) as SessionLoadResult;
  if (wrong > 0 || calls === 0) throw new Error(`${target.name}: ${wrong} wrong answers of ${calls}. ${example}`);
  return { callsPerSec: calls / secs, p50Ms, p99Ms, cpuUsPerCall: (ownCpuUs(target.program) - beforeUs) / calls };
}

export const scenario: Scenario = {
  name: 'sessions',
  shows: '`tools/call` in a session for each call (`initialize`, `notifications/initialized`, the call, `DELETE`), and in one for all.',
  isLong: true,
  async run(bench) {
    const direct = at(await startUpstream(bench), '/session');
    const gateways = await startGateways(bench, { upstream: httpUpstream(direct.url) });
    const loads = [direct, ...gateways].flatMap((target) => [
      { target, isSessionPerCall: true, name: `${target.name}, a session per call` },
      { target, isSessionPerCall: false, name: `${target.name}, one session` },
    ]);
    for (const { target, isSessionPerCall } of loads) await load(bench, target, isSessionPerCall);
    await interleave(bench.rounds(5), loads, async ({ target, isSessionPerCall, name }) => {
      const figures = await load(bench, target, isSessionPerCall);
      bench.record(name, figures);
      bench.say(`${name}: ${Math.round(figures['callsPerSec'] ?? 0)}/s`);
    });
  },
};
