import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { REPOSITORY, runProgram, tempDir } from './harness.ts';

interface Step {
  readonly name?: string;
  readonly run?: string;
  readonly if?: string;
}

interface Workflow {
  readonly jobs: Readonly<Record<string, { readonly env: Readonly<Record<string, string>>; readonly steps: readonly Step[] }>>;
}

const workflow = parse(readFileSync(join(REPOSITORY, '.github/workflows/perf.yml'), 'utf8')) as Workflow;
const steps = workflow.jobs['suite']?.steps.filter((step) => step.run !== undefined) ?? [];
let dir = '';

/** Stand in for what would change this machine; everything else is real. */
const STAND_INS: Readonly<Record<string, string>> = {
  sudo: 'exec "$@"',
  'apt-get': 'echo "apt-get $*"',
  systemctl: 'echo "systemctl $*"',
  npm: 'if [ "$1" = ci ]; then echo "npm ci"; elif [ "$2" = build ]; then echo "npm run build"; else exec "$REAL_NPM" "$@"; fi',
};

beforeAll(async () => {
  dir = await tempDir();
  mkdirSync(join(dir, 'bin'));
  for (const [name, body] of Object.entries(STAND_INS)) writeFileSync(join(dir, 'bin', name), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
});

/** Runs a step as the runner does: a script of its own, that ends with the first command that fails. */
async function runStep(
  step: Step,
  env: Readonly<Record<string, string>>,
): Promise<{ readonly code: number | null; readonly text: string }> {
  const script = join(dir, 'step.sh');
  writeFileSync(script, step.run ?? '');
  const path = process.env['PATH'] ?? '';
  const npm = (await runProgram('sh', ['-c', 'command -v npm'])).stdout.trim();
  const { code, stdout, stderr } = await runProgram('bash', ['--noprofile', '--norc', '-eo', 'pipefail', script], {
    cwd: REPOSITORY,
    env: { PATH: `${join(dir, 'bin')}:${path}`, REAL_NPM: npm, ...env },
    timeoutMs: 120_000,
  });
  return { code, text: stdout + stderr };
}

describe('the workflow that measures', () => {
  it('runs its steps in order: programs, dependencies, build, suite, and the table into the summary', async () => {
    const summary = join(dir, 'summary.md');
    const env = { PERF_ARGUMENTS: '--quick --scenario startup', GITHUB_STEP_SUMMARY: summary };
    const texts: string[] = [];
    for (const step of steps) {
      const { code, text } = await runStep(step, env);
      expect(code, text).toBe(0);
      texts.push(text);
    }
    expect(texts[0]).toContain('apt-get install --no-install-recommends -y wrk luajit nginx-light openssl redis-server');
    expect(texts.slice(1, 3).map((text) => text.trim())).toEqual(['npm ci', 'npm run build']);
    expect(readFileSync(summary, 'utf8')).toMatch(/# Performance report[\s\S]+\| startup \| spawn of `mcp-guard run`/);
  }, 150_000);

  it('fails when the suite fails, and shows the table all the same', async () => {
    const [suite, table] = steps.slice(-2);
    const { code, text } = await runStep(suite ?? {}, { PERF_ARGUMENTS: '--scenario no-such' });
    expect(code).not.toBe(0);
    expect(text).toContain('no such scenario: no-such');
    expect(table?.if).toBe('always()');
  });

  it('takes what is typed into its form for arguments, never for commands', async () => {
    const mark = join(dir, 'mark');
    const { code } = await runStep(steps.at(-2) ?? {}, { PERF_ARGUMENTS: `--list; touch ${mark} $(touch ${mark})` });
    expect(code).not.toBe(0);
    expect(() => readFileSync(mark)).toThrow('ENOENT');
    expect(workflow.jobs['suite']?.env).toEqual({ PERF_ARGUMENTS: '${{ inputs.arguments }}' });
    expect(steps.filter((step) => step.run?.includes('${{'))).toEqual([]);
  });
});
