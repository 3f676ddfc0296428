import { checkInstant } from './instant.ts';
import { checkKeyHash } from './key-hash.ts';
import {
  choice,
  flag,
  type GroupField,
  type GroupListField,
  group,
  groupList,
  integer,
  later,
  laterAndOff,
  listMap,
  number,
  secret,
  text,
  textList,
} from './schema-types.ts';
import { MAX_BURST, MAX_PER_SECOND, MIN_PER_SECOND } from './schema-limits.ts';
import { checkCidr, checkKeyId, checkRole, checkSecureUrl, checkUrl } from './syntax.ts';

const JWT_ALGORITHMS: readonly string[] = 'RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA'.split(' ');
const MIN_SECRET_BYTES = 32;
const DAY_SECS = 86_400;

const API_KEYS: GroupListField = groupList(
  'Callers with an API key (`mcp_…`), made with `mcp-guard keygen`. Only the hash of a key is kept. A key of your own making can hold letters, digits and `-._~+/`, with `=` at its end (RFC 6750 `b64token`).',
  {
    id: text(null, 'Name of the caller in limits, log and audit; unique.', { isRequired: true, check: checkKeyId }),
    key_hash: secret(
      'SHA-256 of the whole key: standard base64 (44 characters), or `sha256:` followed by hex or base64; unique, also among `server.admin.tokens`.',
      {
        isRequired: true,
        check: checkKeyHash,
      },
    ),
    allowed_tools: textList(
      null,
      'Patterns of tools this caller may call; `server:tool` limits one to a server. Not set = `auth.default_tools`, `[]` = none, `["*"]` = all.',
    ),
    denied_tools: textList([], 'Patterns of tools this caller may not call; they beat every allowance.'),
    servers: textList(null, 'Patterns of server names this caller may reach; not set = all.'),
    rate_limit: number(
      MIN_PER_SECOND,
      MAX_PER_SECOND,
      null,
      'Requests per second of this caller instead of `rate_limit.requests_per_second`.',
    ),
    burst: integer(
      1,
      MAX_BURST,
      null,
      'Burst of this caller. Default with `rate_limit`: half of it rounded down, at least 1; otherwise `rate_limit.burst_size`.',
    ),
    expires_at: text(null, 'When the key stops working: an RFC 3339 time, or a date (its first instant, UTC).', { check: checkInstant }),
    roles: textList([], 'Roles of this caller; `admin` opens the admin endpoints.', { check: checkRole }),
  },
);

const JWT: GroupListField = groupList(
  'Callers with a JSON Web Token; several issuers as a list.',
  {
    mode: choice(['simple', 'jwks'], 'simple', '`simple`: HS256 with `secret`; `jwks`: asymmetric keys from `jwks_url`.'),
    secret: secret('HS256 secret, at least 32 bytes.', { check: checkSecret }),
    jwks_url: text(null, 'Where the issuer publishes its keys; https unless on loopback.', {
      check: checkSecureUrl,
      sensitivity: 'references',
    }),
    issuer: text(null, 'Required value of `iss`.'),
    audience: textList(null, 'Accepted values of `aud`.'),
    algorithms: textList(['RS256', 'ES256', 'EdDSA'], 'Accepted signature algorithms.', { check: checkAlgorithm }),
    cache_duration_secs: integer(1, DAY_SECS, 3600, 'How long fetched keys are used.'),
    leeway_secs: integer(0, 600, 60, 'Tolerated clock difference.'),
    user_id_claim: text('sub', 'Claim that names the caller.'),
    scopes_claim: text('scope', 'Claim that holds the scopes; a path such as `a.b` reaches into objects.'),
    roles_claim: text('roles', 'Claim that holds the roles.'),
    rate_limit_claim: text(null, 'Claim that sets the requests per second.'),
    scope_tool_mapping: listMap('Tool patterns per scope.'),
  },
  true,
);

const OAUTH: GroupListField = groupList(
  'Callers who log in at an OAuth 2 provider; several providers as a list.',
  {
    provider: choice(['github', 'google', 'okta', 'custom'], null, 'Which provider; `custom` takes all URLs from here.'),
    client_id: text(null, 'Client id of the gateway at the provider.'),
    client_secret: secret('Client secret of the gateway at the provider.'),
    authorization_url: text(null, 'Authorization endpoint.', { check: checkSecureUrl }),
    token_url: text(null, 'Token endpoint.', { check: checkSecureUrl }),
    userinfo_url: text(null, 'Userinfo endpoint.', { check: checkSecureUrl }),
    introspection_url: text(null, 'Introspection endpoint (RFC 7662).', { check: checkSecureUrl }),
    issuer: text(null, 'Issuer, for discovery.', { check: checkSecureUrl }),
    redirect_uri: text(null, 'Redirect URI of the gateway as registered.', { check: checkUrl }),
    allowed_redirects: textList([], 'Where the browser may be sent with the result.', { check: checkUrl }),
    scopes: textList([], 'Scopes to ask for.'),
    user_id_claim: text('sub', 'Member of the userinfo answer that names the caller.'),
    scope_tool_mapping: listMap('Tool patterns per scope.'),
    token_cache_ttl_secs: integer(0, 3600, 300, 'How long an accepted token is not asked about again.'),
  },
  true,
);

const MTLS: GroupField = group('Callers with a client certificate, checked here or by a proxy in front.', {
  enabled: flag(false, 'Whether client certificates authenticate.'),
  identity_source: choice(['cn', 'san_dns', 'san_email', 'san_uri', 'dn'], 'cn', 'Part of the certificate that names the caller.'),
  trusted_proxy_ips: textList([], 'Addresses or CIDR blocks of proxies whose certificate headers are believed.', { check: checkCidr }),
  header_preset: choice(['nginx', 'haproxy', 'envoy'], null, 'Which headers those proxies send.'),
  allowed_tools: textList(null, 'Patterns of tools such callers may call.'),
  rate_limit: number(MIN_PER_SECOND, MAX_PER_SECOND, null, 'Requests per second of each such caller.'),
});

const RESOURCE_METADATA: GroupField = group(
  'The protected resource metadata document (RFC 9728). Without this section it is derived from the request.',
  {
    resource: text(null, 'The public URL of the MCP endpoint, exactly as clients know it.', { check: checkUrl }),
    authorization_servers: textList([], 'Issuer URLs of the authorization servers.', { check: checkSecureUrl }),
    scopes_supported: textList([], 'Scopes that clients may ask for.'),
  },
);

export const AUTH: GroupField = group('Who may call. Without any provider every MCP request is answered 401.', {
  allow_anonymous: flag(
    false,
    'Serves requests that carry no credential, with a budget per IPv4 address or IPv6 /64; refused off loopback.',
  ),
  default_tools: choice(['all', 'none'], 'all', 'What callers without `allowed_tools` may call.'),
  x_api_key_header: flag(false, 'Also accepts API keys in `X-API-Key`.'),
  api_keys: API_KEYS,
  jwt: later(JWT),
  oauth: later(OAUTH),
  mtls: laterAndOff(MTLS),
  resource_metadata: RESOURCE_METADATA,
});

function checkSecret(value: string): string | null {
  return Buffer.byteLength(value) >= MIN_SECRET_BYTES ? null : `must be at least ${MIN_SECRET_BYTES} bytes long`;
}

function checkAlgorithm(value: string): string | null {
  return JWT_ALGORITHMS.includes(value) ? null : `must be one of ${JWT_ALGORITHMS.join(', ')}`;
}
