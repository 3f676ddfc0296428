import { createHash } from 'node:crypto';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { http, rpc, runCli, startGateway, tempDir, toolCall, toolText } from '../e2e/harness.ts';

const KEY = /mcp_[A-Za-z0-9_-]{43}/g;

function onlyKeyOf(stdout: string): string {
  const keys = stdout.match(KEY) ?? [];
  expect(keys).toHaveLength(1);
  return keys[0] as string;
}

describe('mcp-guard init', () => {
  it('row 1: creates mcp-guard.toml with the hash of the key it shows once, readable by the owner only', async () => {
    const cwd = await tempDir();
    const { code, stdout } = await runCli(['init'], { cwd });
    expect(code).toBe(0);
    expect(await readdir(cwd)).toEqual(['mcp-guard.toml']);
    const key = onlyKeyOf(stdout);
    const text = await readFile(join(cwd, 'mcp-guard.toml'), 'utf8');
    expect(text).not.toMatch(KEY);
    expect(text).toContain(createHash('sha256').update(key).digest('base64'));
    expect((await stat(join(cwd, 'mcp-guard.toml'))).mode & 0o777).toBe(0o600);
  });

  it.each(['toml', 'yaml', 'json'])('row 2: --format %s creates a file on which validate passes', async (format) => {
    const cwd = await tempDir();
    const { code, stdout } = await runCli(['init', '--format', format], { cwd });
    expect(code).toBe(0);
    onlyKeyOf(stdout);
    expect(await readdir(cwd)).toEqual([`mcp-guard.${format}`]);
    expect(await runCli(['validate', '-c', `mcp-guard.${format}`], { cwd })).toMatchObject({ code: 0, stderr: '' });
  });

  it('row 2: an unknown format is a usage error and nothing is written', async () => {
    const cwd = await tempDir();
    const { code, stderr } = await runCli(['init', '--format', 'ini'], { cwd });
    expect(code).toBe(2);
    expect(stderr).toContain('ini');
    expect(await readdir(cwd)).toEqual([]);
  });

  it('row 3: an existing file is kept, and --force replaces it', async () => {
    const cwd = await tempDir();
    const path = join(cwd, 'mcp-guard.toml');
    await writeFile(path, '# mine\n', { mode: 0o644 });
    const refused = await runCli(['init'], { cwd });
    expect(refused.code).toBe(1);
    expect(refused.stdout).toBe('');
    expect(refused.stderr).toContain('mcp-guard.toml');
    expect(refused.stderr).toContain('--force');
    expect(await readFile(path, 'utf8')).toBe('# mine\n');
    const forced = await runCli(['init', '--force'], { cwd });
    expect(forced.code).toBe(0);
    expect(await readFile(path, 'utf8')).toContain('key_hash');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(cwd)).toEqual(['mcp-guard.toml']);
  });

  it('row 3: a folder that cannot be written to is one line, not a stack', async () => {
    const cwd = await tempDir();
    await writeFile(join(cwd, 'file'), '');
    const { code, stderr } = await runCli(['init', '--force'], { cwd: '/proc/self' });
    expect(code).toBe(1);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toContain('mcp-guard.toml');
  });

  it('row 4: what it wrote runs unmodified: health answers and the key is accepted', async () => {
    const cwd = await tempDir();
    const { stdout } = await runCli(['init'], { cwd });
    const key = onlyKeyOf(stdout);
    const gateway = await startGateway({ dir: cwd });
    const health = await http('GET', `${gateway.url}/health`);
    expect(health.status).toBe(200);
    expect(health.json).toMatchObject({ status: 'healthy' });
    const answer = await rpc(gateway.mcp, toolCall('echo', { message: 'hello' }), { key });
    expect(answer.status).toBe(200);
    expect(toolText(answer)).toBe('hello');
    expect((await rpc(gateway.mcp, toolCall('delete_file', { path: 'welcome.md' }), { key })).status).toBe(403);
    expect((await rpc(gateway.mcp, toolCall('echo', { message: 'x' }), { key: `mcp_${'A'.repeat(43)}` })).status).toBe(401);
    expect(await gateway.stop()).toEqual({ code: 0, signal: null });
  });
});
