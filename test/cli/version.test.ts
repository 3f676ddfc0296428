import { describe, expect, it } from 'vitest';
import { commitOfCheckout } from '../../src/cli/package-info.ts';
import { REPOSITORY, runCli } from '../e2e/harness.ts';

describe('mcp-guard version', () => {
  it('row 18: shows name, version, commit and runtime, and says nothing of tiers or licences', async () => {
    const { code, stdout, stderr } = await runCli(['version']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^mcp-guard \d+\.\d+\.\d+\n/);
    expect(stdout).toContain(`commit         ${commitOfCheckout(REPOSITORY) ?? 'unknown'}\n`);
    expect(stdout).toContain(process.versions.node);
    expect(stdout).toMatch(/uWebSockets\.js \S+, sha256 [0-9a-f]{64}/);
    expect(stdout).not.toMatch(/licen[sc]e|tier|enterprise|edition/i);
  });
});

describe('the command line', () => {
  it('shows help for -h with exit 0 and treats unknown words as usage errors with exit 2', async () => {
    expect(await runCli(['-h'])).toMatchObject({ code: 0, stderr: '' });
    for (const args of [[], ['fly'], ['validate', '--what'], ['run', '--port', '65536'], ['run', '--port', 'x'], ['hash-key']]) {
      const { code, stdout } = await runCli(args);
      expect({ args, code, stdout }).toEqual({ args, code: 2, stdout: '' });
    }
  });
});
