import type { Access, Grants } from '../core/access.ts';
import type { AuthSurface } from '../core/auth.ts';
import type { ApiKeySettings, AuthSettings, ResourceMetadataSettings } from '../core/config.ts';
import { emptyNotes, type LimitSpec, type Principal } from '../core/principal.ts';
import { ApiKeyStore } from './api-keys.ts';
import type { StoredKey } from './api-keys.ts';
import { ProviderChain } from './authenticator.ts';
import type { IdentityBook } from './authenticator.ts';
import { challenge } from './challenge.ts';
import { ProtectedResource } from './resource-metadata.ts';

export interface AuthDeps {
  readonly settings: AuthSettings;
  /** `server.admin.tokens`: SHA-256 digests. */
  readonly adminTokenHashes: readonly string[];
  /** Compiles grants; called once per configured identity. */
  makeAccess(grants: Grants): Access;
  readonly defaultLimit: LimitSpec;
}

const UNSTATED: Grants = Object.freeze({ allowedTools: null, deniedTools: Object.freeze([]), servers: null });

/** An admin token opens admin endpoints, never an upstream. */
const NO_ACCESS: Access = Object.freeze({
  mayReach: () => false,
  tool: () => ({ isAllowed: false, rule: 'admin tokens reach no server' }),
  allowsAllTools: () => false,
});

/** Throws for hashes that are malformed or used twice; such a configuration does not start. */
export function buildAuthenticator(deps: AuthDeps): IdentityBook {
  const users = deps.settings.apiKeys.map((settings) => ({ keyHash: settings.keyHash, principal: apiKeyPrincipal(settings, deps) }));
  const admins = deps.adminTokenHashes.map((keyHash, index) => ({ keyHash, principal: adminPrincipal(index, deps.defaultLimit) }));
  const anonymous = deps.settings.isAnonymousAllowed ? anonymousPrincipal(deps) : null;
  return new ProviderChain({
    keys: new ApiKeyStore([...users, ...admins]),
    principals: principalsById(users, anonymous),
    anonymous,
    isXApiKeyAccepted: deps.settings.isXApiKeyAccepted,
  });
}

/** Texts about the gateway as a resource server. Throws for a `resource` that is no URL. */
export function buildAuthSurface(settings: ResourceMetadataSettings | null): AuthSurface {
  const resource = new ProtectedResource(settings);
  return {
    challenge: (head, refusal) => challenge(resource, head, refusal),
    resourceMetadata: (head, path) => resource.metadata(head, path),
  };
}

function principalsById(users: readonly StoredKey[], anonymous: Principal | null): ReadonlyMap<string, Principal> {
  const entries = users.map(({ principal }): [string, Principal] => [principal.id, principal]);
  // First, so that a key with the same id is the one found.
  if (anonymous !== null) entries.unshift([anonymous.id, anonymous]);
  return new Map(entries);
}

function apiKeyPrincipal(settings: ApiKeySettings, deps: AuthDeps): Principal {
  return Object.freeze<Principal>({
    key: `api_key:${settings.id}`,
    provider: 'api_key',
    id: settings.id,
    isAdmin: settings.roles.includes('admin'),
    access: deps.makeAccess(settings.grants),
    limit: settings.limit ?? deps.defaultLimit,
    notAfterMs: settings.expiresAtMs ?? Number.POSITIVE_INFINITY,
    notes: emptyNotes(),
  });
}

function adminPrincipal(index: number, limit: LimitSpec): Principal {
  const id = `admin-token-${index + 1}`;
  return Object.freeze<Principal>({
    key: `admin_token:${id}`,
    provider: 'admin_token',
    id,
    isAdmin: true,
    access: NO_ACCESS,
    limit,
    notAfterMs: Number.POSITIVE_INFINITY,
  });
}

/** All anonymous callers are one principal; the request path keeps their budgets per address. */
function anonymousPrincipal(deps: AuthDeps): Principal {
  return Object.freeze<Principal>({
    key: 'anonymous:anonymous',
    provider: 'anonymous',
    id: 'anonymous',
    isAdmin: false,
    access: deps.makeAccess(UNSTATED),
    limit: deps.defaultLimit,
    notAfterMs: Number.POSITIVE_INFINITY,
  });
}
