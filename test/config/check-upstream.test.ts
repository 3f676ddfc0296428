import { describe, expect, it } from 'vitest';
import { errorsOf, load, snapshotOf } from './support.ts';

const AUTH = '[auth]\nallow_anonymous = true\n';

function servers(...tables: string[]): string {
  return AUTH + tables.map((table) => `[[upstream.servers]]\n${table}\n`).join('');
}

describe('checkUpstreams', () => {
  it('needs a server', () => {
    expect(errorsOf(load(AUTH))).toEqual([expect.stringContaining('upstream names no MCP server')]);
    expect(errorsOf(load(`${AUTH}[upstream]\nservers = []`))).toEqual([expect.stringContaining('upstream names no MCP server')]);
  });

  it('takes servers[] alone (row 177), and the single form alone', () => {
    const several = snapshotOf(servers('name = "a"\ncommand = "x"', 'name = "b"\nurl = "https://b.example/mcp"'));
    expect(several.isSingleUpstream).toBe(false);
    expect(several.upstreams.map(({ name, transport }) => [name, transport])).toEqual([
      ['a', 'stdio'],
      ['b', 'http'],
    ]);
    const single = snapshotOf(`${AUTH}[upstream]\ncommand = "x"`);
    expect(single).toMatchObject({
      isSingleUpstream: true,
      upstreams: [{ name: 'default', pathPrefix: null, isRequired: true, timeoutMs: 30_000, timeoutMaxMs: 600_000 }],
    });
  });

  it('refuses both forms together', () => {
    expect(errorsOf(load(`${AUTH}[upstream]\ntimeout_secs = 5\n[[upstream.servers]]\nname = "a"\ncommand = "x"`))).toEqual([
      expect.stringContaining('upstream.timeout_secs belongs to the form with one server'),
    ]);
    expect(errorsOf(load(servers('name = "a"\ncommand = "x"'), { env: { MCP_GUARD_UPSTREAM_COMMAND: 'y' } }))).toEqual([
      expect.stringMatching(/use one form.*MCP_GUARD_UPSTREAM_COMMAND/),
    ]);
  });

  it.each([
    ['the same name', 'name = "a"', 'upstream.servers[1].name is the same as upstream.servers[0].name'],
    [
      'the same prefix',
      'name = "b"\npath_prefix = "/fs"',
      'upstream.servers[1].path_prefix is the same as upstream.servers[0].path_prefix',
    ],
    [
      'the same prefix with a slash behind',
      'name = "b"\npath_prefix = "/fs/"',
      'upstream.servers[1].path_prefix is the same as upstream.servers[0].path_prefix',
    ],
    [
      "another's name as a prefix",
      'name = "b"\npath_prefix = "/a"',
      expect.stringContaining('upstream.servers[1].path_prefix begins with the name of another server (upstream.servers[0].name)'),
    ],
    [
      "a prefix below another's name",
      'name = "b"\npath_prefix = "/a/v2"',
      expect.stringContaining('upstream.servers[1].path_prefix begins with the name of another server'),
    ],
  ])('refuses %s (row 174)', (_, second, message) => {
    expect(errorsOf(load(servers('name = "a"\npath_prefix = "/fs"\ncommand = "x"', `${second}\ncommand = "y"`)))).toEqual([message]);
  });

  it('refuses a name that is the prefix of another server before it', () => {
    expect(errorsOf(load(servers('name = "a"\npath_prefix = "/b"\ncommand = "x"', 'name = "b"\ncommand = "y"')))).toEqual([
      expect.stringContaining('upstream.servers[0].path_prefix begins with the name of another server'),
    ]);
  });

  it('lets a server have its own name as a prefix, nested prefixes, and one catch-all', () => {
    const text = servers(
      'name = "a"\npath_prefix = "/a"\ncommand = "x"',
      'name = "b"\npath_prefix = "/api"\ncommand = "x"',
      'name = "c"\npath_prefix = "/api/v2/"\ncommand = "x"',
      'name = "d"\npath_prefix = "/"\ncommand = "x"',
    );
    expect(snapshotOf(text).upstreams.map((upstream) => upstream.pathPrefix)).toEqual(['/a', '/api', '/api/v2', '/']);
  });

  it.each([
    ['name = "a"', 'upstream.servers[0].command is missing: transport "stdio" needs it'],
    ['name = "a"\ntransport = "http"', 'upstream.servers[0].url is missing: transport "http" needs it'],
    ['command = "x"', 'upstream.servers[0].name is missing'],
    ['name = "a b"\ncommand = "x"', expect.stringContaining('upstream.servers[0].name must be')],
    ['name = "a"\ncommand = ""', 'upstream.servers[0].command must not be empty'],
    ['name = "a"\ncommand = "x"\nurl = "https://x"', 'upstream.servers[0].url has no meaning with transport "stdio"'],
    ['name = "a"\nurl = "https://x"\nargs = ["y"]', 'upstream.servers[0].args has no meaning with transport "http"'],
    ['name = "a"\nurl = "https://x"\nallow_shell = true', 'upstream.servers[0].allow_shell has no meaning with transport "http"'],
    ['name = "a"\nurl = "https://u:p@x"', 'upstream.servers[0].url must not contain credentials: put them into headers'],
    ['name = "a"\nurl = "ftp://x"', expect.stringContaining('upstream.servers[0].url must be an http')],
    ['name = "a"\ntransport = "http"\nurl = "ws://x"', 'upstream.servers[0].url must be an http or https URL with transport "http"'],
    [
      'name = "a"\ntransport = "websocket"\nurl = "https://x"',
      'upstream.servers[0].url must be a ws or wss URL with transport "websocket"',
    ],
    ['name = "a"\nurl = "wss://x"\nstrip_prefix = true', 'upstream.servers[0].strip_prefix has no meaning with transport "websocket"'],
    [
      'name = "a"\ntransport = "websocket"\nurl = "ws://x"\ncommand = "x"',
      'upstream.servers[0].command has no meaning with transport "websocket"',
    ],
    ['name = "a"\nurl = "https://x/#f"', 'upstream.servers[0].url must not contain a fragment'],
    [
      'name = "a"\nurl = "https://x"\nheaders = { Host = "y" }',
      'upstream.servers[0].headers.Host "Host" is written by the gateway and cannot be configured',
    ],
    [
      'name = "a"\nurl = "https://x"\nheaders = { X-A = "1", x-a = "2" }',
      expect.stringContaining('upstream.servers[0].headers.x-a is given twice'),
    ],
    ['name = "a"\ncommand = "x"\nenv = { "A-B" = "1" }', expect.stringContaining('must be an environment variable name')],
    ['name = "a"\ncommand = "x"\ntimeout_secs = 0', expect.stringContaining('upstream.servers[0].timeout_secs must be')],
    [
      'name = "a"\ncommand = "x"\ntimeout_secs = 20\ntimeout_max_secs = 10',
      'upstream.servers[0].timeout_max_secs is shorter than timeout_secs',
    ],
    ['name = "a"\ncommand = "x"\npath_prefix = "/a/../b"', expect.stringContaining('upstream.servers[0].path_prefix must not contain')],
  ])('refuses %j', (table, message) => {
    expect(errorsOf(load(servers(table)))).toEqual([message]);
  });

  it('passes arguments and variables through untouched (row 156)', () => {
    const { upstreams } = snapshotOf(
      servers(`name = "a"\ncommand = "x"\nargs = ["a b", "$HOME", "&", '{"k":1}', ""]\nenv = { A = "", B = "x=y" }\ncwd = "sub"`),
      { baseDir: '/srv' },
    );
    expect(upstreams[0]?.stdio).toMatchObject({ args: ['a b', '$HOME', '&', '{"k":1}', ''], env: { A: '', B: 'x=y' }, cwd: '/srv/sub' });
  });

  it('knows pools of children: what they default to, and what has no meaning', () => {
    const poolOf = (table: string) => snapshotOf(`${AUTH}[upstream]\ncommand = "x"\n${table}`).upstreams[0]?.stdio?.pool;
    expect(poolOf('')).toBeNull();
    expect(poolOf('isolation = "shared"')).toBeNull();
    expect(poolOf('[upstream.pool]\nmin = 3')).toMatchObject({
      isolation: 'shared',
      min: 3,
      max: 3,
      childCalls: 1,
      queueMs: 5000,
      idleMs: 300_000,
    });
    expect(poolOf('[upstream.pool]\nrecycle_mb = 2')).toMatchObject({ min: 0, max: 1, recycleCalls: 0, recycleBytes: 2_097_152 });
    expect(poolOf('isolation = "principal"')).toMatchObject({ isolation: 'principal', max: 64, childCalls: 0 });
    expect(errorsOf(load(`${AUTH}[upstream]\ncommand = "x"\n[upstream.pool]\nmin = 3\nmax = 2`))).toEqual([
      'upstream.pool.min is more than max',
    ]);
    expect(errorsOf(load(`${AUTH}[upstream]\ncommand = "x"\nisolation = "principal"\n[upstream.pool]\nmin = 1\nchild_calls = 2`))).toEqual([
      'upstream.pool.min has no meaning unless isolation is "shared"',
      'upstream.pool.child_calls has no meaning unless isolation is "shared"',
    ]);
    expect(errorsOf(load(`${AUTH}[upstream]\nurl = "https://x.example"\nisolation = "principal"\n[upstream.pool]\nmax = 2`))).toEqual([
      'upstream.isolation "principal" has no meaning with transport "http"',
      'upstream.pool has no meaning with transport "http"',
    ]);
  });
});
