import { describe, expect, it } from 'vitest';
import { BASE, errorsOf, HASH, load, OTHER_HASH } from './support.ts';

const HEX = `sha256:${Buffer.alloc(32, 1).toString('hex')}`;
const FORMS = [HASH, `sha256:${HASH}`, HEX, `sha256:${Buffer.alloc(32, 0xab).toString('hex').toUpperCase()}`];

function key(id: string, hash: string): string {
  return `[[auth.api_keys]]\nid = "${id}"\nkey_hash = "${hash}"\nallowed_tools = []\n`;
}

function tokens(...hashes: readonly string[]): string {
  return `[server.admin]\ntokens = ${JSON.stringify(hashes)}\n`;
}

describe('checkDigests', () => {
  it.each(FORMS.slice(0, 3))('refuses one digest for two API keys, the second written as %s', (form) => {
    expect(errorsOf(load(BASE + key('bob', form)))).toEqual(['auth.api_keys[1].key_hash is the same as auth.api_keys[0].key_hash']);
  });

  it.each(FORMS.slice(0, 3))('refuses an API key that is an admin token too, written as %s', (form) => {
    const result = load(tokens(OTHER_HASH, form) + BASE);
    expect(errorsOf(result)).toEqual(['server.admin.tokens[1] is the same as auth.api_keys[0].key_hash']);
    expect(result.problems.every(({ line }) => line !== undefined)).toBe(true);
  });

  it('refuses an admin token given twice, in whatever letters', () => {
    const upper = FORMS[3] as string;
    expect(errorsOf(load(tokens(upper, OTHER_HASH, `sha256:${'ab'.repeat(32)}`) + BASE))).toEqual([
      'server.admin.tokens[2] is the same as server.admin.tokens[0]',
    ]);
  });

  it('names every repetition, and repeats no hash', () => {
    const result = load(tokens(HASH, HASH) + BASE + key('bob', HEX));
    expect(errorsOf(result).toSorted()).toEqual([
      'auth.api_keys[1].key_hash is the same as auth.api_keys[0].key_hash',
      'server.admin.tokens[0] is the same as auth.api_keys[0].key_hash',
      'server.admin.tokens[1] is the same as auth.api_keys[0].key_hash',
    ]);
    expect(JSON.stringify(result.problems)).not.toContain(HASH);
  });

  it('lets different credentials be', () => {
    expect(errorsOf(load(tokens(Buffer.alloc(32, 3).toString('base64')) + BASE + key('bob', OTHER_HASH)))).toEqual([]);
  });
});
