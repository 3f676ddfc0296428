import { constants, type Stats } from 'node:fs';
import { lstat, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';

const MAX_FILE_BYTES = 256 * 1024;
const MAX_ENTRIES = 500;
const MAX_PATH_LENGTH = 512;

/** Why a path was not served, in words for the caller. */
export class SampleFolderError extends Error {}

/** One line of a listing. */
export interface SampleEntry {
  readonly name: string;
  readonly kind: 'file' | 'folder';
}

/**
 * Reads one folder and nothing outside it: paths are relative, of plain segments, and no link is followed at any of
 * them. Nothing is ever written.
 */
export interface SampleFolder {
  list(path: string): Promise<readonly SampleEntry[]>;
  read(path: string): Promise<string>;
  /** Resolves when the path names an entry. */
  assertExists(path: string): Promise<void>;
}

function segmentsOf(path: string): readonly string[] {
  if (path.length > MAX_PATH_LENGTH || path.includes('\0') || path.includes('\\'))
    throw new SampleFolderError('not a path of the sample folder');
  if (path.startsWith('/')) throw new SampleFolderError('the path must be relative to the sample folder');
  const segments = path.split('/').filter((segment) => segment !== '' && segment !== '.');
  if (segments.includes('..')) throw new SampleFolderError('the path must stay inside the sample folder');
  return segments;
}

/** Checks every segment on the way, so that a linked folder does not lead outside either. */
async function locate(root: string, path: string): Promise<{ readonly full: string; readonly isFolder: boolean }> {
  let full = root;
  let isFolder = true;
  for (const segment of segmentsOf(path)) {
    full = join(full, segment);
    const stats: Stats | null = isFolder ? await lstat(full).catch(() => null) : null;
    if (stats === null || !(stats.isFile() || stats.isDirectory())) throw new SampleFolderError(`no such file or folder: ${path}`);
    isFolder = stats.isDirectory();
  }
  return { full, isFolder };
}

async function readPlainFile(full: string, path: string): Promise<string> {
  const handle = await open(full, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw new SampleFolderError(`not a file: ${path}`);
    if (stats.size > MAX_FILE_BYTES) throw new SampleFolderError(`larger than ${MAX_FILE_BYTES} bytes: ${path}`);
    return await handle.readFile('utf8');
  } finally {
    await handle.close();
  }
}

export function openSampleFolder(root: string): SampleFolder {
  return {
    async list(path) {
      const { full, isFolder } = await locate(root, path);
      if (!isFolder) throw new SampleFolderError(`not a folder: ${path}`);
      const entries = await readdir(full, { withFileTypes: true });
      return entries
        .filter((entry) => entry.isFile() || entry.isDirectory())
        .map((entry): SampleEntry => ({ name: entry.name, kind: entry.isFile() ? 'file' : 'folder' }))
        .sort((a, b) => (a.name < b.name ? -1 : 1))
        .slice(0, MAX_ENTRIES);
    },
    async read(path) {
      const { full, isFolder } = await locate(root, path);
      if (isFolder) throw new SampleFolderError(`not a file: ${path}`);
      return await readPlainFile(full, path);
    },
    async assertExists(path) {
      await locate(root, path);
    },
  };
}
