/**
 * Programs that read their arguments or their input as commands. `su` and `script` start the user's shell themselves.
 */
const SHELLS: ReadonlySet<string> = new Set([
  'sh',
  'bash',
  'rbash',
  'zsh',
  'rzsh',
  'fish',
  'csh',
  'tcsh',
  'ksh',
  'rksh',
  'mksh',
  'lksh',
  'oksh',
  'pdksh',
  'dash',
  'ash',
  'yash',
  'posh',
  'elvish',
  'nu',
  'xonsh',
  'cmd',
  'command',
  'powershell',
  'powershell_ise',
  'pwsh',
  'pwsh-preview',
  'su',
  'script',
]);

/** Programs that start the program named in their arguments. */
const WRAPPERS: ReadonlySet<string> = new Set([
  'env',
  'busybox',
  'toybox',
  'nice',
  'ionice',
  'chrt',
  'taskset',
  'nohup',
  'setsid',
  'timeout',
  'time',
  'stdbuf',
  'unbuffer',
  'expect',
  'sudo',
  'doas',
  'runuser',
  'gosu',
  'su-exec',
  'setpriv',
  'capsh',
  'chroot',
  'chpst',
  'unshare',
  'nsenter',
  'bwrap',
  'firejail',
  'prlimit',
  'xargs',
  'parallel',
  'find',
  'watch',
  'flock',
  'strace',
  'ltrace',
  'tini',
  'dumb-init',
  'catatonit',
  'systemd-run',
  'exec',
]);

/**
 * The shell that a command line would start, or null. Behind a wrapper every word of every argument counts, options and
 * their values included: rather a needless `allow_shell` than a wrapper option that was not foreseen.
 */
export function findShell(command: string, args: readonly string[]): string | null {
  const program = programName(command);
  if (isShell(program)) return program;
  if (!WRAPPERS.has(program) && !/^ld(-linux.*|-musl.*)?\.so/.test(program)) return null;
  for (const word of args.flatMap(wordsOf)) {
    const name = programName(word);
    if (isShell(name)) return `${name} behind ${program}`;
  }
  return null;
}

/** True for the file name of a shell, version suffixes (`bash-5.2`, `ksh93`) included. */
export function isShell(name: string): boolean {
  return SHELLS.has(name) || SHELLS.has(name.replace(/[-.]?\d[\d.]*$/, ''));
}

/** Lower-cased file name of a program, without `.exe` and the like. */
export function programName(command: string): string {
  const file = command.trim().split(/[/\\]/).at(-1) ?? '';
  return file.toLowerCase().replace(/\.(exe|com|bat|cmd)$/, '');
}

/** `env -S'bash -c x'` and `find -exec sh` hide a command in one argument; `NAME=value` is no command. */
function wordsOf(arg: string): string[] {
  const text = arg.replace(/^(-[A-Za-z0-9]*S|--[a-z-]+=)/, '');
  return text.split(/[\s;&|()'"]+/).filter((word) => word !== '' && !/^[A-Za-z_]\w*=/.test(word));
}
