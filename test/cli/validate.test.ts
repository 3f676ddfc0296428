import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { keyEntry, makeKey, rpc, runCli, startGateway, stdioUpstream, tempDir, toolCall, type CliResult } from '../e2e/harness.ts';

const UPSTREAM = '[upstream]\ncommand = "node"\n';
const KEY = makeKey();
const AUTH = `[[auth.api_keys]]\nid = "alice"\nkey_hash = "${KEY.hash}"\nallowed_tools = ["*"]\n`;

async function validate(config: string, name = 'mcp-guard.toml'): Promise<CliResult> {
  const cwd = await tempDir();
  await writeFile(join(cwd, name), config);
  return await runCli(['validate', '-c', name], { cwd });
}

describe('mcp-guard validate', () => {
  it('row 5: a good file is one line with its path and exit 0', async () => {
    const { code, stdout, stderr } = await validate(`${AUTH}${UPSTREAM}`, 'my.toml');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.split('\n')).toHaveLength(2);
    expect(stdout).toContain('my.toml');
  });

  it.each([
    ['server.port', '[server]\nport = -1\n'],
    ['server.port', '[server]\nport = 65536\n'],
    ['rate_limit.requests_per_second', '[rate_limit]\nrequests_per_second = 0\n'],
    ['rate_limit.burst_size', '[rate_limit]\nburst_size = 0\n'],
    ['tracing.sample_rate', '[tracing]\nsample_rate = 1.5\n'],
    ['audit.export_batch_size', '[audit]\nexport_batch_size = 0\n'],
    ['audit.export_batch_size', '[audit]\nexport_batch_size = 10001\n'],
    ['audit.export_interval_secs', '[audit]\nexport_interval_secs = 0\n'],
  ])('row 6: %s out of range is refused by name: %j', async (field, text) => {
    const { code, stdout, stderr } = await validate(`${text}${AUTH}${UPSTREAM}`);
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toContain(field);
    expect(stderr).toMatch(/mcp-guard\.toml:2:\d+/);
  });

  it('row 7: three faults are three messages, each with its line', async () => {
    const { code, stderr } = await validate(`[server]\nport = -1\nhosst = "x"\n[rate_limit]\nburst_size = "many"\n${AUTH}${UPSTREAM}`);
    expect(code).toBe(1);
    const lines = stderr.trimEnd().split('\n');
    expect(lines).toHaveLength(3);
    for (const place of ['mcp-guard.toml:2:', 'mcp-guard.toml:3:', 'mcp-guard.toml:5:']) expect(stderr).toContain(place);
  });

  it.each([
    ['allowed_tool', `${AUTH}allowed_tool = ["x"]\n${UPSTREAM}`, 'allowed_tools'],
    ['scope_mapping', `[[auth.jwt]]\nissuer = "x"\nscope_mapping = { a = ["b"] }\n${UPSTREAM}`, 'scope_tool_mapping'],
    ['uptream', `${AUTH}[uptream]\ncommand = "node"\n`, 'upstream'],
  ])('row 8: the unknown key %s is named together with the nearest known one', async (key, config, nearest) => {
    const { code, stderr } = await validate(config);
    expect(code).toBe(1);
    expect(stderr).toContain(key);
    expect(stderr).toContain(nearest);
  });

  it.each([
    ['redaction regex', 'audit.redaction_rules', `[[audit.redaction_rules]]\nname = "r"\npattern = "a(b"\n${AUTH}${UPSTREAM}`],
    ['glob', 'allowed_tools', `${AUTH.replace('["*"]', '["read_[a"]')}${UPSTREAM}`],
    ['policy glob', 'policy.tools', `[policy.tools]\ndeny = ["re:(("]\n${AUTH}${UPSTREAM}`],
    ['CIDR', 'server.trusted_proxies', `[server]\ntrusted_proxies = ["10.0.0.0/33"]\n${AUTH}${UPSTREAM}`],
    ['OAuth provider', 'auth.oauth', `[[auth.oauth]]\nprovider = "custom"\nclient_id = "x"\n${UPSTREAM}`],
    ['TLS file', 'server.tls.cert_path', `[server.tls]\ncert_path = "no-such.pem"\nkey_path = "no-such.key"\n${AUTH}${UPSTREAM}`],
    ['shell', 'command', `${AUTH}[upstream]\ncommand = "bash"\nargs = ["-c", "true"]\n`],
    ['metadata address', 'url', `${AUTH}[upstream]\ntransport = "http"\nurl = "http://169.254.169.254/mcp"\n`],
  ])('row 9: a bad %s is found by validate and refused by run alike', async (_what, named, config) => {
    const cwd = await tempDir();
    await writeFile(join(cwd, 'mcp-guard.toml'), config);
    const checked = await runCli(['validate'], { cwd });
    expect(checked.code).toBe(1);
    expect(checked.stderr).toContain(named);
    const ran = await runCli(['run', '--port', '0'], { cwd });
    expect(ran.code).toBe(1);
    expect(ran.stdout).toBe('');
    expect(ran.stderr).toContain(named);
  });

  it.each([
    ['TOML', 'mcp-guard.toml', `${AUTH}[upstream]\ncommand = COMMAND\nargs = ARGS\n[server]\nworkers = 1\n`],
    [
      'YAML',
      'mcp-guard.yaml',
      `auth:\n  api_keys:\n    - id: alice\n      key_hash: ${KEY.hash}\n      allowed_tools: ["*"]\nupstream:\n  command: COMMAND\n  args: ARGS\nserver:\n  workers: 1\n`,
    ],
    [
      'JSON',
      'mcp-guard.json',
      `{"auth": {"api_keys": [${JSON.stringify(keyEntry('alice', KEY))}]}, "upstream": {"command": COMMAND, "args": ARGS}, "server": {"workers": 1}}`,
    ],
  ])('row 10: %s is chosen by the extension and behaves like the others', async (_syntax, configName, template) => {
    const { command, args } = stdioUpstream();
    const config = template.replace('COMMAND', JSON.stringify(command)).replace('ARGS', JSON.stringify(args));
    const gateway = await startGateway({ config, configName });
    const good = await rpc(gateway.mcp, toolCall('echo', { x: 1 }), { key: KEY.key });
    expect(good.status).toBe(200);
    expect(good.json).toMatchObject({ id: 1, result: { content: [{ type: 'text', text: '{"x":1}' }] } });
    expect((await rpc(gateway.mcp, toolCall('echo'))).status).toBe(401);
    await gateway.stop();
  });

  it('row 10: an unknown extension is refused', async () => {
    const { code, stderr } = await validate(`${AUTH}${UPSTREAM}`, 'mcp-guard.ini');
    expect(code).toBe(1);
    expect(stderr).toContain('mcp-guard.ini');
  });

  it('a missing file is one line that names it', async () => {
    const { code, stderr } = await runCli(['validate', '-c', 'nowhere.toml'], { cwd: await tempDir() });
    expect(code).toBe(1);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toContain('nowhere.toml');
  });

  it('a warning goes to stderr and does not fail', async () => {
    const { code, stdout, stderr } = await validate(`${AUTH.replace('allowed_tools = ["*"]\n', '')}${UPSTREAM}`);
    expect(code).toBe(0);
    expect(stdout.split('\n')).toHaveLength(2);
    expect(stderr).toContain('warning');
    expect(stderr).toContain('allowed_tools');
  });
});
