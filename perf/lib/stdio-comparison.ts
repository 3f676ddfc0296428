import { interleave } from './bench.ts';
import type { Bench } from './bench.ts';
import { closedLoopRound, warmUp } from './closed-loop.ts';
import { startGateways, stdioUpstream } from './gateway.ts';
import { startMcpProxy, startSupergateway } from './peers.ts';
import { pipeRound } from './pipe.ts';
import type { RequestPlan } from './plan.ts';
import type { Target } from './target.ts';

export interface StdioComparison {
  readonly command: readonly string[];
  readonly plan: RequestPlan;
  /** For peers, which put answers together anew. */
  readonly peerPlan: RequestPlan;
  /** Further targets with the same plan, measured in the same rounds. */
  readonly others?: readonly Target[];
}

const IN_PROGRESS = 32;
const ROUNDS = 5;
const SECS = 5;

/**
 * The same stdio server by its pipes, behind the gateway and behind two npm gateways, 32 calls in progress each. One worker, since
 * everybody else has one child too.
 */
export async function compareStdio(bench: Bench, comparison: StdioComparison): Promise<void> {
  const { command, plan, peerPlan, others = [] } = comparison;
  const gateways = await startGateways(bench, { upstream: stdioUpstream(command), server: { workers: 1 } });
  const peers = [await startMcpProxy(bench, command), await startSupergateway(bench, command)];
  const loaded = [...[...gateways, ...others].map((target) => ({ target, plan })), ...peers.map((target) => ({ target, plan: peerPlan }))];
  for (const { target, plan: own } of loaded) await warmUp(bench, target, own);
  const steps = [
    { name: 'pipe', measure: async () => await throughPipe(bench, command, plan) },
    ...loaded.map(({ target, plan: own }) => ({
      name: target.name,
      measure: async () => await closedLoopRound(bench, target, own, { secs: SECS }),
    })),
  ];
  const rounds = bench.rounds(ROUNDS);
  await interleave(rounds, steps, async ({ name, measure }, round) => {
    const figures = await measure();
    bench.record(name, figures);
    bench.say(`round ${round + 1} of ${rounds}: ${name} ${Math.round(figures['requestsPerSec'] ?? 0)}/s, ${figures['errors'] ?? 0} errors`);
  });
}

async function throughPipe(bench: Bench, command: readonly string[], plan: RequestPlan): Promise<Readonly<Record<string, number>>> {
  const load = await pipeRound(bench, command, plan, IN_PROGRESS, bench.secs(SECS));
  return {
    requestsPerSec: load.requests / load.secs,
    p50Ms: load.p50Ms,
    p99Ms: load.p99Ms,
    generatorCpuUsPerRequest: load.generatorCpuUs / load.requests,
  };
}
