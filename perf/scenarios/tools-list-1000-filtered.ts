import { FILTERED_LIST, TOOL_LIST } from '../fixtures/tool-list.ts';
import { closedLoop } from '../lib/closed-loop.ts';
import { ID } from '../lib/plan.ts';
import type { RequestPlan } from '../lib/plan.ts';
import { startRelays } from '../lib/relays.ts';
import type { Scenario } from '../lib/scenario.ts';

/** Begin, end and size tell the filtered list from every other: comparing 70 KB would cost the generator more than the gateway. */
function listPlan(list: string): RequestPlan {
  const answer = `{"jsonrpc":"2.0","id":${ID},"result":${list}}`;
  return {
    body: `{"jsonrpc":"2.0","id":${ID},"method":"tools/list","params":{}}`,
    status: 200,
    wants: [answer.slice(0, 200), answer.slice(answer.lastIndexOf('_tool_'))],
    answerBytes: Buffer.byteLength(answer.replaceAll(ID, '0123456789')),
  };
}

export const scenario: Scenario = {
  name: 'tools-list-1000-filtered',
  shows:
    '`tools/list` of 1,000 tools of which the caller may call 500: the gateway reads the list and drops the rest; nginx relays it all.',
  async run(bench) {
    const { direct, nginx, gateways } = await startRelays(bench, '/list');
    const whole = [direct, nginx].map((target) => ({ target, plan: listPlan(TOOL_LIST) }));
    await closedLoop(bench, [...whole, ...gateways.map((target) => ({ target, plan: listPlan(FILTERED_LIST) }))]);
    bench.note(`${TOOL_LIST.length} bytes in, ${FILTERED_LIST.length} bytes out.`);
  },
};
