import { chmod, lstat, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createFile, editFile, overwriteFile } from '../../src/cli/replace-file.ts';
import { tempDir } from '../e2e/harness.ts';

async function fileWith(text: string, mode: number): Promise<{ folder: string; path: string }> {
  const folder = await tempDir();
  const path = join(folder, 'a.toml');
  await writeFile(path, text);
  await chmod(path, mode);
  return { folder, path };
}

describe('createFile', () => {
  it('writes for the owner only and never over a file', async () => {
    const folder = await tempDir();
    const path = join(folder, 'a.toml');
    await createFile(path, 'one');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await expect(createFile(path, 'two')).rejects.toMatchObject({ code: 'EEXIST' });
    expect(await readFile(path, 'utf8')).toBe('one');
  });
});

describe('overwriteFile', () => {
  it('replaces text and mode and leaves nothing beside it', async () => {
    const { folder, path } = await fileWith('old', 0o644);
    await overwriteFile(path, 'new');
    expect(await readFile(path, 'utf8')).toBe('new');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(folder)).toEqual(['a.toml']);
  });
});

describe('editFile', () => {
  it('keeps the mode, and the link it was reached by', async () => {
    const { folder, path } = await fileWith('old', 0o640);
    await symlink(path, join(folder, 'link.toml'));
    await editFile(join(folder, 'link.toml'), (text) => `${text}+new`);
    expect(await readFile(path, 'utf8')).toBe('old+new');
    expect((await stat(path)).mode & 0o777).toBe(0o640);
    expect((await lstat(join(folder, 'link.toml'))).isSymbolicLink()).toBe(true);
  });

  it('leaves everything as it was when the edit throws', async () => {
    const { folder, path } = await fileWith('old', 0o640);
    const edit = (): string => {
      throw new Error('no');
    };
    await expect(editFile(path, edit)).rejects.toThrow('no');
    expect(await readFile(path, 'utf8')).toBe('old');
    expect(await readdir(folder)).toEqual(['a.toml']);
  });

  it('refuses while another edit is under way, and does not touch its file', async () => {
    const { folder, path } = await fileWith('old', 0o640);
    await writeFile(join(folder, '.a.toml.new'), 'half');
    await expect(editFile(path, () => 'new')).rejects.toThrow('.a.toml.new exists');
    expect(await readFile(path, 'utf8')).toBe('old');
    expect(await readFile(join(folder, '.a.toml.new'), 'utf8')).toBe('half');
  });
});
