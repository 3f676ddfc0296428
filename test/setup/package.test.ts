import { readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../e2e/harness.ts';
import { prose } from './documents.ts';
import { filesBelow, ROOT } from './sources.ts';

interface PackedFile {
  readonly path: string;
  readonly mode: number;
}

/** The compiled files of a source folder. */
function compiled(folder: string): string[] {
  return filesBelow(folder, '.ts').map((path) => `dist/${path.replace(/\.ts$/, '.js')}`);
}

describe('the package that npm would publish', () => {
  let packed: ReadonlyMap<string, number>;

  beforeAll(async () => {
    // Without its scripts: the build under test is the one that is there.
    const { stdout } = await runProgram('npm', ['pack', '--dry-run', '--json', '--ignore-scripts']);
    const [first] = JSON.parse(stdout) as { files: PackedFile[] }[];
    packed = new Map(first?.files.map(({ path, mode }) => [path, mode]));
  });

  it('holds every compiled file, the sample folder of the demo, and the commit it was built from', () => {
    const wanted = [...compiled('src'), ...compiled('workers'), ...filesBelow('src/demo/sample', '').map((path) => `dist/${path}`)];
    expect(wanted.length).toBeGreaterThan(100);
    expect([...wanted, 'dist/COMMIT', 'config/mcp-guard.schema.json', 'LICENSE'].filter((path) => !packed.has(path))).toEqual([]);
    expect(readFileSync(join(ROOT, 'dist/COMMIT'), 'utf8')).toMatch(/^[0-9a-f]{40,64}\n$/);
  });

  it('holds nothing else: no sources, tests, settings or secrets', () => {
    const expected =
      /^(dist\/(COMMIT$|(src|workers)\/.+\.js(\.map)?$|src\/demo\/sample\/)|docs\/.+\.(md|svg)$|config\/mcp-guard\.schema\.json$)/;
    const top = [...packed.keys()].filter((path) => !expected.test(path)).toSorted();
    expect(top).toEqual(['CHANGELOG.md', 'CONTRIBUTING.md', 'LICENSE', 'README.md', 'SECURITY.md', 'package.json']);
  });

  it('has commands that can be executed', () => {
    const { bin } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { bin: Record<string, string> };
    expect(Object.keys(bin)).toEqual(['mcp-guard']);
    for (const path of Object.values(bin)) {
      expect(packed.get(path)).toBe(0o755);
      expect(readFileSync(join(ROOT, path), 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/);
    }
  });

  it('holds what its README links to', () => {
    const links = [...prose(readFileSync(join(ROOT, 'README.md'), 'utf8')).matchAll(/\]\(([^)\s#]+)[^)]*\)/g)].map(([, link = '']) => link);
    const own = links.filter((link) => !/^https?:/.test(link)).map((link) => normalize(join(dirname('README.md'), link)));
    expect(own.length).toBeGreaterThan(5);
    expect(own.filter((path) => !packed.has(path))).toEqual([]);
  });
});
