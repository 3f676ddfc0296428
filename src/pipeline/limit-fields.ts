import type { RequestContext } from '../core/context.ts';
import { type FieldText, NO_FIELDS } from '../core/field-text.ts';
import type { LimitName } from '../core/limit.ts';

/** Seconds for which the text is kept. */
const KEPT_RESETS = 64;

/**
 * What answers say of the limit that decided, in two notations: the common one (`X-RateLimit-*`), and structured fields
 * (draft-ietf-httpapi-ratelimit-headers). The figures of a limit that never change come first and are made once.
 */

/** `quota`: most tokens at once; `windowSecs`: in which all of them come back, null where time brings none. */
export function limitPolicy(limit: LimitName, quota: number, windowSecs: number | null): FieldText {
  const window = windowSecs === null ? '' : `;w=${Number(windowSecs)}`;
  const most = Number(quota);
  return `\r\nratelimit-policy: "${limit}";q=${most}${window}\r\nx-ratelimit-limit: ${most}\r\nratelimit: "${limit}";r=` as FieldText;
}

/** Empty where no limit was asked, or nobody knows its figures. */
export function limitFields({
  limit,
  limitPolicy: policy,
  limitRemaining: remaining,
  limitResetSecs: resetSecs,
}: RequestContext): FieldText {
  if (limit < 0) return NO_FIELDS;
  const figure = String(Number(remaining));
  return (policy + figure + resetText(resetSecs) + figure) as FieldText;
}

const resetTexts: (string | undefined)[] = [];

/** Of each piece of a text one is left for the collector, so that those which repeat are kept whole. */
function resetText(resetSecs: number): string {
  if (!(resetSecs >= 0 && resetSecs < KEPT_RESETS)) return makeResetText(resetSecs);
  return (resetTexts[resetSecs] ??= makeResetText(resetSecs));
}

function makeResetText(resetSecs: number): string {
  const secs = Number(resetSecs);
  return `;t=${secs}\r\nx-ratelimit-reset: ${secs}\r\nx-ratelimit-remaining: `;
}
