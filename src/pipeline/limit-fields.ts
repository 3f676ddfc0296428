import type { RequestContext } from '../core/context.ts';
import { type FieldText, NO_FIELDS } from '../core/field-text.ts';
import type { LimitName } from '../core/limit.ts';

/** Those of the first minute, which is what most limits need: each piece of a text that is made anew is one more for the collector. */
const RESET_TEXTS: readonly string[] = Array.from({ length: 60 }, (_, secs) => resetText(secs));

/**
 * What answers say of the limit that decided, in two notations: the common one (`X-RateLimit-*`), and structured fields
 * (draft-ietf-httpapi-ratelimit-headers). Here: what of that never changes, made once for each limit.
 * `quota`: most tokens at once; `windowSecs`: in which all of them come back, null where time brings none.
 */
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
  return (policy + figure + (RESET_TEXTS[resetSecs] ?? resetText(resetSecs)) + figure) as FieldText;
}

function resetText(resetSecs: number): string {
  const secs = Number(resetSecs);
  return `;t=${secs}\r\nx-ratelimit-reset: ${secs}\r\nx-ratelimit-remaining: `;
}
