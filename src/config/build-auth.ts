import type { ApiKeySettings, AuthSettings, RateLimitSettings, ResourceMetadataSettings } from '../core/config.ts';
import type { LimitSpec } from '../core/principal.ts';
import { burstOf } from './build-limits.ts';
import { parseInstant } from './instant.ts';
import { normalizeKeyHash } from './key-hash.ts';
import type { Section } from './section.ts';

/** The `auth` table as the provider chain wants it. */
export function buildAuth(section: Section, limits: RateLimitSettings): AuthSettings {
  return {
    isAnonymousAllowed: section.flag('allow_anonymous'),
    defaultTools: section.choice('default_tools', ['all', 'none']),
    isXApiKeyAccepted: section.flag('x_api_key_header'),
    apiKeys: section.sections('api_keys').map((key) => buildApiKey(key, limits.default)),
    resourceMetadata: buildMetadata(section.section('resource_metadata')),
  };
}

function buildApiKey(section: Section, limit: LimitSpec): ApiKeySettings {
  const expiresAt = section.maybeText('expires_at');
  return {
    id: section.maybeText('id') ?? '',
    keyHash: normalizeKeyHash(section.maybeText('key_hash') ?? '') ?? '',
    grants: {
      allowedTools: section.maybeList('allowed_tools'),
      deniedTools: section.list('denied_tools'),
      servers: section.maybeList('servers'),
    },
    limit: ownLimit(section.maybeNumber('rate_limit'), section.maybeNumber('burst'), limit),
    expiresAtMs: expiresAt === null ? null : parseInstant(expiresAt),
    roles: section.list('roles'),
  };
}

/** A rate of one's own brings a burst of half of it; a burst alone keeps the common rate. */
function ownLimit(perSecond: number | null, burst: number | null, common: LimitSpec): LimitSpec | null {
  if (perSecond === null && burst === null) return null;
  if (perSecond === null) return { ...common, burst: burst ?? common.burst };
  return { perSecond, burst: burst ?? burstOf(perSecond), failMode: common.failMode };
}

function buildMetadata(section: Section): ResourceMetadataSettings | null {
  const resource = section.maybeText('resource');
  if (resource === null) return null;
  return { resource, authorizationServers: section.list('authorization_servers'), scopesSupported: section.list('scopes_supported') };
}
