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
}
