import { open, readFile, realpath, rename, stat, unlink, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CliError, codeOf } from './io.ts';

const OWNER_ONLY = 0o600;
const MODE_BITS = 0o7777;

/** Writes a new file, readable by its owner only. Fails with `EEXIST` when there is one. */
export async function createFile(path: string, text: string): Promise<void> {
  const handle = await open(path, 'wx', OWNER_ONLY);
  try {
    await writeThrough(handle, text);
  } finally {
    await handle.close();
  }
}

/** Writes a file over whatever is there, in one step, readable by its owner only. */
export async function overwriteFile(path: string, text: string): Promise<void> {
  const target = await realpath(path).catch(() => path);
  await throughSibling(target, async (handle) => {
    await handle.chmod(OWNER_ONLY);
    return text;
  });
}

/**
 * Edits a file in one step: readers see the old text or the new one, mode and owner stay, and what `edit` throws leaves
 * everything as it was. A file beside it keeps two edits from undoing each other.
 */
export async function editFile(path: string, edit: (text: string) => string): Promise<void> {
  const target = await realpath(path);
  await throughSibling(target, async (handle) => {
    const { mode, uid, gid } = await stat(target);
    const text = edit(await readFile(target, 'utf8'));
    const own = await handle.stat();
    if (own.uid !== uid || own.gid !== gid) await handle.chown(uid, gid);
    await handle.chmod(mode & MODE_BITS);
    return text;
  });
}

async function throughSibling(target: string, produce: (handle: FileHandle) => Promise<string>): Promise<void> {
  const sibling = join(dirname(target), `.${basename(target)}.new`);
  const handle = await open(sibling, 'wx', OWNER_ONLY).catch((error: unknown) => {
    if (codeOf(error) === 'EEXIST')
      throw new CliError(`${sibling} exists: another command is editing, or was cut short; then remove it`, { cause: error });
    throw error;
  });
  try {
    await writeThrough(handle, await produce(handle));
    await rename(sibling, target);
  } catch (error) {
    await unlink(sibling).catch(() => undefined);
    throw error;
  } finally {
    await handle.close();
  }
  await syncFolder(dirname(target));
}

async function writeThrough(handle: FileHandle, text: string): Promise<void> {
  await handle.writeFile(text);
  await handle.sync();
}

/** Makes the rename itself survive a power cut, where the file system can. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync().catch(() => undefined);
  } finally {
    await handle.close();
  }
}
