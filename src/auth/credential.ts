import { AUTH_MALFORMED } from '../core/errors.ts';
import type { RequestHead } from '../core/head.ts';
import type { Refusal } from '../core/refusal.ts';

/** Longest credential that is looked at, in characters. */
export const MAX_TOKEN_CHARS: number = 8_192;

/** RFC 6750 section 2.1 (`b64token`), with the scheme in any case (RFC 9110 section 11.1) and any number of spaces. */
const BEARER = /^bearer +([A-Za-z0-9\-._~+/]+=*) *$/i;
const TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;

/**
 * The credential a request presents: the token, null when it presents none, or the refusal. Sources are `Authorization:
 * Bearer` and, when enabled, `X-API-Key`; never the query. A header that is there but malformed, of another scheme, or
 * contradicting the other header is refused, never skipped: skipping would make a caller with a broken credential anonymous.
 */
export function readCredential(head: RequestHead, isXApiKeyAccepted: boolean): string | Refusal | null {
  const bearer = head.authorization === '' ? null : readBearer(head.authorization);
  if (!isXApiKeyAccepted || head.xApiKey === '') return bearer;
  const key = isToken(head.xApiKey) ? head.xApiKey : AUTH_MALFORMED;
  return bearer === null || bearer === key ? key : AUTH_MALFORMED;
}

function readBearer(value: string): string | Refusal {
  // Bounded before the pattern runs; the margin is for the scheme and spaces.
  if (value.length > MAX_TOKEN_CHARS + 64) return AUTH_MALFORMED;
  const token = BEARER.exec(value)?.[1];
  return token === undefined || token.length > MAX_TOKEN_CHARS ? AUTH_MALFORMED : token;
}

function isToken(value: string): boolean {
  return value.length <= MAX_TOKEN_CHARS && TOKEN.test(value);
}
