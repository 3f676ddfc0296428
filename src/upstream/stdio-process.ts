import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import type { Clock } from '../core/clock.ts';
import { LineFramer } from './stdio-framing.ts';
import { StderrLines } from './stderr-lines.ts';

export interface ChildSpec {
  /** Absolute path of the program, and the name it is called by. */
  readonly path: string;
  readonly name: string;
  readonly args: readonly string[];
  readonly env: Record<string, string>;
  readonly cwd: string | null;
  readonly maxLineBytes: number;
}

export interface ChildListener {
  onLine(line: Buffer): void;
  onOversize(): void;
  onStderr(line: string): void;
  /** Once, when the child is gone or could not be started; nothing follows. */
  onGone(reason: string): void;
}

/** Bytes that may wait in front of a child that does not read, beside one message of any size. */
const MAX_STDIN_BYTES = 4 * 1024 * 1024;

/** After its exit a child's last output is read for as long at most: a grandchild may hold the pipe open. */
const LAST_OUTPUT_MS = 50;

const POLL_MS = 25;

/** Process groups alive: an exit that skipped `stop` must not leave them behind. */
const liveGroups = new Set<number>();
let isExitWatched = false;

/**
 * A child in its own process group, started without a shell. It ends with everything that it started; only a
 * descendant that made itself a session of its own escapes.
 */
export class StdioProcess {
  readonly #clock: Clock;
  readonly #listener: ChildListener;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #framer: LineFramer;
  readonly #stderr: StderrLines;
  #isGone = false;
  #isExited = false;
  #stopping: Promise<void> | null = null;

  constructor(spec: ChildSpec, clock: Clock, listener: ChildListener) {
    this.#clock = clock;
    this.#listener = listener;
    this.#framer = new LineFramer(spec.maxLineBytes, (line) => this.#onLine(line));
    this.#stderr = new StderrLines((line) => listener.onStderr(line));
    this.#child = spawn(spec.path, [...spec.args], {
      argv0: spec.name,
      env: spec.env,
      ...(spec.cwd === null ? {} : { cwd: spec.cwd }),
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
      shell: false,
      windowsHide: true,
    });
    if (this.#child.pid !== undefined) watchGroup(this.#child.pid);
    this.#listen();
  }

  /** Undefined when it could not be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** False when the child does not read what it was sent before: nothing was sent. */
  write(line: Buffer): boolean {
    const { stdin } = this.#child;
    if (this.#isGone || !stdin.writable) return false;
    if (stdin.writableLength > 0 && stdin.writableLength + line.length > MAX_STDIN_BYTES) return false;
    stdin.write(line);
    return true;
  }

  /**
   * Closes stdin, then SIGTERM, then SIGKILL to the whole group, a third of `graceMs` each for the first two (MCP
   * 2025-11-25, Lifecycle, Shutdown). Resolves when no process of the group is left, or after `graceMs`.
   */
  stop(graceMs: number): Promise<void> {
    this.#stopping ??= this.#stop(graceMs);
    return this.#stopping;
  }

  /** At once and with everything it started. */
  kill(reason: string): void {
    this.#signal('SIGKILL');
    this.#gone(reason);
  }

  #listen(): void {
    const child = this.#child;
    const clock = this.#clock;
    child.stdout.on('data', (chunk: Buffer) => this.#onStdout(chunk));
    child.stderr.on('data', (chunk: Buffer) => this.#stderr.push(chunk));
    child.stderr.on('end', () => this.#stderr.end());
    child.stdin.on('error', () => {});
    child.stdout.on('error', () => {});
    child.stderr.on('error', () => {});
    child.on('error', (error) => this.#onSpawnError(error));
    child.on('exit', (code, signal) => this.#onExit(code === null ? `ended by ${signal}` : `exited with code ${code}`));
    child.stdout.on('end', () => clock.after(LAST_OUTPUT_MS, () => this.#onOutputEnd()));
  }

  #onStdout(chunk: Buffer): void {
    if (this.#isGone || this.#framer.push(chunk)) return;
    this.#listener.onOversize();
    this.kill('sent a line over the limit');
  }

  #onLine(line: Buffer): void {
    if (!this.#isGone) this.#listener.onLine(line);
  }

  #onSpawnError(error: Error): void {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    if (this.#child.pid === undefined) this.#gone(`could not be started: ${code}`);
  }

  /** A child without output cannot answer any more. */
  #onOutputEnd(): void {
    if (!this.#isExited && !this.#isGone) this.kill('closed its output');
  }

  #onExit(reason: string): void {
    this.#isExited = true;
    // What it started must not outlive it; the polite signal first, unless a stop is already under way.
    if (this.#stopping === null) void this.#endGroup();
    this.#child.once('close', () => this.#gone(reason));
    this.#clock.after(LAST_OUTPUT_MS, () => this.#gone(reason));
  }

  #gone(reason: string): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#child.stdin.destroy();
    this.#child.stdout.destroy();
    this.#listener.onGone(reason);
  }

  async #stop(graceMs: number): Promise<void> {
    this.#child.stdin.end();
    if (!(await this.#groupEnds(graceMs / 3))) await this.#endGroup(graceMs / 3);
    this.#gone('stopped');
    this.#child.stderr.destroy();
  }

  async #endGroup(graceMs = 1000): Promise<void> {
    this.#signal('SIGTERM');
    if (await this.#groupEnds(graceMs)) return;
    this.#signal('SIGKILL');
    await this.#groupEnds(graceMs);
  }

  async #groupEnds(withinMs: number): Promise<boolean> {
    const untilMs = this.#clock.nowMs() + withinMs;
    while (this.#signal(0)) {
      if (this.#clock.nowMs() >= untilMs) return false;
      await new Promise<void>((resolve) => this.#clock.after(POLL_MS, resolve));
    }
    return true;
  }

  /** False when nobody of the group is left. */
  #signal(signal: NodeJS.Signals | 0): boolean {
    const { pid } = this.#child;
    return pid !== undefined && liveGroups.has(pid) && signalGroup(pid, signal, this.#isExited);
  }
}

function watchGroup(pid: number): void {
  liveGroups.add(pid);
  if (isExitWatched) return;
  isExitWatched = true;
  process.once('exit', () => {
    for (const group of liveGroups) signalGroup(group, 'SIGKILL', false);
  });
}

function signalGroup(pid: number, signal: NodeJS.Signals | 0, isLeaderGone: boolean): boolean {
  try {
    process.kill(-pid, signal);
    return true;
  } catch {
    if (isLeaderGone) liveGroups.delete(pid);
    return false;
  }
}
