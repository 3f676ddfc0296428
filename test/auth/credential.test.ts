import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_TOKEN_CHARS, readCredential } from '../../src/auth/credential.ts';
import { AUTH_MALFORMED } from '../../src/core/errors.ts';
import { headOf } from './head.ts';

const bearer = (authorization: string): unknown => readCredential(headOf({ authorization }), false);

describe('readCredential', () => {
  it('finds none where no header is', () => {
    expect(bearer('')).toBeNull();
    expect(readCredential(headOf(), true)).toBeNull();
  });

  it.each(['Bearer abc', 'bearer abc', 'BEARER abc', 'bEaReR abc', 'Bearer    abc', 'Bearer abc  '])(
    'reads %j whatever the case and the spaces',
    (value) => {
      expect(bearer(value)).toBe('abc');
    },
  );

  it.each(['mcp_aZ09-_.~+/', 'abc=', 'abc==', 'header.payload.signature'])('reads the token characters of RFC 6750: %j', (token) => {
    expect(bearer(`Bearer ${token}`)).toBe(token);
  });

  it.each([
    'Bearer',
    'Bearer ',
    'Bearer =',
    'Bearer a b',
    'Bearer abc, Bearer def',
    'Bearer abc,def',
    'Bearer "abc"',
    'Bearer a=b',
    'Bearer a\tb',
    'Bearer\tabc',
    'Bearer abc\u0000',
    'Bearer abc\n',
    'Bearer käse',
    'Bearerabc',
    'Bearer: abc',
    ' Bearer abc',
    'Basic dXNlcjpwYXNz',
    'Token abc',
    'abc',
    'Bearer Bearer abc',
  ])('refuses %j as malformed instead of ignoring it', (value) => {
    expect(bearer(value)).toBe(AUTH_MALFORMED);
  });

  it('bounds the length', () => {
    const longest = 'a'.repeat(MAX_TOKEN_CHARS);
    expect(bearer(`Bearer ${longest}`)).toBe(longest);
    expect(bearer(`Bearer ${longest}a`)).toBe(AUTH_MALFORMED);
    expect(bearer(`Bearer ${'a'.repeat(1_000_000)}!`)).toBe(AUTH_MALFORMED);
    expect(readCredential(headOf({ xApiKey: longest }), true)).toBe(longest);
    expect(readCredential(headOf({ xApiKey: `${longest}a` }), true)).toBe(AUTH_MALFORMED);
  });

  it('reads X-API-Key when it is enabled, and only then', () => {
    expect(readCredential(headOf({ xApiKey: 'abc' }), true)).toBe('abc');
    expect(readCredential(headOf({ xApiKey: 'abc' }), false)).toBeNull();
    expect(readCredential(headOf({ xApiKey: 'Bearer abc' }), true)).toBe(AUTH_MALFORMED);
    expect(readCredential(headOf({ xApiKey: 'a b' }), true)).toBe(AUTH_MALFORMED);
  });

  it('refuses two sources that differ, so that no two readers see two callers', () => {
    expect(readCredential(headOf({ authorization: 'Bearer abc', xApiKey: 'abc' }), true)).toBe('abc');
    expect(readCredential(headOf({ authorization: 'Bearer abc', xApiKey: 'abd' }), true)).toBe(AUTH_MALFORMED);
    expect(readCredential(headOf({ authorization: 'Basic abc', xApiKey: 'abc' }), true)).toBe(AUTH_MALFORMED);
    expect(readCredential(headOf({ authorization: 'Bearer abc', xApiKey: '!' }), true)).toBe(AUTH_MALFORMED);
  });

  it('never reads the query', () => {
    expect(readCredential(headOf({ query: 'api_key=abc&access_token=abc' }), true)).toBeNull();
  });

  it('takes no other string for a credential, whatever is sent', () => {
    const sent = fc.oneof(
      fc.string({ unit: 'binary', minLength: 1 }),
      fc.string().map((text) => `Bearer ${text}`),
    );
    fc.assert(
      fc.property(sent, (authorization) => {
        const found = readCredential(headOf({ authorization }), false);
        const isExact = typeof found === 'string' && authorization.replace(/^bearer */i, '').trimEnd() === found;
        expect(isExact || found === AUTH_MALFORMED).toBe(true);
      }),
    );
  });
});
