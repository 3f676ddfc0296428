import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { requireNode } from './preflight.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
/** Folders that the compiler does not copy. */
const assets = ['src/demo/sample'];

/** Compiles into a folder beside `dist` and swaps: a failed build leaves the last good one, and nothing stale survives. */
export function build() {
  const next = `dist-next-${process.pid}`;
  try {
    compile(next);
    for (const asset of assets) {
      if (existsSync(join(root, asset))) cpSync(join(root, asset), join(root, next, asset), { recursive: true });
    }
    stampCommit(join(root, next, 'COMMIT'));
    chmodSync(join(root, next, 'src/bin.js'), 0o755);
    swap(next);
  } finally {
    rmSync(join(root, next), { recursive: true, force: true });
  }
}

function compile(outDir) {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  if (!existsSync(tsc)) throw new Error('dependencies are not installed: run npm ci first');
  const result = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', outDir], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  if (result.status !== 0) throw new Error('the build failed');
}

/** For `mcp-guard version`; outside a checkout there is no stamp. */
function stampCommit(file) {
  const result = spawnSync('git', ['rev-parse', 'HEAD'], { cwd: root, encoding: 'utf8' });
  if (result.status === 0) writeFileSync(file, result.stdout);
}

function swap(next) {
  const old = join(root, `dist-old-${process.pid}`);
  if (existsSync(join(root, 'dist'))) renameSync(join(root, 'dist'), old);
  renameSync(join(root, next), join(root, 'dist'));
  rmSync(old, { recursive: true, force: true });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  requireNode();
  try {
    build();
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}
