import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { searchPath, toolProblem } from '../../perf/lib/tools.ts';
import { REPOSITORY, runProgram, tempDir } from '../e2e/harness.ts';

/** A folder with programs that do nothing. */
async function folderWith(...commands: readonly string[]): Promise<string> {
  const folder = join(await tempDir(), 'bin');
  await mkdir(folder);
  for (const command of commands) {
    await writeFile(join(folder, command), '#!/bin/sh\n');
    await chmod(join(folder, command), 0o755);
  }
  return folder;
}

describe('the tools of a perf run', () => {
  it('are all on the path, or are named with their packages', async () => {
    const [all, one, none] = [
      await folderWith('wrk', 'luajit', 'nginx', 'openssl', 'redis-server'),
      await folderWith('luajit', 'nginx', 'openssl', 'redis-server'),
      await folderWith(),
    ];
    expect(toolProblem(`/nowhere:${all}`)).toBeNull();
    expect(toolProblem(one)).toMatch(/not installed: wrk\.[\s\S]+apt-get install --no-install-recommends wrk\n/);
    expect(toolProblem(none)).toMatch(
      /not installed: wrk, luajit, nginx, openssl, redis-server\.[\s\S]+ wrk luajit nginx-light openssl redis-server\n/,
    );
  });

  it('are looked for where Debian puts servers', () => {
    expect(searchPath('/a:/b').split(':')).toEqual(expect.arrayContaining(['/a', '/b', '/usr/sbin']));
  });

  it('end the run before anything is started when one is missing', async () => {
    const { code, stdout, stderr } = await runProgram(process.execPath, [join(REPOSITORY, 'perf/run.ts')], {
      env: { PATH: await folderWith('nginx', 'openssl', 'redis-server') },
    });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('not installed: wrk');
    expect(stderr).not.toContain('    at ');
  });
});
