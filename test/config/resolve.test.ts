import { describe, expect, it } from 'vitest';
import { BASE, errorsOf, load, snapshotOf, temporaryDirectory, warningsOf } from './support.ts';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

describe('types and bounds (row 6)', () => {
  it.each([
    ['server.port', '[server]\nport = -1'],
    ['server.port', '[server]\nport = 65536'],
    ['server.port', '[server]\nport = 80.5'],
    ['server.port', '[server]\nport = "80"'],
    ['server.port', '[server]\nport = true'],
    ['server.port', '[server]\nport = [80]'],
    ['server.port', '[server]\nport = nan'],
    ['server.workers', '[server]\nworkers = -1'],
    ['server.workers', '[server]\nworkers = "many"'],
    ['server.max_request_size', '[server]\nmax_request_size = 0'],
    ['server.max_request_size', '[server]\nmax_request_size = 99999999999999999999'],
    ['server.engine', '[server]\nengine = "apache"'],
    ['server.strict_accept', '[server]\nstrict_accept = "yes"'],
    ['server.strict_accept', '[server]\nstrict_accept = 1'],
    ['server.drain_timeout_secs', '[server]\ndrain_timeout_secs = -0.1'],
    ['server.drain_timeout_secs', '[server]\ndrain_timeout_secs = inf'],
    ['server.host', '[server]\nhost = "no host"'],
    ['server.host', '[server]\nhost = ""'],
    ['server', 'server = 3'],
    ['server.tls', '[server]\ntls = "x"'],
    ['rate_limit.requests_per_second', '[rate_limit]\nrequests_per_second = 0'],
    ['rate_limit.requests_per_second', '[rate_limit]\nrequests_per_second = -1'],
    ['rate_limit.requests_per_second', '[rate_limit]\nrequests_per_second = inf'],
    ['rate_limit.requests_per_second', '[rate_limit]\nrequests_per_second = 1e9'],
    ['rate_limit.burst_size', '[rate_limit]\nburst_size = 0'],
    ['rate_limit.burst_size', '[rate_limit]\nburst_size = 2.5'],
    ['tracing.sample_rate', '[tracing]\nsample_rate = 1.5'],
    ['tracing.sample_rate', '[tracing]\nsample_rate = -0.5'],
    ['audit.export_batch_size', '[audit]\nexport_batch_size = 0'],
    ['audit.export_batch_size', '[audit]\nexport_batch_size = 10001'],
    ['audit.export_interval_secs', '[audit]\nexport_interval_secs = 0'],
    ['audit.rotation.keep', '[audit.rotation]\nkeep = -1'],
    ['policy.tools.deny', '[policy.tools]\ndeny = "x"'],
    ['policy.tools.deny[1]', '[policy.tools]\ndeny = ["x", 1]'],
    ['policy.tools.allow[0]', '[policy.tools]\nallow = [""]'],
    ['server.trusted_proxies[1]', '[server]\ntrusted_proxies = ["10.0.0.0/8", "10.0.0.0/99"]'],
    ['server.cors.allowed_origins[0]', '[server.cors]\nallowed_origins = ["*"]'],
    ['server.cors.allowed_headers[0]', '[server.cors]\nallowed_headers = ["*"]'],
    ['server.allowed_hosts[0]', '[server]\nallowed_hosts = ["*"]'],
    ['logging.level', '[logging]\nlevel = "loud"'],
  ])('names %s when it is wrong: %s', (path, text) => {
    const errors = load(`${text}\n${BASE}`).problems.filter((problem) => problem.severity === 'error');
    expect(errors.map((error) => error.path)).toEqual([path]);
    expect(errors[0]?.line).toBeGreaterThan(0);
  });

  it('says what is wanted and what was found', () => {
    expect(errorsOf(load(`[server]\nport = 65536\n${BASE}`))).toEqual(['server.port must be a whole number from 0 to 65535, not 65536']);
    expect(errorsOf(load(`[server]\nengine = "x"\n${BASE}`))).toEqual(['server.engine must be one of "uws", "node", not "x"']);
  });

  it('reports YAML keys without a value, but lets empty tables be', () => {
    const text = `server:\n  port:\npolicy:\nauth: { allow_anonymous: true }\nupstream: { command: x }\n`;
    expect(errorsOf(load(text, { format: 'yaml' }))).toEqual(['server.port has no value']);
  });
});

describe('unknown keys (row 8)', () => {
  it.each([
    ['[[auth.api_keys]]\nallowed_tool = []', 'auth.api_keys[0].allowed_tool is no known key; did you mean auth.api_keys[0].allowed_tools?'],
    ['[auth.jwt]\nscope_mapping = {}', 'auth.jwt.scope_mapping is no known key; did you mean auth.jwt.scope_tool_mapping?'],
    ['[server]\nprot = 1', 'server.prot is no known key; did you mean server.port?'],
    ['[sevrer]\nport = 1', 'sevrer is no known key; did you mean server?'],
    [
      'requests_per_second = 1',
      'requests_per_second is no known key; did you mean rate_limit.requests_per_second or rate_limit.tool_limits[].requests_per_second or rate_limit.method_limits[].requests_per_second?',
    ],
    ['[audit]\nFile = "x"', 'audit.File is no known key; did you mean audit.file?'],
    ['[server]\n__proto__ = 1', expect.stringContaining('server.__proto__ is no known key')],
    ['[server]\n"a\\nb" = 1', expect.stringContaining('server."a\\nb" is no known key')],
  ])('%j is an error that names the nearest key', (text, message) => {
    expect(errorsOf(load(text))).toEqual(expect.arrayContaining([message]));
  });
});

describe('features that are not built yet', () => {
  it.each([
    ['server.tls.client_ca_path', '[server.tls]\nclient_ca_path = "x"'],
    ['auth.jwt', '[[auth.jwt]]\nsecret = "01234567890123456789012345678901"'],
    ['auth.jwt', '[auth.jwt]\nissuer = "x"'],
    ['auth.oauth', '[[auth.oauth]]\nprovider = "github"'],
    ['auth.mtls.enabled', '[auth.mtls]\nenabled = true'],
    ['policy.mode', '[policy]\nmode = "observe"'],
    ['policy.resources.deny', '[policy.resources]\ndeny = ["x"]'],
    ['policy.resources.allow', '[policy.resources]\nallow = ["x"]'],
    ['guards.anomaly.mode', '[guards.anomaly]\nmode = "block"'],
    ['tracing.enabled', '[tracing]\nenabled = true'],
    ['tracing.service_name', '[tracing]\nservice_name = "x"'],
    ['audit.chain', '[audit]\nchain = true'],
    ['audit.export_headers', '[audit.export_headers]\nAuthorization = "x"'],
  ])('%s is recognised and refused', (path, text) => {
    expect(errorsOf(load(`${text}\n${BASE}`))).toEqual([`${path} is recognised but not available in this version`]);
  });

  it.each([['audit.durability', '[upstream]\ncommand = "x"\n[audit]\ndurability = "strict"', '"strict"']])(
    'so is a choice of %s',
    (path, text, choice) => {
      expect(errorsOf(load(text))).toEqual(expect.arrayContaining([`${path} ${choice} is recognised but not available in this version`]));
    },
  );

  it('may be written as long as they ask for nothing', () => {
    const text = `[tracing]\nenabled = false\nsample_rate = 0.1\n[auth.mtls]\nenabled = false\n[guards.jailbreak]\nmode = "off"\n[policy]\nmode = "enforce"
[policy.resources]\ndeny = []\n[rate_limit]\nfail_mode = "local"\ntool_limits = []\n[redis]\n[upstream.aggregate]\nenabled = false\n[audit]\nchain = false\n`;
    expect(errorsOf(load(text + BASE))).toEqual([]);
  });

  it('are type-checked all the same', () => {
    expect(errorsOf(load(`[[auth.jwt]]\nsecret = "short"\nleeway_secs = "x"\n${BASE}`))).toEqual([
      'auth.jwt is recognised but not available in this version',
      'auth.jwt[0].secret must be at least 32 bytes long',
      'auth.jwt[0].leeway_secs must be a whole number from 0 to 600, not "x"',
    ]);
  });
});

describe('references (row 11)', () => {
  it('resolves them in texts, lists and tables, and converts where a number is wanted', () => {
    const env = { PORT: '8080', CMD: 'run', TOKEN: 't', FLAG: 'true', RATE: '2.5' };
    const snapshot = snapshotOf(
      `[server]\nport = "\${PORT}"\nstrict_accept = "\${FLAG}"\n[rate_limit]\nrequests_per_second = "\${RATE}"\nburst_size = "\${NONE:-7}"
[auth]\nallow_anonymous = true\n[upstream]\ncommand = "\${CMD}"\nargs = ["--x=\${TOKEN}", ""]\n[upstream.env]\nA = "\${TOKEN}"`,
      { env },
    );
    expect(snapshot.server).toMatchObject({ port: 8080, isAcceptStrict: true });
    expect(snapshot.rateLimit.default).toEqual({ perSecond: 2.5, burst: 7, failMode: 'local' });
    expect(snapshot.upstreams[0]?.stdio).toMatchObject({ command: 'run', args: ['--x=t', ''], env: { A: 't' } });
  });

  it('names each missing variable and the key that wants it', () => {
    expect(
      errorsOf(load('[upstream]\ncommand = "${A}"\nargs = ["${B}"]\n[upstream.env]\nX = "${C}"\n[auth]\nallow_anonymous = true')),
    ).toEqual([
      'upstream.command refers to the environment variable A, which is not set',
      'upstream.args[0] refers to the environment variable B, which is not set',
      'upstream.env.X refers to the environment variable C, which is not set',
    ]);
  });

  it('does not repeat values from the environment in messages', () => {
    const result = load(`[server]\nport = "\${S}"\nengine = "\${S}"\nhost = "\${S}"\n${BASE}`, {
      env: { S: 'can ary', MCP_GUARD_SERVER_WORKERS: 'can ary' },
    });
    expect(errorsOf(result)).toHaveLength(4);
    expect(JSON.stringify(result)).not.toContain('can ary');
  });
});

describe('secret files (row 12)', () => {
  function setup(): string {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, 'hash'), `${Buffer.alloc(32, 7).toString('base64')}\r\n`);
    writeFileSync(join(directory, 'header'), 'Bearer s3cr3t\n');
    writeFileSync(join(directory, 'tokens'), `${Buffer.alloc(32, 8).toString('base64')}\n${Buffer.alloc(32, 9).toString('base64')}\n`);
    writeFileSync(join(directory, 'empty'), '\n');
    writeFileSync(join(directory, 'two-lines'), 'a\nb\n');
    return directory;
  }

  it('are read for texts, lists and tables, without their trailing line end', () => {
    const snapshot = snapshotOf(
      `[server.admin]\ntokens_file = "tokens"\n[[auth.api_keys]]\nid = "a"\nkey_hash_file = "\${DIR}/hash"\nallowed_tools = []
[upstream]\nurl = "https://x.example"\nheaders_file = { Authorization = "header" }\nheaders = { X-Other = "y" }`,
      { baseDir: setup(), env: { DIR: '.' } },
    );
    expect(snapshot.auth.apiKeys[0]?.keyHash).toBe(Buffer.alloc(32, 7).toString('base64'));
    expect(snapshot.upstreams[0]?.http?.headers).toEqual({ authorization: 'Bearer s3cr3t', 'x-other': 'y' });
    expect(snapshot.server.admin.tokenHashes).toHaveLength(2);
  });

  it.each([
    ['missing', 'auth.api_keys[0].key_hash_file names a file that does not exist'],
    ['empty', 'auth.api_keys[0].key_hash_file names a file that is empty'],
    ['.', 'auth.api_keys[0].key_hash_file names a file that is a directory'],
    ['/dev/zero', 'auth.api_keys[0].key_hash_file names a file that is no regular file'],
  ])('that cannot be used are an error: %s', (file, message) => {
    const text = `[[auth.api_keys]]\nid = "a"\nallowed_tools = []\nkey_hash_file = "${file}"\n[upstream]\ncommand = "x"`;
    expect(errorsOf(load(text, { baseDir: setup() }))).toEqual([message]);
  });

  it('are checked like the value they stand for, without being quoted', () => {
    const result = load(
      '[upstream]\nurl = "https://x.example"\nheaders_file = { Authorization = "two-lines" }\n[server.admin]\ntokens_file = "header"\n[auth]\nallow_anonymous = true',
      { baseDir: setup() },
    );
    expect(errorsOf(result)).toEqual([
      'upstream.headers_file.Authorization names a file that must be a header value: printable, one line',
      expect.stringContaining('server.admin.tokens_file names a file whose line 1 must be'),
    ]);
    expect(JSON.stringify(result)).not.toContain('s3cr3t');
  });

  it('together with the value are an error', () => {
    const text = `[[auth.api_keys]]\nid = "a"\nallowed_tools = []\nkey_hash = "${Buffer.alloc(32).toString('base64')}"\nkey_hash_file = "hash"
[upstream]\nurl = "https://x.example"\nheaders = { A = "1" }\nheaders_file = { A = "header" }`;
    expect(errorsOf(load(text, { baseDir: setup() }))).toEqual([
      'auth.api_keys[0].key_hash is given together with key_hash_file: remove one',
      'upstream.headers_file.A is given together with upstream.headers.A: remove one',
    ]);
  });
});

describe('the hardened profile', () => {
  it('changes defaults and no value that is set', () => {
    const { server, rateLimit, upstreams } = snapshotOf(`[server]\nprofile = "hardened"\nmax_json_keys = 5000\n${BASE}`);
    expect(server).toMatchObject({
      maxRequestBytes: 262_144,
      maxJsonDepth: 32,
      maxJsonKeys: 5000,
      maxConnections: 4000,
      maxConnectionsPerIp: 64,
      isAcceptStrict: true,
      chunkedBodies: 'refuse',
      drainDelayMs: 5000,
      drainTimeoutMs: 30_000,
    });
    expect(rateLimit.maxInFlight).toBe(16);
    expect(upstreams[0]).toMatchObject({
      timeoutMs: 15_000,
      timeoutMaxMs: 120_000,
      maxResponseBytes: 4_194_304,
      stdio: { maxLineBytes: 4_194_304 },
    });
  });

  it('can be chosen by the environment, by a reference, or by a flag', () => {
    expect(snapshotOf(BASE, { env: { MCP_GUARD_SERVER_PROFILE: 'hardened' } }).server.maxJsonDepth).toBe(32);
    expect(snapshotOf(`[server]\nprofile = "\${P}"\n${BASE}`, { env: { P: 'hardened' } }).server.maxJsonDepth).toBe(32);
    expect(snapshotOf(BASE, { overrides: [{ path: 'server.profile', value: 'hardened' }] }).server.maxJsonDepth).toBe(32);
    expect(warningsOf(load(BASE))).toEqual([]);
  });
});
