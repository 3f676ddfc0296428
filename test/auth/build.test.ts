import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildAuthSurface, buildAuthenticator } from '../../src/auth/build.ts';
import type { IdentityBook } from '../../src/auth/authenticator.ts';
import { generateKey, hashKey } from '../../src/auth/keys.ts';
import type { Access, Grants } from '../../src/core/access.ts';
import type { ApiKeySettings, AuthSettings } from '../../src/core/config.ts';
import { AUTH_EXPIRED, AUTH_INVALID, AUTH_MALFORMED, AUTH_MISSING } from '../../src/core/errors.ts';
import type { RequestHead } from '../../src/core/head.ts';
import type { LimitSpec, Principal } from '../../src/core/principal.ts';
import { isRefusal } from '../../src/core/refusal.ts';
import { headOf } from './head.ts';

const NOW_MS = 1_800_000_000_000;
const ALICE = generateKey();
const ADMIN = generateKey();
const TOKEN = generateKey();
const defaultLimit: LimitSpec = { perSecond: 25, burst: 10, failMode: 'local' };
const grants: Grants = { allowedTools: ['echo'], deniedTools: [], servers: null };

function keyOf(id: string, key: string, changes: Partial<ApiKeySettings> = {}): ApiKeySettings {
  return { id, keyHash: hashKey(key), grants, limit: null, expiresAtMs: null, roles: [], ...changes };
}

function settingsOf(changes: Partial<AuthSettings> = {}): AuthSettings {
  return { isAnonymousAllowed: false, defaultTools: 'all', isXApiKeyAccepted: false, apiKeys: [], resourceMetadata: null, ...changes };
}

const compiled: Grants[] = [];
function makeAccess(given: Grants): Access {
  compiled.push(given);
  return {
    mayReach: () => true,
    tool: (_server, tool) => ({ isAllowed: given.allowedTools?.includes(tool) ?? true, rule: 'test' }),
    allowsAllTools: () => false,
  };
}

function build(changes: Partial<AuthSettings> = {}, adminTokenHashes: readonly string[] = []): IdentityBook {
  return buildAuthenticator({ settings: settingsOf(changes), adminTokenHashes, makeAccess, defaultLimit });
}

const withKey = (key: string, changes: Partial<RequestHead> = {}): RequestHead => headOf({ authorization: `Bearer ${key}`, ...changes });

function admitted(auth: IdentityBook, head: RequestHead, wallMs = NOW_MS): Principal {
  const who = auth.tryNow(head, wallMs);
  if (isRefusal(who)) throw new Error(`refused: ${who.code}`);
  return who;
}

describe('buildAuthenticator', () => {
  it('refuses everything when no provider is configured', () => {
    const auth = build();
    expect(auth.tryNow(headOf(), NOW_MS)).toBe(AUTH_MISSING);
    expect(auth.tryNow(withKey(ALICE), NOW_MS)).toBe(AUTH_INVALID);
    expect(auth.tryNow(withKey('x'), NOW_MS)).toBe(AUTH_INVALID);
    expect(auth.tryNow(headOf({ authorization: 'Basic eDp5' }), NOW_MS)).toBe(AUTH_MALFORMED);
  });

  it('makes of a known key its principal, of any other a refusal', () => {
    const auth = build({ apiKeys: [keyOf('alice', ALICE, { limit: { perSecond: 1, burst: 2, failMode: 'local' } })] });
    expect(admitted(auth, withKey(ALICE))).toMatchObject({
      key: 'api_key:alice',
      provider: 'api_key',
      id: 'alice',
      isAdmin: false,
      limit: { perSecond: 1, burst: 2, failMode: 'local' },
    });
    expect(auth.tryNow(withKey(generateKey()), NOW_MS)).toBe(AUTH_INVALID);
    expect(auth.tryNow(headOf(), NOW_MS)).toBe(AUTH_MISSING);
  });

  it('shares one frozen principal between all requests of a key, with its grants compiled once', () => {
    compiled.length = 0;
    const auth = build({ apiKeys: [keyOf('alice', ALICE)] });
    const first = admitted(auth, withKey(ALICE));
    expect(admitted(auth, withKey(ALICE))).toBe(first);
    expect(Object.isFrozen(first)).toBe(true);
    expect(compiled).toEqual([grants]);
    expect(first.limit).toBe(defaultLimit);
  });

  it('refuses a key from the moment it expires', () => {
    const auth = build({ apiKeys: [keyOf('alice', ALICE, { expiresAtMs: NOW_MS })] });
    expect(admitted(auth, withKey(ALICE), NOW_MS - 1).notAfterMs).toBe(NOW_MS);
    expect(auth.tryNow(withKey(ALICE), NOW_MS)).toBe(AUTH_EXPIRED);
    expect(auth.tryNow(withKey(ALICE), Number.NaN)).toBe(AUTH_EXPIRED);
  });

  it('accepts X-API-Key only when enabled', () => {
    const apiKeys = [keyOf('alice', ALICE)];
    expect(admitted(build({ apiKeys, isXApiKeyAccepted: true }), headOf({ xApiKey: ALICE })).id).toBe('alice');
    expect(build({ apiKeys }).tryNow(headOf({ xApiKey: ALICE }), NOW_MS)).toBe(AUTH_MISSING);
  });

  it('does not find a key in the query', () => {
    const auth = build({ apiKeys: [keyOf('alice', ALICE)], isXApiKeyAccepted: true });
    expect(auth.tryNow(headOf({ query: `api_key=${ALICE}` }), NOW_MS)).toBe(AUTH_MISSING);
  });

  it('takes a request without a credential for anonymous only where that is allowed', () => {
    const who = admitted(build({ isAnonymousAllowed: true }), headOf());
    expect(who).toMatchObject({ key: 'anonymous:anonymous', provider: 'anonymous', isAdmin: false, limit: defaultLimit });
    expect(compiled.at(-1)).toEqual({ allowedTools: null, deniedTools: [], servers: null });
  });

  it('never lets a failed credential fall through to anonymous', () => {
    const auth = build({ isAnonymousAllowed: true, isXApiKeyAccepted: true, apiKeys: [keyOf('old', ALICE, { expiresAtMs: 1 })] }, [
      hashKey(TOKEN),
    ]);
    expect(auth.tryNow(withKey(ALICE), NOW_MS)).toBe(AUTH_EXPIRED);
    expect(auth.tryNow(withKey(generateKey()), NOW_MS)).toBe(AUTH_INVALID);
    expect(auth.tryNow(headOf({ xApiKey: 'wrong' }), NOW_MS)).toBe(AUTH_INVALID);
    expect(auth.tryNow(headOf({ authorization: 'Bearer ' }), NOW_MS)).toBe(AUTH_MALFORMED);
    expect(auth.tryNow(withKey(TOKEN, { xApiKey: 'other' }), NOW_MS)).toBe(AUTH_MALFORMED);
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.boolean(), (text, isApiKey) => {
        const head = isApiKey ? headOf({ xApiKey: text }) : headOf({ authorization: text });
        expect(auth.tryNow(head, NOW_MS)).toHaveProperty('status', 401);
      }),
    );
  });

  it('gives the admin role to keys that carry it, and to no role that resembles it', () => {
    const auth = build({
      apiKeys: [keyOf('root', ADMIN, { roles: ['ops', 'admin'] }), keyOf('alice', ALICE, { roles: ['Admin', 'admins'] })],
    });
    expect(admitted(auth, withKey(ADMIN)).isAdmin).toBe(true);
    expect(admitted(auth, withKey(ALICE)).isAdmin).toBe(false);
  });

  it('makes of an admin token an administrator who reaches no server and no tool', () => {
    const auth = build({ apiKeys: [keyOf('alice', ALICE)] }, [hashKey(ADMIN), hashKey(TOKEN)]);
    const who = admitted(auth, withKey(TOKEN));
    expect(who).toMatchObject({ key: 'admin_token:admin-token-2', provider: 'admin_token', isAdmin: true });
    expect([who.access.mayReach('default'), who.access.tool('default', 'echo').isAllowed, who.access.allowsAllTools('default')]).toEqual([
      false,
      false,
      false,
    ]);
    expect(auth.principalOf('admin-token-2')).toBeNull();
  });

  it('does not start when an admin token is also a key', () => {
    expect(() => build({ apiKeys: [keyOf('alice', ALICE)] }, [hashKey(ALICE)])).toThrow(/same key/);
  });

  it('names configured principals by their id', () => {
    const auth = build({ isAnonymousAllowed: true, apiKeys: [keyOf('alice', ALICE)] });
    expect(auth.principalOf('alice')).toBe(admitted(auth, withKey(ALICE)));
    expect(auth.principalOf('anonymous')).toBe(admitted(auth, headOf()));
    expect([auth.principalOf('bob'), auth.principalOf('__proto__'), build().principalOf('anonymous')]).toEqual([null, null, null]);
  });

  it('keeps ids and providers apart in principal keys', () => {
    const auth = build({ isAnonymousAllowed: true, apiKeys: [keyOf('anonymous', ALICE), keyOf('admin-token-1', ADMIN)] }, [hashKey(TOKEN)]);
    const keys = [headOf(), withKey(ALICE), withKey(ADMIN), withKey(TOKEN)].map((head) => admitted(auth, head).key);
    expect(new Set(keys).size).toBe(4);
    expect(auth.principalOf('anonymous')?.provider).toBe('api_key');
  });
});

describe('buildAuthSurface', () => {
  it('speaks for the configured resource', () => {
    const surface = buildAuthSurface({
      resource: 'https://gw.example/mcp',
      authorizationServers: ['https://idp.example'],
      scopesSupported: [],
    });
    expect(surface.challenge(headOf(), AUTH_MISSING)).toBe(
      'Bearer resource_metadata="https://gw.example/.well-known/oauth-protected-resource/mcp"',
    );
    expect(JSON.parse(surface.resourceMetadata(headOf(), ''))).toEqual({
      resource: 'https://gw.example/mcp',
      authorization_servers: ['https://idp.example'],
      bearer_methods_supported: ['header'],
    });
  });

  it('does not start with a resource that is no URL', () => {
    expect(() => buildAuthSurface({ resource: 'gw', authorizationServers: [], scopesSupported: [] })).toThrow('Invalid URL');
  });
});
