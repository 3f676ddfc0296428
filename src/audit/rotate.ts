import { access, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { PARTIAL } from './gzip-file.ts';

/** `.20261120T101500.123Z`, UTC, sorts by time. */
const STAMP = /^\.\d{8}T\d{6}\.\d{3}Z(\.gz)?$/;

/** A file that was rotated away. */
export interface RotatedFile {
  readonly path: string;
  readonly isCompressed: boolean;
}

function stampOf(wallMs: number): string {
  return `.${new Date(wallMs).toISOString().replaceAll(/[-:]/g, '')}`;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Renames `path` to `<path>.<time>`, never over an existing file; returns the new name. */
export async function renameAway(path: string, wallMs: number): Promise<string> {
  for (let atMs = wallMs; ; atMs++) {
    const target = path + stampOf(atMs);
    if ((await exists(target)) || (await exists(`${target}.gz`))) continue;
    await rename(path, target);
    return target;
  }
}

/** Rotated files of `path`, oldest first. */
export async function listRotated(path: string): Promise<RotatedFile[]> {
  const base = basename(path);
  const names = (await readdir(dirname(path))).filter((name) => name.startsWith(base) && STAMP.test(name.slice(base.length)));
  return names.sort().map((name) => ({ path: join(dirname(path), name), isCompressed: name.endsWith('.gz') }));
}

/** Removes the oldest rotated files until `keep` are left. */
export async function prune(path: string, keep: number): Promise<void> {
  const rotated = await listRotated(path);
  // A crash between the two last steps of a compression leaves a file twice; both have the same age.
  const ages = [...new Set(rotated.map((file) => ageKey(file)))];
  const old = new Set(ages.slice(0, Math.max(ages.length - keep, 0)));
  for (const file of rotated) if (old.has(ageKey(file))) await rm(file.path, { force: true });
}

function ageKey(file: RotatedFile): string {
  return file.isCompressed ? file.path.slice(0, -3) : file.path;
}

/** Removes compressions that a crash left unfinished; their sources are still there. */
export async function removePartial(path: string): Promise<void> {
  const base = basename(path);
  for (const name of await readdir(dirname(path))) {
    if (!name.startsWith(base) || !name.endsWith(PARTIAL)) continue;
    if (STAMP.test(name.slice(base.length, -PARTIAL.length))) await rm(join(dirname(path), name), { force: true });
  }
}
