import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ROOT } from './sources.ts';

let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mcp-guard-ci-'));
  mkdirSync(join(folder, 'bin'));
  cpSync(join(ROOT, '.ci/run'), join(folder, '.ci/run'));
});

afterEach(() => rmSync(folder, { recursive: true }));

interface Outcome {
  readonly lastLine: string | undefined;
  readonly isSuccess: boolean;
  readonly calls: string;
}

/** Runs the script in a folder of its own, with an `npm` that does as told for `npm ci` and `npm test`. */
function runWith(ci: string, test: string): Outcome {
  const npm = `#!/bin/sh\necho "npm $*"\ncase "$1" in\nci) ${ci} ;;\ntest) ${test} ;;\nesac\n`;
  writeFileSync(join(folder, 'bin/npm'), npm, { mode: 0o755 });
  const env = { PATH: `${join(folder, 'bin')}:${process.env['PATH'] ?? ''}` };
  const run = spawnSync(join(folder, '.ci/run'), { env, encoding: 'utf8' });
  const lines = run.stdout.trimEnd().split('\n');
  return { lastLine: lines.at(-1), isSuccess: run.status === 0, calls: lines.filter((line) => line.startsWith('npm ')).join(', ') };
}

describe('.ci/run', () => {
  it('installs, runs the test command of the README and repeats its counts', () => {
    const outcome = runWith('exit 0', 'echo "3 passed, 0 failed"');
    expect(outcome).toEqual({ lastLine: '3 passed, 0 failed', isSuccess: true, calls: 'npm ci, npm test' });
  });

  it('fails with the counts of failing tests, whatever is printed after them', () => {
    const outcome = runWith('exit 0', 'echo "3 passed, 2 failed"; echo bye; exit 1');
    expect(outcome).toMatchObject({ lastLine: '3 passed, 2 failed', isSuccess: false });
  });

  it.each([
    ['the installation fails', 'exit 1', 'echo "3 passed, 0 failed"'],
    ['the tests never start', 'exit 0', 'exit 1'],
    ['the tests say nothing', 'exit 0', 'exit 0'],
    ['the tests are killed after their last word', 'exit 0', 'echo "3 passed, 0 failed"; kill -9 $$'],
  ])('reports one failure when %s', (_what, ci, test) => {
    expect(runWith(ci, test)).toMatchObject({ lastLine: '0 passed, 1 failed', isSuccess: false });
  });

  it('does not believe an exit status of 0 against the counts', () => {
    expect(runWith('exit 0', 'echo "3 passed, 1 failed"')).toMatchObject({ lastLine: '3 passed, 1 failed', isSuccess: false });
  });
});
