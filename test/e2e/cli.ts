import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { within } from './wait.ts';

export const REPOSITORY: string = join(import.meta.dirname, '..', '..');
/** The built program; everything here goes through it. */
export const MAIN: string = join(REPOSITORY, 'dist', 'src', 'main.js');

const CLI_TIMEOUT_MS = 20_000;

/** The environment of a child: nothing of `MCP_GUARD_*` leaks in from outside. */
export function cleanEnv(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const { PATH = '/usr/bin:/bin', HOME = '/', LANG = 'C.UTF-8' } = process.env;
  return { PATH, HOME, LANG, ...extra };
}

const folders: string[] = [];

/** A temporary folder that is removed after the test file. */
export async function tempDir(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'mcp-guard-test-'));
  folders.push(folder);
  return folder;
}

afterAll(async () => {
  await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true, force: true })));
});

export interface CliResult {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Written to stdin, which is closed in any case. */
  readonly input?: string;
  readonly timeoutMs?: number;
}

/** Fails early and plainly when the program was not built. */
export function builtMain(): string {
  if (!existsSync(MAIN)) throw new Error(`${MAIN} is missing: build first (npm run build)`);
  return MAIN;
}

/** Runs any program to its end, bounded in time, and collects what it printed. */
export async function runProgram(command: string, args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const child = spawn(command, args, { cwd: options.cwd ?? REPOSITORY, env: cleanEnv(options.env), stdio: 'pipe' });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');
  try {
    const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
    const [code, signal] = await within(closed, options.timeoutMs ?? CLI_TIMEOUT_MS, () => `${args.join(' ')}\n${stdout}\n${stderr}`);
    return { code, signal, stdout, stderr };
  } finally {
    child.kill('SIGKILL');
  }
}

/** `mcp-guard ARGS`. */
export async function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return await runProgram(process.execPath, [builtMain(), ...args], options);
}
