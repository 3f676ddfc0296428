import { accessSync, constants, realpathSync, statSync } from 'node:fs';
import { basename, delimiter, isAbsolute, join, resolve } from 'node:path';
import type { StdioSettings } from '../core/config.ts';
import { findShell, isShell } from './shell.ts';

/** The variables that children inherit, when the gateway has them. */
const INHERITED: readonly string[] = ['PATH', 'HOME', 'LANG'];

type Env = Readonly<Record<string, string | undefined>>;

/** All that the child will see: the configured variables over a minimal PATH, HOME and LANG. */
export function childEnv(settings: StdioSettings, baseEnv: Env): Record<string, string> {
  const env: Record<string, string> = {};
  for (const name of INHERITED) {
    const value = baseEnv[name];
    if (value !== undefined) env[name] = value;
  }
  return { ...env, ...settings.env };
}

/** Absolute path of the program that would be started, or null: searched as `execvp` does, in the child's own PATH. */
export function resolveCommand(settings: StdioSettings, baseEnv: Env): string | null {
  const { command } = settings;
  const cwd = resolve(settings.cwd ?? '.');
  if (command === '' || command.includes('\0')) return null;
  if (command.includes('/')) return executable(isAbsolute(command) ? command : join(cwd, command));
  for (const folder of (childEnv(settings, baseEnv)['PATH'] ?? '').split(delimiter)) {
    const found = executable(resolve(cwd, folder, command));
    if (found !== null) return found;
  }
  return null;
}

/** Whether the command of a stdio server can be found; asked before a single-upstream gateway starts. */
export function commandExists(settings: StdioSettings, baseEnv: Env): boolean {
  return resolveCommand(settings, baseEnv) !== null;
}

/**
 * Why this command line must not be started, or null. With `path`, what it links to counts as well, so that a shell under
 * another name stays a shell.
 */
export function refuseCommand(settings: StdioSettings, path: string | null): string | null {
  if (settings.isShellAllowed) return null;
  const shell = findShell(settings.command, settings.args) ?? (path === null ? null : shellTarget(path));
  return shell === null ? null : `${shell} is a shell; set allow_shell = true on this server to permit it`;
}

function shellTarget(path: string): string | null {
  const target = basename(realpathSync(path));
  return isShell(target) ? target : null;
}

function executable(path: string): string | null {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile() ? path : null;
  } catch {
    return null;
  }
}
