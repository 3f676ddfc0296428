import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { childEnv, commandExists, refuseCommand, resolveCommand } from '../../src/upstream/command.ts';
import { stdioSettings } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'upstream-command-'));
writeFileSync(join(folder, 'tool'), '#!/usr/bin/env node\n', { mode: 0o755 });
writeFileSync(join(folder, 'data'), '', { mode: 0o644 });
symlinkSync('/bin/sh', join(folder, 'innocent'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('childEnv', () => {
  it('holds PATH, HOME and LANG of the gateway and what is configured, nothing else', () => {
    const base = { PATH: '/bin', HOME: '/home/x', LANG: 'C', AWS_SECRET_ACCESS_KEY: 'secret', NODE_OPTIONS: '--x', MCP_GUARD_X: 'y' };
    expect(childEnv(stdioSettings({ env: { TOKEN: 't', HOME: '/srv' } }).stdio, base)).toEqual({
      PATH: '/bin',
      HOME: '/srv',
      LANG: 'C',
      TOKEN: 't',
    });
  });
});

describe('resolveCommand', () => {
  it('searches the PATH that the child will have', () => {
    expect(resolveCommand(stdioSettings({ command: 'tool', env: { PATH: `/nonexistent:${folder}` } }).stdio, {})).toBe(
      join(folder, 'tool'),
    );
    expect(resolveCommand(stdioSettings({ command: 'tool' }).stdio, { PATH: folder })).toBe(join(folder, 'tool'));
    expect(resolveCommand(stdioSettings({ command: 'tool', env: { PATH: '/nonexistent' } }).stdio, { PATH: folder })).toBeNull();
  });

  it('takes a relative path from the working directory of the child', () => {
    expect(resolveCommand(stdioSettings({ command: './tool', cwd: folder }).stdio, {})).toBe(join(folder, 'tool'));
  });

  it('finds neither folders, nor files that cannot be executed, nor nothing', () => {
    const exists = (command: string): boolean => commandExists(stdioSettings({ command }).stdio, { PATH: folder });
    expect(['data', folder, 'missing', '', 'tool\0'].map(exists)).toEqual([false, false, false, false, false]);
    expect(exists('tool')).toBe(true);
  });
});

describe('refuseCommand', () => {
  it('names the shell and the switch', () => {
    expect(refuseCommand(stdioSettings({ command: 'bash' }).stdio, null)).toMatch(/bash.*allow_shell/);
    expect(refuseCommand(stdioSettings({ command: 'bash', isShellAllowed: true }).stdio, null)).toBeNull();
  });

  it('sees a shell behind another name', () => {
    const { stdio } = stdioSettings({ command: join(folder, 'innocent') });
    expect(refuseCommand(stdio, resolveCommand(stdio, {}))).toContain('allow_shell');
  });
});
