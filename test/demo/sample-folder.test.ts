import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSampleFolder, SampleFolderError, type SampleFolder } from '../../src/demo/sample-folder.ts';
import { tempDir } from '../e2e/harness.ts';

describe('openSampleFolder', () => {
  let folder: SampleFolder;
  let stopSocket = (): unknown => undefined;

  afterAll(() => void stopSocket());

  beforeAll(async () => {
    const outside = await tempDir();
    await writeFile(join(outside, 'secret.txt'), 'secret');
    const root = join(await tempDir(), 'sample');
    await mkdir(join(root, 'inner'), { recursive: true });
    await writeFile(join(root, 'inner', 'a.txt'), 'inside');
    await writeFile(join(root, 'big.bin'), Buffer.alloc(256 * 1024 + 1));
    await symlink(join(outside, 'secret.txt'), join(root, 'link.txt'));
    await symlink(outside, join(root, 'linked'));
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(root, 'socket'), resolve));
    stopSocket = () => server.close();
    folder = openSampleFolder(root);
  });

  it('reads what is inside, however the path is written', async () => {
    expect(await folder.read('inner/a.txt')).toBe('inside');
    expect(await folder.read('./inner//a.txt')).toBe('inside');
  });

  it('lists files and folders only, never links or sockets', async () => {
    expect(await folder.list('')).toEqual([
      { name: 'big.bin', kind: 'file' },
      { name: 'inner', kind: 'folder' },
    ]);
  });

  it.each([
    'link.txt',
    'linked/secret.txt',
    'socket',
    '../sample/inner/a.txt',
    'inner/..',
    '/etc/passwd',
    'inner\\a.txt',
    'in\0ner',
    'x'.repeat(600),
  ])('refuses %j', async (path) => {
    await expect(folder.read(path)).rejects.toThrow(SampleFolderError);
    await expect(folder.assertExists(path)).rejects.toThrow(SampleFolderError);
  });

  it('refuses a file over the size limit', async () => {
    await expect(folder.read('big.bin')).rejects.toThrow('larger than');
  });

  it('does not follow a link when it lists', async () => {
    await expect(folder.list('linked')).rejects.toThrow(SampleFolderError);
  });
});
