import { createHash } from 'node:crypto';
import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeKey, rpc, runCli, sleep, startGateway, stdioUpstream, tempDir, toolCall, type CliResult } from '../e2e/harness.ts';

const OTHER = makeKey();
const { command, args } = stdioUpstream();
const TOML = `# my gateway\n[server]\nworkers = 1 # one is enough\n\n[[auth.api_keys]]\nid = "first" # the owner\nkey_hash = "${OTHER.hash}"\nallowed_tools = ["*"]\n\n[upstream]\ncommand = ${JSON.stringify(command)}\nargs = ${JSON.stringify(args)}\n# the end\n`;
const YAML = `# my gateway\nserver:\n  workers: 1 # one is enough\nauth:\n  api_keys:\n    - id: first # the owner\n      key_hash: ${OTHER.hash}\n      allowed_tools: ["*"]\nupstream:\n  command: ${JSON.stringify(command)}\n  args: ${JSON.stringify(args)}\n# the end\n`;

async function folderWith(name: string, text: string): Promise<string> {
  const cwd = await tempDir();
  await writeFile(join(cwd, name), text, { mode: 0o640 });
  await chmod(join(cwd, name), 0o640);
  return cwd;
}

function keyOf(result: CliResult): string {
  const [key] = /mcp_[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])/.exec(result.stdout) ?? [];
  expect(key).toBeDefined();
  return key as string;
}

function sha256(key: string): string {
  return createHash('sha256').update(key).digest('base64');
}

describe('mcp-guard keygen', () => {
  it('row 13: prints a key of the documented form and its hash', async () => {
    const result = await runCli(['keygen', '--user-id', 'alice'], { cwd: await tempDir() });
    expect(result.code).toBe(0);
    const key = keyOf(result);
    expect(key).toMatch(/^mcp_[A-Za-z0-9_-]{43}$/);
    expect(result.stdout).toContain(sha256(key));
    expect(result.stdout.split(key)).toHaveLength(2);
  });

  it('row 13: two keys are never the same, and an id is required', async () => {
    const cwd = await tempDir();
    const [a, b] = await Promise.all([runCli(['keygen', '--user-id', 'a'], { cwd }), runCli(['keygen', '--user-id', 'a'], { cwd })]);
    expect(keyOf(a)).not.toBe(keyOf(b));
    expect((await runCli(['keygen'], { cwd })).code).toBe(2);
    expect((await runCli(['keygen', '--user-id', 'a', '--rate-limit', '0'], { cwd })).code).toBe(2);
  });

  it.each([
    ['mcp-guard.toml', TOML],
    ['mcp-guard.yaml', YAML],
  ])('row 14: --apply-to-config appends to %s and keeps its comments and mode', async (name, text) => {
    const cwd = await folderWith(name, text);
    const result = await runCli(
      ['keygen', '-c', name, '--user-id', 'second', '--rate-limit', '5', '--tools', 'echo,read_*', '--apply-to-config'],
      { cwd },
    );
    expect(result.stderr).toBe('');
    expect(result.code).toBe(0);
    const edited = await readFile(join(cwd, name), 'utf8');
    for (const comment of ['# my gateway', '# one is enough', '# the owner', '# the end']) expect(edited).toContain(comment);
    expect(edited).toContain(sha256(keyOf(result)));
    expect(edited).not.toContain(keyOf(result));
    expect((await stat(join(cwd, name))).mode & 0o777).toBe(0o640);
    expect(await readdir(cwd)).toEqual([name]);
    expect((await runCli(['validate', '-c', name], { cwd })).code).toBe(0);
    const gateway = await startGateway({ dir: cwd, args: ['-c', name] });
    expect((await rpc(gateway.mcp, toolCall('echo'), { key: keyOf(result) })).status).toBe(200);
    expect((await rpc(gateway.mcp, toolCall('whoami'), { key: keyOf(result) })).status).toBe(403);
    expect((await rpc(gateway.mcp, toolCall('whoami'), { key: OTHER.key })).status).toBe(200);
    await gateway.stop();
  });

  it.each([
    ['mcp-guard.toml', TOML],
    ['mcp-guard.yaml', YAML],
  ])('row 14: a duplicate id is refused and %s stays as it is', async (name, text) => {
    const cwd = await folderWith(name, text);
    const { code, stdout, stderr } = await runCli(['keygen', '-c', name, '--user-id', 'first', '--apply-to-config'], { cwd });
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toContain('first');
    expect(await readFile(join(cwd, name), 'utf8')).toBe(text);
    expect(await readdir(cwd)).toEqual([name]);
  });

  it('row 14: what would not validate is not written', async () => {
    const cwd = await folderWith('mcp-guard.toml', TOML);
    const { code, stderr } = await runCli(['keygen', '--user-id', 'x', '--tools', 'read_[a', '--apply-to-config'], { cwd });
    expect(code).toBe(1);
    expect(stderr).toContain('read_[a');
    expect(await readFile(join(cwd, 'mcp-guard.toml'), 'utf8')).toBe(TOML);
    expect(await readdir(cwd)).toEqual(['mcp-guard.toml']);
  });

  it('row 15: without --tools the entry says ["*"]', async () => {
    const cwd = await folderWith('mcp-guard.toml', TOML);
    const shown = await runCli(['keygen', '--user-id', 'second'], { cwd });
    expect(shown.stdout).toContain('allowed_tools = ["*"]');
    expect(await readFile(join(cwd, 'mcp-guard.toml'), 'utf8')).toBe(TOML);
    await runCli(['keygen', '--user-id', 'second', '--apply-to-config'], { cwd });
    expect((await readFile(join(cwd, 'mcp-guard.toml'), 'utf8')).match(/allowed_tools = \["\*"\]/g)).toHaveLength(2);
  });

  it('row 16: --expires writes expires_at, and after that time the key is refused', async () => {
    const cwd = await folderWith('mcp-guard.toml', TOML);
    const when = new Date(Math.ceil((Date.now() + 5000) / 1000) * 1000);
    const result = await runCli(['keygen', '--user-id', 'guest', '--expires', when.toISOString(), '--apply-to-config'], { cwd });
    expect(result.code).toBe(0);
    expect(await readFile(join(cwd, 'mcp-guard.toml'), 'utf8')).toContain('expires_at');
    const gateway = await startGateway({ dir: cwd });
    expect((await rpc(gateway.mcp, toolCall('echo'), { key: keyOf(result) })).status).toBe(200);
    await sleep(Math.max(0, when.getTime() - Date.now()) + 300);
    expect((await rpc(gateway.mcp, toolCall('echo'), { key: keyOf(result) })).status).toBe(401);
    expect((await rpc(gateway.mcp, toolCall('echo'), { key: OTHER.key })).status).toBe(200);
    await gateway.stop();
  });

  it.each(['30d', '12h', '2099-12-31', '2099-12-31T23:59:59+02:00'])('row 16: --expires %s is understood', async (when) => {
    const cwd = await folderWith('mcp-guard.toml', TOML);
    expect((await runCli(['keygen', '--user-id', 'guest', '--expires', when, '--apply-to-config'], { cwd })).code).toBe(0);
    const [, written = ''] = /expires_at = "?([^"\n]+)/.exec(await readFile(join(cwd, 'mcp-guard.toml'), 'utf8')) ?? [];
    expect(Date.parse(written)).toBeGreaterThan(Date.now());
  });

  it.each(['tomorrow', '30', '2099-02-30', '0d', '-5d', '2001-01-01'])('row 16: --expires %s is refused', async (when) => {
    const cwd = await folderWith('mcp-guard.toml', TOML);
    const { code, stdout, stderr } = await runCli(['keygen', '--user-id', 'guest', `--expires=${when}`, '--apply-to-config'], { cwd });
    expect(code).not.toBe(0);
    expect(stdout).toBe('');
    expect(stderr).toContain(when);
    expect(await readFile(join(cwd, 'mcp-guard.toml'), 'utf8')).toBe(TOML);
  });
});

describe('mcp-guard hash-key', () => {
  it('row 17: prints the hash that keygen printed, from the argument and from stdin', async () => {
    const result = await runCli(['keygen', '--user-id', 'alice'], { cwd: await tempDir() });
    const key = keyOf(result);
    const [byArgument, byStdin] = await Promise.all([runCli(['hash-key', key]), runCli(['hash-key', '-'], { input: `${key}\n` })]);
    expect(byArgument).toMatchObject({ code: 0, stdout: `${sha256(key)}\n` });
    expect(byArgument.stdout.trimEnd()).toHaveLength(44);
    expect(result.stdout).toContain(byArgument.stdout.trimEnd());
    expect(byStdin).toEqual(byArgument);
  });

  it('row 17: an empty key is refused', async () => {
    expect((await runCli(['hash-key', '-'], { input: '\n' })).code).toBe(1);
    expect((await runCli(['hash-key'])).code).toBe(2);
  });
});
