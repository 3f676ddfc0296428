import type { ConfigSnapshot } from '../core/config.ts';
import type { Problems } from './problems.ts';
import { refuseRepeated } from './refuse-repeated.ts';
import type { Section } from './section.ts';

const ONLY_WITH_RATE = ['burst_size', 'fail_mode'] as const;

/** Limits that limit nothing, hold twice, or could never admit anything. */
export function checkLimits(section: Section, snapshot: ConfigSnapshot, problems: Problems): void {
  const tools = section.sections('tool_limits');
  refuseRepeated(tools, 'tool_pattern', problems);
  refuseRepeated(section.sections('method_limits'), 'method', problems);
  for (const tool of tools) checkTool(tool, snapshot, problems);
  for (const name of ['ip', 'per_tool_default']) refuseWithoutRate(section.section(name), problems);
}

function checkTool(section: Section, snapshot: ConfigSnapshot, problems: Problems): void {
  const hasRate = section.maybeNumber('requests_per_second') !== null;
  if (!hasRate && section.number('cost') === 1) {
    problems.error(section.path, 'limits nothing: give requests_per_second, a cost above 1, or both');
  }
  refuseWithoutRate(section, problems);
  checkCost(section, snapshot, problems);
}

function refuseWithoutRate(section: Section, problems: Problems): void {
  if (section.maybeNumber('requests_per_second') !== null) return;
  for (const name of ONLY_WITH_RATE) {
    if (section.isSet(name)) problems.error(section.at(name), 'has no meaning without requests_per_second beside it');
  }
}

/** A call takes its cost from its caller's bucket at once, so it must fit in. */
function checkCost(section: Section, { auth, rateLimit }: ConfigSnapshot, problems: Problems): void {
  const cost = section.number('cost');
  const isDefaultUsed = auth.isAnonymousAllowed || auth.apiKeys.length === 0 || auth.apiKeys.some((key) => key.limit === null);
  if (isDefaultUsed && cost > rateLimit.default.burst) {
    const message = `is more than rate_limit.burst_size (${rateLimit.default.burst}): such a call could never be admitted`;
    problems.error(section.at('cost'), message);
  }
  for (const { id, limit } of auth.apiKeys) {
    if (limit === null || cost <= limit.burst) continue;
    problems.warn(section.at('cost'), `is more than the burst of ${JSON.stringify(id)} (${limit.burst}), who can never call such a tool`);
  }
}
