import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { commitOfCheckout, packageInfo, packageRoot } from '../../src/cli/package-info.ts';
import { REPOSITORY, tempDir } from '../e2e/harness.ts';

function git(cwd: string, ...args: string[]): string {
  const identity = ['-c', 'user.name=t', '-c', 'user.email=t@example.com', '-c', 'commit.gpgsign=false'];
  return execFileSync('git', [...identity, ...args], { cwd, encoding: 'utf8' }).trim();
}

async function checkout(): Promise<string> {
  const folder = await tempDir();
  git(folder, 'init', '-q', '-b', 'topic/one');
  git(folder, 'commit', '-q', '--allow-empty', '-m', 'first');
  return folder;
}

describe('packageInfo', () => {
  it('finds the package from where the program lies', () => {
    expect(packageRoot()).toBe(REPOSITORY);
    expect(packageInfo()).toMatchObject({ name: 'mcp-guard' });
  });
});

describe('commitOfCheckout', () => {
  it('reads a branch, loose and packed, a detached head and a linked work tree as git does', async () => {
    const folder = await checkout();
    const hash = git(folder, 'rev-parse', 'HEAD');
    expect(commitOfCheckout(folder)).toBe(hash);
    git(folder, 'pack-refs', '--all');
    expect(commitOfCheckout(folder)).toBe(hash);
    const linked = join(await tempDir(), 'linked');
    git(folder, 'worktree', 'add', '-q', '-b', 'two', linked);
    git(linked, 'commit', '-q', '--allow-empty', '-m', 'second');
    expect(commitOfCheckout(linked)).toBe(git(linked, 'rev-parse', 'HEAD'));
    git(folder, 'checkout', '-q', '--detach');
    expect(commitOfCheckout(folder)).toBe(hash);
  });

  it('knows nothing where there is no checkout, or an unborn or damaged one', async () => {
    const folder = await tempDir();
    expect(commitOfCheckout(folder)).toBeNull();
    await mkdir(join(folder, '.git'));
    await writeFile(join(folder, '.git', 'HEAD'), 'ref: refs/heads/none\n');
    expect(commitOfCheckout(folder)).toBeNull();
    await writeFile(join(folder, '.git', 'HEAD'), 'ref: ../../etc/passwd\n');
    expect(commitOfCheckout(folder)).toBeNull();
  });
});
