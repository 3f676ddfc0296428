import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ApiKeyEntry } from '../../src/config/api-key-entry.ts';
import { appendApiKey } from '../../src/config/append-api-key.ts';
import { initTemplate } from '../../src/config/init-template.ts';
import { CONFIG_FORMATS, type ConfigFormat } from '../../src/config/parse.ts';
import { HASH, OTHER_HASH, snapshotOf } from './support.ts';

const ENTRY: ApiKeyEntry = { id: 'new', keyHash: OTHER_HASH, allowedTools: null };
const FULL: ApiKeyEntry = {
  id: 'new',
  keyHash: OTHER_HASH,
  allowedTools: ['a', 'b*'],
  rateLimit: 2.5,
  expiresAt: '2999-01-01T00:00:00Z',
  roles: ['admin'],
};

function appended(text: string, format: ConfigFormat, entry: ApiKeyEntry = ENTRY): string {
  const result = appendApiKey(text, format, entry);
  if (typeof result !== 'string') throw new Error(result.refused);
  return result;
}

/** What was put in, when nothing else was touched. */
function insertion(before: string, after: string): string {
  let start = 0;
  while (start < before.length && before[start] === after[start]) start += 1;
  let end = 0;
  while (end < before.length - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end += 1;
  expect(start + end).toBe(before.length);
  return after.slice(start, after.length - end);
}

const TOML_BLOCK = `[[auth.api_keys]]\nid = "new"\nkey_hash = "${OTHER_HASH}"\nallowed_tools = ["*"]`;

describe('appendApiKey in TOML (rows 14, 15)', () => {
  it.each([
    [
      'behind the last key, before what follows',
      `# top\n[[auth.api_keys]]\nid = "a" # mine\n\n# about limits\n[rate_limit]\nburst_size = 1\n`,
      `# top\n[[auth.api_keys]]\nid = "a" # mine\n\n${TOML_BLOCK}\n\n# about limits\n[rate_limit]\nburst_size = 1\n`,
    ],
    [
      'behind a list over several lines',
      `[[auth.api_keys]]\nallowed_tools = [\n  "x", # y\n] # z\n[server]\n`,
      `[[auth.api_keys]]\nallowed_tools = [\n  "x", # y\n] # z\n\n${TOML_BLOCK}\n[server]\n`,
    ],
    [
      'at the end when there is none',
      '[auth]\nallow_anonymous = true\n# end\n',
      `[auth]\nallow_anonymous = true\n# end\n\n${TOML_BLOCK}\n`,
    ],
    ['at the end of a file without a line end', '[server]\nport = 1', `[server]\nport = 1\n\n${TOML_BLOCK}\n`],
    ['into an empty file', '', `${TOML_BLOCK}\n`],
    ['beside dotted keys', 'auth.allow_anonymous = true\n', `auth.allow_anonymous = true\n\n${TOML_BLOCK}\n`],
    [
      'behind the last of several lists of tables',
      '[[auth.api_keys]]\nid = "a"\n[server]\n[[auth.api_keys]]\nid = "b"\n[audit]\n',
      `[[auth.api_keys]]\nid = "a"\n[server]\n[[auth.api_keys]]\nid = "b"\n\n${TOML_BLOCK}\n[audit]\n`,
    ],
  ])('adds a table %s', (_, before, after) => {
    expect(appended(before, 'toml')).toBe(after);
  });

  it('keeps carriage returns and a byte order mark', () => {
    expect(appended('\uFEFF[server]\r\nport = 1\r\n', 'toml')).toBe(
      `\uFEFF[server]\r\nport = 1\r\n\r\n${TOML_BLOCK.replaceAll('\n', '\r\n')}\r\n`,
    );
  });

  it.each([
    '[auth]\napi_keys = []\n',
    'auth.api_keys = [{ id = "a" }]\n',
    'auth = { api_keys = [] }\n',
    'auth = {}\n',
    '[auth.api_keys]\nid = "x"\n',
    'auth = 1\n',
    'api_keys = [\n',
  ])('refuses %j', (text) => {
    expect(appendApiKey(text, 'toml', ENTRY)).toEqual({ refused: expect.any(String) });
  });
});

describe('appendApiKey in YAML', () => {
  const item = (indent: string): string => `${indent}- id: "new"\n${indent}  key_hash: "${OTHER_HASH}"\n${indent}  allowed_tools: ["*"]\n`;

  it.each([
    [
      'behind the last item',
      '# top\nauth:\n    api_keys:\n        - id: a # mine\n          roles: [x]   # why\n# about\nserver:\n    port: 1\n',
      `# top\nauth:\n    api_keys:\n        - id: a # mine\n          roles: [x]   # why\n${item('        ')}# about\nserver:\n    port: 1\n`,
    ],
    ['in a list that is not indented', 'auth:\n  api_keys:\n  - id: a\n  x: 1\n', `auth:\n  api_keys:\n  - id: a\n${item('  ')}  x: 1\n`],
    [
      'behind a block text',
      'auth:\n  api_keys:\n    - id: |-\n        a\n\nserver: {}\n',
      `auth:\n  api_keys:\n    - id: |-\n        a\n${item('    ')}\nserver: {}\n`,
    ],
    [
      'as the first one',
      'auth:\n   allow_anonymous: false # n\n\nserver: {}\n',
      `auth:\n   allow_anonymous: false # n\n   api_keys:\n${item('     ')}\nserver: {}\n`,
    ],
    [
      'in place of an empty list',
      'auth:\n  api_keys: [] # none yet\nserver: {}\n',
      `auth:\n  api_keys:\n${item('    ').trimEnd()} # none yet\nserver: {}\n`,
    ],
    ['with the whole section', 'server:\n  port: 1', `server:\n  port: 1\nauth:\n  api_keys:\n${item('    ')}`],
    ['into an empty file', '# nothing\n', `# nothing\nauth:\n  api_keys:\n${item('    ')}`],
  ])('adds an item %s', (_, before, after) => {
    const text = appended(before, 'yaml');
    expect(text).toBe(after);
  });

  it.each([
    ['aliases', 'x: &x 1\nauth:\n  api_keys:\n    - id: *x\n'],
    ['a list in flow style', 'auth:\n  api_keys: [{ id: a }]\n'],
    ['a section in flow style', 'auth: { allow_anonymous: true }\n'],
    ['a file in flow style', '{ auth: { api_keys: [] } }\n'],
    ['a list that is a text', 'auth:\n  api_keys: x\n'],
    ['a section without anything', 'auth:\n'],
    ['several documents', 'a: 1\n---\nb: 2\n'],
    ['faults', 'a: 1\na: 2\n'],
  ])('refuses %s', (_, text) => {
    expect(appendApiKey(text, 'yaml', ENTRY)).toEqual({ refused: expect.any(String) });
  });
});

describe('appendApiKey in JSON', () => {
  const one = `{"id":"new","key_hash":"${OTHER_HASH}","allowed_tools":["*"]}`;
  const block = (lead: string, step: string): string => JSON.stringify(JSON.parse(one), null, step).replaceAll('\n', `\n${lead}`);

  it.each([
    [
      '{\n  "auth": {\n    "api_keys": [\n      { "id": "a" } // mine\n    ] /* all */\n  }\n}\n',
      `{\n  "auth": {\n    "api_keys": [\n      { "id": "a" }, // mine\n      ${block('      ', '  ')}\n    ] /* all */\n  }\n}\n`,
    ],
    ['{\n\t"auth": {}\n}\n', `{\n\t"auth": {\n\t\t"api_keys": [\n\t\t\t${block('\t\t\t', '\t')}\n\t\t]\n\t}\n}\n`],
    ['{\n  "auth": {\n    "api_keys": []\n  }\n}', `{\n  "auth": {\n    "api_keys": [\n      ${block('      ', '  ')}\n    ]\n  }\n}`],
    ['{}', `{"auth": {"api_keys":[${one}]}}`],
    ['{"auth":{"api_keys":[]}}', `{"auth":{"api_keys":[${one}]}}`],
    ['{"auth":{"api_keys":[{"id":"a"} /* b */]},"server":{}}', `{"auth":{"api_keys":[{"id":"a"}, ${one} /* b */]},"server":{}}`],
    [
      '// top\r\n{\r\n  "server": { "port": 1 } // x\r\n}\r\n',
      `// top\r\n{\r\n  "server": { "port": 1 }, // x\r\n  "auth": {\r\n    "api_keys": [\r\n      ${block('      ', '  ').replaceAll('\n', '\r\n')}\r\n    ]\r\n  }\r\n}\r\n`,
    ],
  ])('adds an element to %j', (before, after) => {
    expect(appended(before, 'json')).toBe(after);
  });

  it.each(['[]', '{"auth": 1}', '{"auth": {"api_keys": {}}}', '{"auth": {"api_keys": null}}', '{', '{"a":1,"a":2}'])(
    'refuses %j',
    (text) => {
      expect(appendApiKey(text, 'json', ENTRY)).toEqual({ refused: expect.any(String) });
    },
  );
});

describe('appendApiKey in every syntax', () => {
  it.each(CONFIG_FORMATS)('adds to what init writes, touching nothing else: %s', (format) => {
    const before = initTemplate(format, { keyId: 'demo', keyHash: HASH, command: ['x'] });
    const after = appended(before, format, FULL);
    expect(insertion(before, after)).toContain(OTHER_HASH);
    expect(snapshotOf(after, { format }).auth.apiKeys).toEqual([
      expect.objectContaining({ id: 'demo' }),
      {
        id: 'new',
        keyHash: OTHER_HASH,
        grants: { allowedTools: ['a', 'b*'], deniedTools: [], servers: null },
        limit: { perSecond: 2.5, burst: 1, failMode: 'local' },
        expiresAtMs: Date.parse('2999-01-01'),
        roles: ['admin'],
      },
    ]);
  });

  it.each(CONFIG_FORMATS)('refuses an id that is taken or malformed: %s', (format) => {
    const text = initTemplate(format, { keyId: 'demo', keyHash: HASH, command: ['x'] });
    expect(appendApiKey(text, format, { ...ENTRY, id: 'demo' })).toEqual({ refused: expect.stringContaining('exists already') });
    for (const id of ['', ' a', 'a\nb', 'x'.repeat(129)])
      expect(appendApiKey(text, format, { ...ENTRY, id })).toEqual({ refused: expect.stringContaining('the id') });
  });

  it('writes whatever id and tools it is given so that they are read back as they are', () => {
    const awkward = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 12 }).map((text) => text.toWellFormed()),
      fc.constantFrom('${HOME}', '$${x}', '"', "'", '\\', '#', ': ', '- ', 'null', '1', '[', '\u00a0', '\ufeff'),
    );
    fc.assert(
      fc.property(
        awkward,
        fc.array(
          awkward.filter((tool) => tool !== ''),
          { maxLength: 2 },
        ),
        fc.constantFrom(...CONFIG_FORMATS),
        (id, tools, format) => {
          const before = initTemplate(format, { keyId: 'demo', keyHash: HASH, command: ['x'] });
          const after = appendApiKey(before, format, { ...ENTRY, id, allowedTools: tools });
          fc.pre(typeof after === 'string');
          expect(snapshotOf(after, { format }).auth.apiKeys[1]).toMatchObject({ id, grants: { allowedTools: tools } });
        },
      ),
      { numRuns: 600 },
    );
  });

  it('either refuses or changes nothing but the list, whatever the file looks like', () => {
    const line = fc.constantFrom(
      'auth:',
      '  api_keys:',
      '  - id: a',
      '    - id: b',
      '    # c',
      '# d',
      'server:',
      '  port: 1',
      '',
      '      roles: [x,',
      '      y]',
      '  allow_anonymous: true',
      '  api_keys: []',
      '      id: |',
      '        t',
      '[auth]',
      '[[auth.api_keys]]',
      'id = "x"',
      '[server]',
      'api_keys = []',
      'auth.default_tools = "all"',
      '[auth.api_keys.deep]',
      'x = """',
      '"""',
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 8 }), fc.constantFrom('yaml' as const, 'toml' as const), (lines, format) => {
        const before = lines.join('\n');
        const after = appendApiKey(before, format, ENTRY);
        const kept = typeof after === 'string' ? linesMissing(before, after) : [];
        expect(kept).toEqual([]);
      }),
      { numRuns: 3000 },
    );
  });
});

/** Lines of `before` that do not follow each other in `after`; an empty list in brackets gives its line up. */
function linesMissing(before: string, after: string): readonly string[] {
  const rest = after.split('\n');
  return before.split('\n').filter((line) => {
    const at = rest.findIndex((candidate) => candidate === line || (line.endsWith('api_keys: []') && `${candidate} []` === line));
    if (at !== -1) rest.splice(0, at + 1);
    return at === -1;
  });
}
