import { execFileSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { mkdtemp, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { atExit } from './at-exit.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Another commit's build, in a working tree of its own. */
export interface Worktree {
  /** Its compiled `main.js`. */
  readonly main: string;
  readonly close: () => void;
}

/** Checks the ref out beside this tree and builds it with this tree's dependencies; throws when either fails. */
export async function buildRef(ref: string): Promise<Worktree> {
  const dir = join(await mkdtemp(join(tmpdir(), 'mcp-guard-ref-')), 'tree');
  const forget = atExit(() => remove(dir));
  const close = (): void => {
    remove(dir);
    forget();
  };
  try {
    execFileSync('git', ['-C', root, 'worktree', 'add', '--detach', dir, ref], { stdio: ['ignore', 'ignore', 'pipe'] });
    await symlink(join(root, 'node_modules'), join(dir, 'node_modules'));
    execFileSync(process.execPath, [join(dir, 'test/setup/build.mjs')], { cwd: dir, stdio: ['ignore', 2, 2] });
    const main = join(dir, 'dist/src/main.js');
    if (!existsSync(main)) throw new Error(`${ref} built no dist/src/main.js`);
    return { main, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Also what is only half there. */
function remove(dir: string): void {
  rmSync(join(dir, '..'), { recursive: true, force: true });
  execFileSync('git', ['-C', root, 'worktree', 'prune'], { stdio: 'ignore' });
}
