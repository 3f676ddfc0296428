import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { keyEntry, makeKey, runCli, tempDir, type CliResult } from '../e2e/harness.ts';

describe('mcp-guard check', () => {
  let cwd: string;

  beforeAll(async () => {
    cwd = await tempDir();
    const api_keys = [
      keyEntry('reader', makeKey(), { allowed_tools: ['read_*'], denied_tools: ['read_secret'], rate_limit: 6 }),
      keyEntry('any', makeKey()),
      keyEntry('former', makeKey(), { expires_at: '2020-01-01' }),
      keyEntry('local', makeKey(), { servers: ['files'] }),
    ];
    const policy = { tools: { deny: ['delete_*'] } };
    const upstream = { command: 'node' };
    await writeFile(join(cwd, 'one.json'), JSON.stringify({ auth: { api_keys }, policy, upstream: { name: 'files', ...upstream } }));
    const servers = ['files', 'mail'].map((name) => ({ name, ...upstream }));
    await writeFile(join(cwd, 'two.json'), JSON.stringify({ auth: { api_keys }, policy, upstream: { servers } }));
    const tool_limits = [{ tool_pattern: 'mail:send_*', cost: 4 }];
    await writeFile(join(cwd, 'cost.json'), JSON.stringify({ auth: { api_keys }, rate_limit: { tool_limits }, upstream: { servers } }));
    await writeFile(join(cwd, 'bad.json'), JSON.stringify({ auth: { api_keys }, policy: { tools: { deny: ['x_[a'] } }, upstream }));
  });

  function check(file: string, ...args: string[]): Promise<CliResult> {
    return runCli(['check', '--policy', file, ...args], { cwd });
  }

  it('row 26: an allowed tool prints ALLOW with what is left of the burst and exits 0', async () => {
    expect(await check('one.json', '--tool', 'read_file', '--identity', 'reader')).toMatchObject({ code: 0, stdout: 'ALLOW 2\n' });
    expect(await check('one.json', '--tool', 'anything', '--identity', 'any')).toMatchObject({ code: 0, stdout: 'ALLOW 9\n' });
    expect(await check('one.json', '--tool', 'read_file')).toMatchObject({ code: 0, stdout: 'ALLOW 9\n' });
  });

  it('row 26: a call that costs several tokens leaves the rest', async () => {
    const left = async (server: string, tool: string): Promise<string> =>
      (await check('cost.json', '--tool', tool, '--identity', 'any', '--server', server)).stdout;
    expect([await left('mail', 'send_all'), await left('mail', 'read'), await left('files', 'send_all')]).toEqual([
      'ALLOW 6\n',
      'ALLOW 9\n',
      'ALLOW 9\n',
    ]);
  });

  it.each([
    ['denied_tools', ['--tool', 'read_secret', '--identity', 'reader']],
    ['allowed_tools', ['--tool', 'write_file', '--identity', 'reader']],
    ['delete_*', ['--tool', 'delete_file', '--identity', 'any']],
    ['delete_*', ['--tool', 'delete_file']],
    ['nobody', ['--tool', 'read_file', '--identity', 'nobody']],
    ['expired', ['--tool', 'read_file', '--identity', 'former']],
  ])('row 26: a denied tool prints DENY with the rule %s and exits 3', async (reason, args) => {
    const { code, stdout } = await check('one.json', ...args);
    expect(code).toBe(3);
    expect(stdout).toMatch(/^DENY: .+\n$/);
    expect(stdout).toContain(reason);
  });

  it('row 26: with several servers the server is named and its grants count', async () => {
    expect(await check('two.json', '--tool', 't', '--identity', 'local', '--server', 'files')).toMatchObject({ code: 0 });
    expect(await check('two.json', '--tool', 't', '--identity', 'local', '--server', 'mail')).toMatchObject({
      code: 3,
      stdout: 'DENY: no servers pattern matches\n',
    });
    const unnamed = await check('two.json', '--tool', 't', '--identity', 'local');
    expect(unnamed.code).toBe(1);
    expect(unnamed.stderr).toContain('--server');
    expect((await check('two.json', '--tool', 't', '--server', 'lost')).code).toBe(1);
  });

  it('row 26: a bad policy exits 1 and is named', async () => {
    const { code, stdout, stderr } = await check('bad.json', '--tool', 't');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('policy.tools.deny');
    expect((await check('missing.json', '--tool', 't')).code).toBe(1);
  });

  it('says that prompts and resources cannot be checked yet, instead of answering', async () => {
    for (const option of ['--prompt', '--resource']) {
      const { code, stdout, stderr } = await check('one.json', '--tool', 't', option, 'x');
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toContain('not available yet');
    }
    expect((await check('one.json')).code).toBe(1);
  });
});
