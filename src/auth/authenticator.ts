import type { Authenticator } from '../core/auth.ts';
import { AUTH_EXPIRED, AUTH_INVALID, AUTH_MISSING } from '../core/errors.ts';
import type { RequestHead } from '../core/head.ts';
import type { Principal } from '../core/principal.ts';
import type { Refusal } from '../core/refusal.ts';
import type { ApiKeyStore } from './api-keys.ts';
import { readCredential } from './credential.ts';

/** An authenticator that can also name whom it knows. */
export interface IdentityBook extends Authenticator {
  /** The configured principal of this id, as `check --identity` names it; null for an unknown one. */
  principalOf(id: string): Principal | null;
}

export interface AuthenticatorParts {
  readonly keys: ApiKeyStore;
  /** By id. */
  readonly principals: ReadonlyMap<string, Principal>;
  /** Whom a request without a credential is; null = it is refused. */
  readonly anonymous: Principal | null;
  readonly isXApiKeyAccepted: boolean;
}

/**
 * The provider order is fixed (a certificate, then the token: a known key, a JWT, an opaque OAuth token); here the store of
 * keys is the only provider. The anonymous principal is for requests that present nothing: a credential that fails never
 * falls through to it.
 */
export class ProviderChain implements IdentityBook {
  readonly #parts: AuthenticatorParts;

  constructor(parts: AuthenticatorParts) {
    this.#parts = parts;
  }

  tryNow(head: RequestHead, wallMs: number): Principal | Refusal {
    const credential = readCredential(head, this.#parts.isXApiKeyAccepted);
    if (credential === null) return this.#parts.anonymous ?? AUTH_MISSING;
    return typeof credential === 'string' ? this.#byToken(credential, wallMs) : credential;
  }

  principalOf(id: string): Principal | null {
    return this.#parts.principals.get(id) ?? null;
  }

  #byToken(token: string, wallMs: number): Principal | Refusal {
    const principal = this.#parts.keys.find(token);
    if (principal === null) return AUTH_INVALID;
    // Not `>=`: a time that is no number must not make a key immortal.
    return wallMs < principal.notAfterMs ? principal : AUTH_EXPIRED;
  }
}
