import type { MethodLimit, RateLimitSettings, ToolLimit } from '../core/config.ts';
import type { FailMode, LimitSpec } from '../core/principal.ts';
import { milliseconds } from './build-server.ts';
import { FAIL_MODES } from './schema-limits.ts';
import type { Section } from './section.ts';

/** The `rate_limit` table as limiters and the request path want it. */
export function buildRateLimit(section: Section): RateLimitSettings {
  const failMode = section.choice('fail_mode', FAIL_MODES);
  return {
    isEnabled: section.flag('enabled'),
    default: { perSecond: section.number('requests_per_second'), burst: section.number('burst_size'), failMode },
    isDeniedCounted: section.flag('count_denied'),
    maxInFlight: section.number('max_in_flight'),
    address: buildLimit(section.section('ip'), failMode),
    tools: section.sections('tool_limits').map((tool) => buildToolLimit(tool, failMode)),
    perToolDefault: buildLimit(section.section('per_tool_default'), failMode),
    methods: section.sections('method_limits').flatMap((method) => buildMethodLimit(method, failMode)),
    maxIdentities: section.number('max_identities'),
    idleTtlMs: milliseconds(section.number('idle_ttl_secs')),
  };
}

/** The burst that a rate brings along when none is given. */
export function burstOf(perSecond: number): number {
  return Math.max(1, Math.floor(perSecond / 2));
}

/** Null without a rate: then the table asks for no limit. */
function buildLimit(section: Section, common: FailMode): LimitSpec | null {
  const perSecond = section.maybeNumber('requests_per_second');
  if (perSecond === null) return null;
  const failMode = section.isSet('fail_mode') ? section.choice('fail_mode', FAIL_MODES) : common;
  return { perSecond, burst: section.maybeNumber('burst_size') ?? burstOf(perSecond), failMode };
}

function buildToolLimit(section: Section, common: FailMode): ToolLimit {
  return { pattern: section.maybeText('tool_pattern') ?? '', limit: buildLimit(section, common), cost: section.number('cost') };
}

function buildMethodLimit(section: Section, common: FailMode): MethodLimit[] {
  const limit = buildLimit(section, common);
  return limit === null ? [] : [{ method: section.maybeText('method') ?? '', limit }];
}
