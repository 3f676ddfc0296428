import { describe, expect, it } from 'vitest';
import { errorsOf, HASH, load, OTHER_HASH, snapshotOf, warningsOf } from './support.ts';

const SERVER = '[upstream]\ncommand = "x"\n';

function key(members: string, hash: string = HASH): string {
  return `[[auth.api_keys]]\nkey_hash = "${hash}"\n${members}\n`;
}

describe('checkAuth', () => {
  it('refuses repeated ids', () => {
    const text = key('id = "a"\nallowed_tools = []') + key('id = "a"\nallowed_tools = []', OTHER_HASH) + SERVER;
    expect(errorsOf(load(text))).toEqual(['auth.api_keys[1].id is the same as auth.api_keys[0].id']);
  });

  it('names what a key lacks', () => {
    expect(errorsOf(load(`[[auth.api_keys]]\nallowed_tools = []\n${SERVER}`))).toEqual([
      'auth.api_keys[0].id is missing',
      'auth.api_keys[0].key_hash is missing',
    ]);
    expect(errorsOf(load(`${key('id = ""\nallowed_tools = []')}${SERVER}`))).toEqual(['auth.api_keys[0].id must not be empty']);
  });

  it('refuses malformed hashes, without repeating them (row 74)', () => {
    const result = load(key('id = "a"\nallowed_tools = []', 'mcp_canary') + SERVER);
    expect(errorsOf(result)).toHaveLength(1);
    expect(JSON.stringify(result)).not.toContain('canary');
  });

  it('warns when it is not said what a key may call (row 114)', () => {
    expect(warningsOf(load(key('id = "a"') + SERVER))).toEqual([
      expect.stringMatching(/auth\.api_keys\[0\] has no allowed_tools, so every tool is allowed/),
    ]);
    expect(warningsOf(load(`[auth]\ndefault_tools = "none"\n${key('id = "a"')}${SERVER}`))).toEqual([
      expect.stringMatching(/no tool is allowed/),
    ]);
    expect(warningsOf(load(key('id = "a"\nallowed_tools = []') + SERVER))).toEqual([]);
  });

  it('warns that nobody can call when nobody is known (row 68)', () => {
    expect(load(SERVER).problems).toEqual([
      { path: 'auth', severity: 'warning', message: expect.stringContaining('every MCP request will be answered 401') },
    ]);
    expect(load(`${SERVER}[auth]\nallow_anonymous = true`).problems).toEqual([]);
  });

  it('reads grants as they are: not stated, none, some', () => {
    const { auth } = snapshotOf(
      key('id = "a"') +
        key('id = "b"\nallowed_tools = []\nservers = []', OTHER_HASH) +
        key(
          'id = "c"\nallowed_tools = ["x_*"]\ndenied_tools = ["x_y"]\nservers = ["fs"]\nroles = ["admin"]',
          Buffer.alloc(32, 3).toString('base64'),
        ) +
        SERVER,
    );
    expect(auth.apiKeys.map((entry) => entry.grants)).toEqual([
      { allowedTools: null, deniedTools: [], servers: null },
      { allowedTools: [], deniedTools: [], servers: [] },
      { allowedTools: ['x_*'], deniedTools: ['x_y'], servers: ['fs'] },
    ]);
    expect(auth.apiKeys[2]?.roles).toEqual(['admin']);
  });

  it.each([
    ['', null],
    ['rate_limit = 10', { perSecond: 10, burst: 5, failMode: 'local' }],
    ['rate_limit = 7', { perSecond: 7, burst: 3, failMode: 'local' }],
    ['rate_limit = 1', { perSecond: 1, burst: 1, failMode: 'local' }],
    ['rate_limit = 0.5', { perSecond: 0.5, burst: 1, failMode: 'local' }],
    ['rate_limit = 10\nburst = 40', { perSecond: 10, burst: 40, failMode: 'local' }],
    ['burst = 40', { perSecond: 25, burst: 40, failMode: 'local' }],
  ])('gives a key with "%s" its own limit (row 137)', (members, limit) => {
    expect(snapshotOf(key(`id = "a"\nallowed_tools = []\n${members}`) + SERVER).auth.apiKeys[0]?.limit).toEqual(limit);
  });

  it('reads expiry from text and from TOML dates (row 16)', () => {
    const at = (value: string): number | null | undefined =>
      snapshotOf(key(`id = "a"\nallowed_tools = []\nexpires_at = ${value}`) + SERVER).auth.apiKeys[0]?.expiresAtMs;
    expect(at('"2999-01-31T00:00:00Z"')).toBe(Date.parse('2999-01-31T00:00:00Z'));
    expect(at('2999-01-31T00:00:00+01:00')).toBe(Date.parse('2999-01-30T23:00:00Z'));
    expect(at('2999-01-31')).toBe(Date.parse('2999-01-31T00:00:00Z'));
    expect(errorsOf(load(key('id = "a"\nallowed_tools = []\nexpires_at = "tomorrow"') + SERVER))).toEqual([
      expect.stringContaining('auth.api_keys[0].expires_at must be an RFC 3339 time'),
    ]);
    expect(warningsOf(load(key('id = "a"\nallowed_tools = []\nexpires_at = 2020-01-01') + SERVER))).toEqual([
      expect.stringContaining('has passed'),
    ]);
  });

  it('wants the resource of resource_metadata', () => {
    expect(errorsOf(load(`${SERVER}[auth]\nallow_anonymous = true\n[auth.resource_metadata]\nscopes_supported = ["x"]`))).toEqual([
      'auth.resource_metadata.resource is missing',
    ]);
    expect(snapshotOf(`${SERVER}[auth.resource_metadata]\nresource = "https://x.example/mcp"`).auth.resourceMetadata).toEqual({
      resource: 'https://x.example/mcp',
      authorizationServers: [],
      scopesSupported: [],
    });
  });
});
