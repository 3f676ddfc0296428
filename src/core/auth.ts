import type { RequestHead } from './head.ts';
import type { Principal } from './principal.ts';
import type { Refusal } from './refusal.ts';

/** Decides who calls. One decision per request; any failure is terminal, nothing falls through to another provider. */
export interface Authenticator {
  /** Synchronous and total: a complete principal or a 401 refusal. `wallMs` is the time of day. */
  tryNow(head: RequestHead, wallMs: number): Principal | Refusal;
}

/** What RFC 6750 and RFC 9728 make of a resource server, as texts. */
export interface AuthSurface {
  /** Value of `WWW-Authenticate` for a 401 on `head.path` (RFC 6750 section 3, RFC 9728 section 5.1). */
  challenge(head: RequestHead, refusal: Refusal): string;
  /** RFC 9728 metadata JSON for the resource at `resourcePath`. */
  resourceMetadata(head: RequestHead, resourcePath: string): string;
}
