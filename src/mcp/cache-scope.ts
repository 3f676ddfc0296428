import { KeyNames } from './key-names.ts';
import { resultMembers } from './result-members.ts';
import { splice } from './splice.ts';

const MEMBERS = new KeyNames(['cacheScope']);

/** A response whose result says `cacheScope: "private"` where it said another (2026-07-28, caching): it is one caller's view. */
export function withPrivateScope(reply: Buffer): Buffer {
  const spans = resultMembers(reply, MEMBERS, 1);
  const start = spans?.[0] ?? -1;
  return start < 0 ? reply : splice(reply, [{ start, end: spans?.[1] ?? -1, text: '"private"' }]);
}
