import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify as tomlText } from 'smol-toml';
import { describe, expect, it } from 'vitest';
import { stringify as yamlText } from 'yaml';
import type { ConfigProblem, ConfigSnapshot } from '../../src/core/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { BASE, errorsOf, HASH, load, temporaryDirectory, temporaryFile } from './support.ts';

const DATA = {
  server: { port: 4000, allowed_hosts: ['x.example', 'localhost:4000'], cors: { enabled: true, allowed_origins: ['https://app.example'] } },
  auth: { api_keys: [{ id: 'a', key_hash: HASH, allowed_tools: ['read_*'], rate_limit: 2.5, expires_at: '2999-01-01' }] },
  audit: { redaction_rules: [{ name: 'r', pattern: '\\d+' }], rotation: { max_size_mb: 0.5 } },
  upstream: { servers: [{ name: 's', command: 'x', args: ['${A:-b}'], env: { TOKEN: 't' } }] },
};

function parts(snapshot: ConfigSnapshot): ConfigSnapshot {
  return { ...snapshot, source: '' };
}

describe('loadConfig', () => {
  it('reads the same configuration from three syntaxes (row 10)', () => {
    const directory = temporaryDirectory();
    const texts = {
      'c.toml': tomlText(DATA),
      'c.yaml': yamlText(DATA),
      'c.yml': yamlText(DATA),
      'c.json': JSON.stringify(DATA),
      'c.jsonc': `// x\n${JSON.stringify(DATA)}`,
    };
    const results = Object.entries(texts).map(([name, text]) => {
      writeFileSync(join(directory, name), text);
      return loadConfig({ file: join(directory, name), env: {} });
    });
    const [first, ...others] = results.map(({ snapshot, problems }) => ({
      problems,
      snapshot: snapshot === null ? null : parts(snapshot),
    }));
    expect(first?.problems).toEqual([]);
    expect(first?.snapshot?.upstreams[0]?.stdio?.args).toEqual(['b']);
    for (const other of others) expect(other).toEqual(first);
  });

  it('names its source, and resolves paths from the directory of the file', () => {
    const file = temporaryFile('g.toml', BASE);
    const { snapshot } = loadConfig({ file, env: {} });
    expect(snapshot?.source).toBe(file);
    expect(snapshot?.audit.file).toBe(join(file, '..', 'mcp-guard-audit.jsonl'));
  });

  it.each([
    ['an unknown extension', 'g.ini', BASE, /has no known extension/],
    ['no extension', 'mcp-guard', BASE, /has no known extension/],
    ['text that is not UTF-8', 'g.toml', Buffer.from([0x61, 0xff]), /is not valid UTF-8/],
    ['a file that is too large', 'g.toml', Buffer.alloc(4 * 1024 * 1024 + 1, 0x20), /is larger than/],
  ])('refuses %s', (_, name, text, message) => {
    const result = loadConfig({ file: temporaryFile(name, text), env: {} });
    expect(result).toEqual({
      snapshot: null,
      effective: null,
      problems: [{ path: '', severity: 'error', message: expect.stringMatching(message) }],
    });
  });

  it('says that a file does not exist, is a directory, or may not be read', () => {
    const directory = temporaryDirectory();
    expect(errorsOf(loadConfig({ file: join(directory, 'none.toml'), env: {} }))).toEqual([expect.stringContaining('does not exist')]);
    const file = temporaryFile('g.toml', BASE);
    chmodSync(file, 0o000);
    // Root reads it all the same.
    const isRoot = process.getuid?.() === 0;
    expect(errorsOf(loadConfig({ file, env: {} }))).toEqual(isRoot ? [] : [expect.stringContaining('may not be read')]);
  });

  it('reports all problems together, in the order of the file, with their places (row 7)', () => {
    const text = `[server]\nport = 70000\nhots = "x"\n[rate_limit]\n  burst_size = 0\n${BASE}`;
    const { problems, snapshot } = load(text);
    expect(snapshot).toBeNull();
    expect(problems.map(({ path, line, column }) => [path, line, column])).toEqual([
      ['server.port', 2, 1],
      ['server.hots', 3, 1],
      ['rate_limit.burst_size', 5, 3],
    ]);
  });

  it('reports syntax faults with their place, without quoting what stands there', () => {
    for (const [format, text] of [
      ['toml', 'a = 1\nb = "canary'],
      ['yaml', 'a: 1\nb: "canary'],
      ['json', '{ "a": 1,\n "b": "canary'],
    ] as const) {
      const { problems, snapshot, effective } = load(text, { format });
      expect([snapshot, effective]).toEqual([null, null]);
      expect(problems[0]).toMatchObject({ path: '', severity: 'error', line: expect.any(Number), column: expect.any(Number) });
      expect(JSON.stringify(problems)).not.toContain('canary');
    }
  });

  it('hands the checks of other rooms a complete snapshot and places what they find (row 9)', () => {
    const seen: ConfigSnapshot[] = [];
    const { problems, snapshot } = load(`[server]\nport = -1\n${BASE}\n[policy.tools]\ndeny = [\n  "a",\n  "re:("]\n`, {
      verify: (config) => {
        seen.push(config);
        return [
          { path: 'policy.tools.deny[1]', message: 'is bad', severity: 'error' },
          { path: 'upstream.servers[0].command', message: 'is a shell', severity: 'error' },
          { path: 'server.port', message: 'seen as the default', severity: 'error' },
        ];
      },
    });
    expect(snapshot).toBeNull();
    expect(seen[0]).toMatchObject({ server: { port: 3000 }, policy: { tools: { deny: ['a', 're:('] } } });
    expect(problems.map(({ path, line, column }) => [path, line, column])).toEqual([
      ['server.port', 2, 1],
      ['upstream.command', 9, 1],
      ['policy.tools.deny[1]', 14, 3],
    ]);
  });

  it('gives no snapshot when only the checks of other rooms found a fault, and one when they merely warn', () => {
    const verify = (severity: 'error' | 'warning') => () => [{ path: 'auth', message: 'x', severity }];
    expect(load(BASE, { verify: verify('error') }).snapshot).toBeNull();
    expect(load(BASE, { verify: verify('warning') }).snapshot).not.toBeNull();
  });

  it('names the right element behind a faulty one of a list', () => {
    const text = '[policy.tools]\ndeny = [\n"",\n7,\n"third"]\n';
    const verify = (snapshot: ConfigSnapshot): ConfigProblem[] =>
      snapshot.policy.tools.deny.map((item, index) => ({ path: `policy.tools.deny[${index}]`, message: `is ${item}`, severity: 'error' }));
    expect(load(text + BASE, { verify }).problems).toMatchObject([
      { path: 'policy.tools.deny[0]', message: 'must not be empty', line: 3 },
      { path: 'policy.tools.deny[1]', message: 'must be a text', line: 4 },
      { path: 'policy.tools.deny[2]', message: 'is third', line: 5 },
    ]);
  });

  it('checks the audit file at once', () => {
    expect(errorsOf(load(`[audit]\nfile = "none/audit.jsonl"\n${BASE}`, { baseDir: temporaryDirectory() }))).toEqual([
      'audit.file stands in a directory that does not exist',
    ]);
    expect(errorsOf(load(`[audit]\nfile = "."\n${BASE}`, { baseDir: temporaryDirectory() }))).toEqual(['audit.file names a directory']);
    expect(load(`[audit]\nfile = ""\n${BASE}`).problems).toMatchObject([{ path: 'audit.file', severity: 'warning' }]);
    expect(load(`[audit]\nfile = ""\nstdout = true\n${BASE}`).problems).toEqual([]);
    expect(load(`[audit]\nenabled = false\nfile = "none/audit.jsonl"\n${BASE}`).problems).toEqual([]);
  });

  it('refuses redaction rules of the same name, and incomplete ones', () => {
    const rules = '[[audit.redaction_rules]]\nname = "a"\npattern = "x"\n[[audit.redaction_rules]]\nname = "a"\n';
    expect(errorsOf(load(rules + BASE))).toEqual([
      'audit.redaction_rules[1].pattern is missing',
      'audit.redaction_rules[1].name is the same as audit.redaction_rules[0].name',
    ]);
  });

  it('survives a hostile file without polluting anything', () => {
    const { problems } = load(
      '{"__proto__": {"isAdmin": true}, "constructor": {"prototype": {"x": 1}}, "auth": {"__proto__": {"allow_anonymous": true}}}',
      { format: 'json' },
    );
    expect(problems.filter((problem) => problem.message.includes('no known key'))).toHaveLength(3);
    expect(({} as { isAdmin?: unknown }).isAdmin).toBeUndefined();
  });
});
