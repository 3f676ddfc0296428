import type { Access } from './access.ts';

/**
 * What happens to a limit whose authority is lost: its share of the limit is kept locally (`local`), everything is
 * refused (`closed`) or admitted (`open`).
 */
export type FailMode = 'local' | 'closed' | 'open';

/** A token bucket: `perSecond` tokens refill up to `burst`. Both > 0. */
export interface LimitSpec {
  readonly perSecond: number;
  readonly burst: number;
  readonly failMode: FailMode;
}

/** Provider names, as in metrics and audit. */
export type ProviderName = 'api_key' | 'jwt' | 'oauth' | 'mtls' | 'anonymous' | 'admin_token';

/**
 * Room for what is kept for a principal and would otherwise be looked up at each of its requests: with ten thousand callers in turn, every
 * map costs several cache misses. Copies only: without it the same is found, later.
 */
export interface PrincipalNotes {
  /** Its budget, and the book that made it (`pipeline/charges.ts`). */
  book: object | null;
  budget: object | null;
  /** From where it came last, and until when that has been told (`observe/recent-logins.ts`). */
  clientIp: string;
  loginUntilMs: number;
  /** Its id as a member of an audit record, and who wrote it so (`audit/record.ts`). */
  encoder: ((id: string) => string) | null;
  member: string;
}

export function emptyNotes(): PrincipalNotes {
  return { book: null, budget: null, clientIp: '', loginUntilMs: Number.NEGATIVE_INFINITY, encoder: null, member: '' };
}

/**
 * Who calls, after authentication. One frozen object per configured identity, shared by all its requests. There is
 * no empty principal: a request has a complete one or is refused.
 */
export interface Principal {
  /** `provider:id`, the key of everything kept per principal. */
  readonly key: string;
  readonly provider: ProviderName;
  readonly id: string;
  readonly isAdmin: boolean;
  readonly access: Access;
  readonly limit: LimitSpec;
  /** Wall-clock milliseconds after which the credential is refused; Infinity for never. */
  readonly notAfterMs: number;
  /** Of principals that the configuration names. */
  readonly notes?: PrincipalNotes;
}
