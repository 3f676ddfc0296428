import type { Readable, Writable } from 'node:stream';
import type { Clock } from '../core/clock.ts';

/** What a command may touch of the process; tests hand in their own. */
export interface CliIo {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly clock: Clock;
}

/** Options that stand before or behind any command. */
export interface Globals {
  /** As given, relative to `cwd`. */
  readonly config: string;
  /** Number of `-v` flags. */
  readonly verbosity: number;
}

/** Exit codes of every command. */
export const EXIT_OK = 0;
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
/** Of `check` only. */
export const EXIT_DENIED = 3;

/**
 * A failure that the user can mend: printed to stderr without a stack, and the command exits 1. One text becomes one
 * line with the program's name before it; several lines are printed as they are.
 */
export class CliError extends Error {
  readonly lines: readonly string[];

  constructor(text: string | readonly string[], options?: ErrorOptions) {
    super(typeof text === 'string' ? text : text.join('\n'), options);
    this.lines = typeof text === 'string' ? [`mcp-guard: ${text.replaceAll('\n', ' ')}`] : text;
  }
}

export function printLine(io: CliIo, line: string): void {
  io.stdout.write(`${line}\n`);
}

export function warnLine(io: CliIo, line: string): void {
  io.stderr.write(`mcp-guard: ${line}\n`);
}

/** Node's code of a failed system call, or an empty string. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

const MAX_PLAIN_LENGTH = 512;

/** Foreign text for a terminal: one line, no control or direction characters, cut where it gets silly. */
export function plain(text: string): string {
  return text.slice(0, MAX_PLAIN_LENGTH).replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '?');
}
