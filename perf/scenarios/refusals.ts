import { generateKey } from '../../src/auth/keys.ts';
import { closedLoop } from '../lib/closed-loop.ts';
import type { Loaded } from '../lib/closed-loop.ts';
import { httpUpstream, startGateways } from '../lib/gateway.ts';
import { echoCall, ID } from '../lib/plan.ts';
import type { RequestPlan } from '../lib/plan.ts';
import type { Scenario } from '../lib/scenario.ts';
import type { Target } from '../lib/target.ts';
import { startUpstream } from '../lib/upstream.ts';

/** More connections than any hash could keep from one of the workers. */
const DRAINING_CONNECTIONS = 64;

function refusal(status: number, tool: string, wants: readonly string[]): RequestPlan {
  return { ...echoCall(tool, 'text'), status, wants };
}

/** The same gateway under another name, for each kind of request. */
function named(target: Target, what: string): Target {
  return { ...target, name: `${target.name} ${what}` };
}

/** Takes the one token that every worker has for the caller. */
async function drain(target: Target, plan: RequestPlan): Promise<void> {
  const [authorization = ''] = target.callers[0] ?? [];
  const headers = { authorization: authorization.slice('Authorization: '.length), connection: 'close' };
  for (let i = 0; i < DRAINING_CONNECTIONS; i++) {
    const init = { method: 'POST', headers: { ...headers, 'content-type': 'application/json', accept: 'application/json' } };
    await (await fetch(target.url, { ...init, body: plan.body.replaceAll(ID, String(i)) })).text();
  }
}

function loadsOf(target: Target, limited: Target): Loaded[] {
  const stranger = { ...named(target, '401'), callers: [[`Authorization: Bearer ${generateKey()}`]] };
  const withId = [`"id":${ID}`, '"error_id":"'];
  return [
    { target: named(target, '200'), plan: echoCall('echo', 'text') },
    { target: stranger, plan: refusal(401, 'echo', ['"id":null', '"error_id":"']) },
    { target: named(target, '403'), plan: refusal(403, 'forbidden_tool', withId) },
    { target: named(limited, '429'), plan: refusal(429, 'echo', withId) },
  ];
}

export const scenario: Scenario = {
  name: 'refusals',
  shows: 'Requests that end early, beside one that is served: an unknown key, a tool that policy denies, a caller without tokens.',
  async run(bench) {
    const upstream = httpUpstream((await startUpstream(bench)).url);
    const gateways = await startGateways(bench, { upstream });
    const limited = await startGateways(bench, { upstream, rateLimit: { requests_per_second: 0.0001, burst_size: 1 } });
    for (const target of limited) await drain(target, echoCall('echo', 'text'));
    await closedLoop(
      bench,
      gateways.flatMap((target, i) => loadsOf(target, limited[i] ?? target)),
    );
  },
};
