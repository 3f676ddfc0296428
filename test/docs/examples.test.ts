import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { allDocuments, codeBlocks } from '../setup/documents.ts';
import { ROOT } from '../setup/sources.ts';

const PROGRAM = join(ROOT, 'dist/src/bin.js');

interface Example {
  readonly name: string;
  readonly document: string;
  readonly info: readonly string[];
  readonly text: string;
}

/** Blocks marked ` ```sh run ` are executed as they stand; ` ```toml validate ` and its like are whole configurations. */
function examples(mark: string): Example[] {
  return allDocuments().flatMap(({ path, text }) =>
    codeBlocks(text)
      .filter((block) => block.info.includes(mark))
      .map((block) => ({ name: `${path}:${block.line}`, document: path, info: block.info, text: block.text })),
  );
}

let base = '';

beforeAll(() => {
  if (!existsSync(PROGRAM)) throw new Error('the program is not built: npm run build');
  base = mkdtempSync(join(tmpdir(), 'mcp-guard-docs-'));
  mkdirSync(join(base, 'bin'));
  symlinkSync(PROGRAM, join(base, 'bin/mcp-guard'));
});

afterAll(() => rmSync(base, { recursive: true }));

/** Runs a script with `mcp-guard` on PATH, in a folder that the examples of one document share. */
function run(script: string, folder: string): { status: number | null; output: string } {
  mkdirSync(folder, { recursive: true });
  const env = { ...process.env, PATH: `${join(base, 'bin')}:${join(ROOT, 'node_modules/.bin')}:${process.env['PATH'] ?? ''}` };
  const result = spawnSync('bash', ['-euo', 'pipefail', '-c', script], { cwd: folder, env, encoding: 'utf8', timeout: 25_000 });
  return { status: result.status, output: result.stdout + result.stderr };
}

describe('the documented commands', () => {
  it('exist', () => {
    expect(examples('run').length).toBeGreaterThan(0);
    expect(examples('validate').length).toBeGreaterThan(1);
  });

  it.each(examples('run').map((example) => [example.name, example] as const))('of %s run as they stand', (_name, example) => {
    const { status, output } = run(example.text, join(base, example.document.replaceAll('/', '-')));
    expect({ status, output: status === 0 ? '' : output }).toEqual({ status: 0, output: '' });
  });
});

describe('the documented configurations', () => {
  it.each(examples('validate').map((example) => [example.name, example] as const))('of %s are valid', (name, example) => {
    const folder = join(base, `config-${name.replaceAll(/[/:]/g, '-')}`);
    const file = `mcp-guard.${example.info[0]}`;
    mkdirSync(folder);
    writeFileSync(join(folder, file), example.text);
    const { status, output } = run(`mcp-guard validate -c ${file}`, folder);
    expect({ status, output: status === 0 ? '' : output }).toEqual({ status: 0, output: '' });
  });
});
