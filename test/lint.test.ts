import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from './setup/sources.ts';

let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mcp-guard-lint-'));
  for (const file of ['.oxlintrc.json', 'tsconfig.json']) cpSync(join(ROOT, file), join(folder, file));
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
});

afterAll(() => rmSync(folder, { recursive: true }));

/** Lints one planted file with the project's configuration and returns what the linter says. */
function lint(path: string, text: string): string {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  const run = spawnSync(join(ROOT, 'node_modules/.bin/oxlint'), ['--deny-warnings', '-f', 'unix', path], { cwd: folder, encoding: 'utf8' });
  rmSync(file);
  return run.stdout + run.stderr;
}

describe('the linter', () => {
  it.each([
    ['src/auth/a.ts', "import { x } from '../limit/x.ts';\nexport const y: unknown = x;\n"],
    ['src/auth/deep/a.ts', "export * from '../../limit/x.ts';\n"],
    ['src/auth/a.ts', "import { x } from 'undici';\nexport const y: unknown = x;\n"],
    ['src/core/a.ts', "import type { Socket } from 'node:net';\nexport type Y = Socket;\n"],
    ['src/pipeline/handle.ts', "import { x } from '../auth/x.ts';\nexport const y: unknown = x;\n"],
    ['src/main.ts', "import { x } from './auth/providers.ts';\nexport const y: unknown = x;\n"],
    ['src/process/a.ts', "import { x } from '@opentelemetry/api';\nexport const y: unknown = x;\n"],
  ])('refuses in %s: %s', (path, text) => {
    expect(lint(path, text)).toContain('no-restricted-imports');
  });

  it.each([
    ['src/auth/a.ts', "import { x } from '../core/x.ts';\nimport { z } from '../mcp/z.ts';\nexport const y: unknown = [x, z];\n"],
    ['src/pipeline/build.ts', "import { x } from '../auth/x.ts';\nexport const y: unknown = x;\n"],
    ['src/main.ts', "import { x } from './auth/keys.ts';\nexport const y: unknown = x;\n"],
    ['src/upstream/a.ts', "import { x } from 'undici';\nexport const y: unknown = x;\n"],
  ])('lets %s have: %s', (path, text) => {
    expect(lint(path, text)).not.toContain('no-restricted-imports');
  });

  it('knows types: a promise that nobody waits for is refused', () => {
    const text = 'async function work(): Promise<void> {}\nexport function start(): void {\n  work();\n}\n';
    expect(lint('src/auth/a.ts', text)).toContain('no-floating-promises');
  });

  it('finds import cycles', () => {
    mkdirSync(join(folder, 'src/limit'), { recursive: true });
    writeFileSync(join(folder, 'src/limit/b.ts'), "import { a } from './a.ts';\nexport const b: unknown = () => a;\n");
    expect(lint('src/limit/a.ts', "import { b } from './b.ts';\nexport const a: unknown = () => b;\n")).toContain('no-cycle');
  });
});
