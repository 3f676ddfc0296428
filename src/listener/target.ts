import { BAD_TARGET, URI_TOO_LONG } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';

const MAX_TARGET_CHARS = 8192;

/** Nothing to look at twice: segments without dots, percent signs or empty parts. */
const PLAIN_PATH = /^\/$|^(?:\/[A-Za-z0-9_~-]+)+\/?$/;
/** RFC 3986 `pchar` and `/`, in origin form. */
const PATH = /^\/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*$/;
const QUERY = /^[A-Za-z0-9\-._~!$&'()*+,;=:@%/?]*$/;
const BROKEN_PERCENT = /%(?![0-9A-Fa-f]{2})/;
/** Control characters, slash and backslash in disguise. */
const HIDDEN_IN_PATH = /%(?:[01][0-9A-Fa-f]|2[Ff]|5[Cc]|7[Ff])/;
const HIDDEN_NUL = /%00/;
/** `.` and `..`, encoded or followed by parameters. */
const DOT_SEGMENT = /\/(?:\.|%2[Ee]){1,2}(?=[/;]|$)/;

/** Checks a request target in origin form, split at the first `?`. Paths are matched exactly, never normalised. */
export function checkTarget(path: string, query: string): Refusal | null {
  if (path.length + query.length > MAX_TARGET_CHARS) return URI_TOO_LONG;
  if (!PLAIN_PATH.test(path) && !isSafePath(path)) return BAD_TARGET;
  if (query !== '' && !isSafeQuery(query)) return BAD_TARGET;
  return null;
}

function isSafePath(path: string): boolean {
  if (!PATH.test(path) || path.includes('//') || DOT_SEGMENT.test(path)) return false;
  return !path.includes('%') || (!BROKEN_PERCENT.test(path) && !HIDDEN_IN_PATH.test(path));
}

function isSafeQuery(query: string): boolean {
  return QUERY.test(query) && !BROKEN_PERCENT.test(query) && !HIDDEN_NUL.test(query);
}
