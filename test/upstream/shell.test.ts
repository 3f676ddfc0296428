import { describe, expect, it } from 'vitest';
import { findShell } from '../../src/upstream/shell.ts';

const SHELLS: readonly (readonly [string, ...string[]])[] = [
  ['sh', '-c', 'x'],
  ['bash'],
  ['/bin/bash', '-c', 'x'],
  ['/usr/bin/zsh'],
  ['./fish'],
  ['csh'],
  ['tcsh'],
  ['ksh93'],
  ['dash'],
  ['ash'],
  ['BASH'],
  ['bash-5.2'],
  ['cmd'],
  ['cmd.exe', '/c', 'x'],
  ['C:\\Windows\\System32\\CMD.EXE', '/c'],
  ['powershell.exe'],
  ['pwsh', '-Command', 'x'],
  ['env', 'bash', '-c', 'x'],
  ['/usr/bin/env', '-i', 'PATH=/bin', '/bin/sh'],
  ['env', '-u', 'HOME', 'sh'],
  ['env', '-S', 'bash -c x'],
  ['env', '-Sbash -c x'],
  ['env', '-iS', 'FOO=1 sh -c x'],
  ['env', '--split-string=sh -c x'],
  ['env', '--', 'dash'],
  ['busybox', 'sh', '-c', 'x'],
  ['busybox', 'ash'],
  ['toybox', 'sh'],
  ['nice', '-n', '5', 'bash'],
  ['nohup', 'sh'],
  ['timeout', '-k', '5', '10s', 'bash'],
  ['timeout', '10', 'env', 'X=1', 'busybox', 'sh'],
  ['setsid', 'sh'],
  ['stdbuf', '-oL', 'sh'],
  ['sudo', '-u', 'nobody', 'bash'],
  ['xargs', 'sh', '-c', 'x'],
  ['find', '.', '-exec', 'sh', '-c', 'x', ';'],
  ['strace', '-f', '/bin/dash'],
  ['/lib64/ld-linux-x86-64.so.2', '/bin/bash'],
  ['su', '-c', 'x'],
];

const PROGRAMS: readonly (readonly [string, ...string[]])[] = [
  ['node', 'server.js'],
  ['npx', '-y', '@modelcontextprotocol/server-filesystem', '/data & more', '$HOME', '{"a":"sh"}'],
  ['python3', '-m', 'server', 'bash'],
  ['/opt/bash-language-server/bin/server'],
  ['bash-language-server', 'start'],
  ['shfmt'],
  ['env', 'SHELL=/bin/bash', 'node', 'server.js'],
  ['timeout', '60', 'node', 'server.js', '--name=shell'],
  ['docker', 'run', '-i', 'image'],
];

describe('findShell', () => {
  it.each(SHELLS)('finds the shell in %s %s %s', (command, ...args) => {
    expect(findShell(command, args)).toEqual(expect.any(String));
  });

  it.each(PROGRAMS)('finds none in %s %s %s', (command, ...args) => {
    expect(findShell(command, args)).toBeNull();
  });
});
