import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { challenge } from '../../src/auth/challenge.ts';
import { ProtectedResource } from '../../src/auth/resource-metadata.ts';
import { AUTH_EXPIRED, AUTH_INVALID, AUTH_MALFORMED, AUTH_MISSING } from '../../src/core/errors.ts';
import { headOf } from './head.ts';

const derived = new ProtectedResource(null);

describe('challenge', () => {
  it('names the metadata of the path that was asked, by the scheme and host that were used', () => {
    expect(challenge(derived, headOf(), AUTH_MISSING)).toBe(
      'Bearer resource_metadata="http://127.0.0.1:3000/.well-known/oauth-protected-resource/mcp"',
    );
    expect(challenge(derived, headOf({ secure: true, host: 'gw.example', path: '/mcp/fs' }), AUTH_MISSING)).toBe(
      'Bearer resource_metadata="https://gw.example/.well-known/oauth-protected-resource/mcp/fs"',
    );
  });

  it('says invalid_token when a credential was presented, and not which check it failed', () => {
    const answers = new Set([AUTH_INVALID, AUTH_EXPIRED, AUTH_MALFORMED].map((refusal) => challenge(derived, headOf(), refusal)));
    expect([...answers]).toEqual([
      'Bearer resource_metadata="http://127.0.0.1:3000/.well-known/oauth-protected-resource/mcp", error="invalid_token"',
    ]);
  });

  it('names configured scopes, without offline_access', () => {
    const resource = new ProtectedResource({
      resource: 'https://gw.example/mcp',
      authorizationServers: [],
      scopesSupported: ['tools:read', 'offline_access', 'tools:call'],
    });
    expect(challenge(resource, headOf(), AUTH_MISSING)).toMatch(/, scope="tools:read tools:call"$/);
  });

  it('names the whole origin for a path of endless length: what a caller sends must not outgrow the head of the answer', () => {
    const header = challenge(derived, headOf({ path: `/mcp/${'a'.repeat(8100)}` }), AUTH_MISSING);
    expect(header).toBe('Bearer resource_metadata="http://127.0.0.1:3000/.well-known/oauth-protected-resource"');
  });

  it('does not repeat the credential', () => {
    expect(challenge(derived, headOf({ authorization: 'Bearer s3cret', xApiKey: 's3cret' }), AUTH_INVALID)).not.toContain('s3cret');
  });

  it('cannot be broken out of, whatever stands in host, path and scopes', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        fc.string({ unit: 'binary' }),
        fc.array(fc.string({ unit: 'binary' })),
        (host, path, scopesSupported) => {
          const configured = new ProtectedResource({ resource: 'https://gw.example/mcp', authorizationServers: [], scopesSupported });
          for (const resource of [derived, configured]) {
            const value = challenge(resource, headOf({ host, path: `/mcp/${path}` }), AUTH_INVALID);
            expect(value).toMatch(/^Bearer (?:[a-z_]+="(?:[ !#-[\]-~]|\\["\\])*"(?:, |$))+$/);
          }
        },
      ),
    );
  });
});
