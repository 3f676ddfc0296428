import { randomBytes } from 'node:crypto';
import { generateKey } from '../../src/auth/keys.ts';
import { type Bench, type Build, interleave } from '../lib/bench.ts';
import { closedLoopRound, warmUp } from '../lib/closed-loop.ts';
import { startGateway, stdioUpstream } from '../lib/gateway.ts';
import { looseEchoCall } from '../lib/plan.ts';
import { freePort } from '../lib/process.ts';
import type { Scenario } from '../lib/scenario.ts';
import { SessionClient } from '../lib/session-client.ts';
import { ECHO_SERVER } from '../lib/stdio-servers.ts';
import type { Target } from '../lib/target.ts';
import { ownCpuUs } from '../lib/usage.ts';

const SECS = 6;

interface Way {
  readonly target: Target;
  /** What works on its calls as well. */
  readonly behind: Target | null;
}

/** Two hosts of this build, and one session at the second: called there, and by way of the first. */
async function startHosts(bench: Bench, build: Build): Promise<readonly [Way, Way]> {
  const [keys, secret] = [[generateKey()], randomBytes(32).toString('base64')];
  const start = async (name: string): Promise<Target> => {
    const server = { workers: 1, advertise_address: `127.0.0.1:${await freePort()}`, peer_secret: secret };
    const upstream = { ...stdioUpstream(ECHO_SERVER), isolation: 'session' };
    return await startGateway(bench, build, { name, keys, server, upstream, session: { seal_keys: [secret] } });
  };
  const near = await start('gateway, by way of another host');
  const far = await start('gateway, at the host of the session');
  const client = new SessionClient({ url: far.url, caller: far.callers[0] ?? [] });
  const session = await client.begin('hosts-relay');
  const inSession = (target: Target): Target => ({
    ...target,
    callers: target.callers.map((lines) => [...lines, `Mcp-Session-Id: ${session}`]),
  });
  return [
    { target: inSession(far), behind: null },
    { target: inSession(near), behind: far },
  ];
}

async function round(bench: Bench, { target, behind }: Way): Promise<Readonly<Record<string, number>>> {
  const secs = Math.max(bench.secs(SECS), 1);
  const beforeUs = behind === null ? 0 : ownCpuUs(behind.program);
  const figures = await closedLoopRound(bench, target, looseEchoCall('echo', 'text'), { secs });
  const { cpuUsPerRequest = 0, requestsPerSec = 0 } = figures;
  const behindUs = behind === null ? 0 : (ownCpuUs(behind.program) - beforeUs) / (requestsPerSec * secs);
  return { ...figures, cpuUsPerRequest: cpuUsPerRequest + behindUs, cpuUsOfOtherHost: behindUs };
}

export const scenario: Scenario = {
  name: 'hosts-relay',
  shows:
    '`tools/call` in a session with a stdio child of its own: what it costs when it comes to another host than the one that holds the child.',
  async run(bench) {
    const ways: Way[] = [];
    for (const build of bench.settings.builds) ways.push(...(await startHosts(bench, build)));
    for (const { target } of ways) await warmUp(bench, target, looseEchoCall('echo', 'text'));
    await interleave(bench.rounds(5), ways, async (way) => {
      const figures = await round(bench, way);
      bench.record(way.target.name, figures);
      bench.say(`${way.target.name}: ${(figures['cpuUsPerRequest'] ?? 0).toFixed(1)} µs per call, ${figures['p50Ms']} ms`);
    });
    bench.note('The child is the same and answers at once; `cpuUsPerRequest` counts both hosts.');
  },
};
