import * as errors from './errors.ts';
import type { Refusal } from './refusal.ts';

const BY_CODE: ReadonlyMap<string, Refusal> = new Map(
  Object.values(errors)
    .filter((entry) => typeof entry === 'object')
    .map((refusal) => [refusal.code, refusal]),
);

/** The entry of the catalogue with this code: how a refusal comes back from another process. Null for an unknown one. */
export function refusalOf(code: string): Refusal | null {
  return BY_CODE.get(code) ?? null;
}
