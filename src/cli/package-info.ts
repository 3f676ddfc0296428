import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/** What `version` says of this build. */
export interface PackageInfo {
  readonly name: string;
  readonly version: string;
  /** Full hash, null when neither the build nor the checkout knows it. */
  readonly commit: string | null;
}

/** The folder that holds this package's `package.json`, whether the program runs from `dist/` or from `src/`. */
export function packageRoot(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('package.json of mcp-guard not found');
    folder = parent;
  }
  return folder;
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}

function asCommit(text: string | null | undefined): string | null {
  return text !== null && text !== undefined && /^[0-9a-f]{40,64}$/.test(text) ? text : null;
}

/** Where `HEAD` is: `.git` itself, or the folder that the `.git` file of a linked work tree names. */
function gitFolder(root: string): string {
  const link = readText(join(root, '.git'))?.match(/^gitdir: (.+)$/)?.[1];
  return link === undefined ? join(root, '.git') : resolve(root, link);
}

/** Follows `HEAD` of a checkout without running git: a detached hash, a loose ref, or a packed one. */
export function commitOfCheckout(root: string): string | null {
  const folder = gitFolder(root);
  const head = readText(join(folder, 'HEAD'));
  const ref = head?.match(/^ref: (refs\/[\w./-]+)$/)?.[1];
  if (ref === undefined) return asCommit(head);
  const common = resolve(folder, readText(join(folder, 'commondir')) ?? '.');
  const loose = asCommit(readText(join(common, ref)));
  if (loose !== null) return loose;
  const packed = readText(join(common, 'packed-refs'))?.split('\n') ?? [];
  return asCommit(packed.find((line) => line.endsWith(` ${ref}`))?.split(' ')[0]);
}

export function packageInfo(): PackageInfo {
  const root = packageRoot();
  const { name, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { name: string; version: string };
  return { name, version, commit: asCommit(readText(join(root, 'dist', 'COMMIT'))) ?? commitOfCheckout(root) };
}
