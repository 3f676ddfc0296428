import { type FieldText, NO_FIELDS } from './field-text.ts';
import type { LimitName } from './limit.ts';

/** What an answer says of its limit: a request's context has it. It stays as it is from when the answer is sent. */
export interface LimitFigures {
  /** What of its headers never changes (`limitPolicy`). */
  readonly limitPolicy: FieldText;
  /** −1: none is said anything of. */
  readonly limit: number;
  /** Whole tokens left, ≥ 0. */
  readonly limitRemaining: number;
  /** Until all of them are back. */
  readonly limitResetSecs: number;
}

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

/** False where no limit was asked, or nobody knows its figures. */
export function hasFields(figures: LimitFigures | undefined): figures is LimitFigures {
  return figures !== undefined && figures.limit >= 0 && figures.limitPolicy !== NO_FIELDS;
}

/** Empty where there are none. */
export function limitFields(figures: LimitFigures | undefined): FieldText {
  if (!hasFields(figures)) return NO_FIELDS;
  const { limitPolicy: policy, limitRemaining: remaining, limitResetSecs: resetSecs } = figures;
  const figure = String(Number(remaining));
  return (policy + figure + (RESET_TEXTS[resetSecs] ?? resetText(resetSecs)) + figure) as FieldText;
}

function resetText(resetSecs: number): string {
  const secs = Number(resetSecs);
  return `;t=${secs}\r\nx-ratelimit-reset: ${secs}\r\nx-ratelimit-remaining: `;
}
