import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { atExit } from './at-exit.ts';

const KEPT_OUTPUT_BYTES = 16_384;
const READY_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 12_000;

/** A program under measurement, with all its descendants. */
export interface Program {
  readonly name: string;
  readonly child: ChildProcess;
  /** The end of what it printed, for when it fails. */
  readonly output: () => string;
  /** Whether a descendant's command line is that of the program itself, and not of a server that it started. */
  readonly isOwn: (command: string) => boolean;
}

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly isOwn?: (command: string) => boolean;
}

/** Starts a program in a process group of its own, whose output is kept (its end), and which dies with us. */
export function start(name: string, command: string, args: readonly string[], options: StartOptions = {}): Program {
  const { cwd, isOwn = () => true } = options;
  const env = { ...process.env, ...options.env };
  const child = spawn(command, args, { stdio: 'pipe', detached: true, env, ...(cwd === undefined ? {} : { cwd }) });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (text = (text + chunk.toString()).slice(-KEPT_OUTPUT_BYTES)));
  child.stdin.on('error', () => undefined);
  child.on('error', (error) => (text += error.message));
  const forget = atExit(() => killGroup(child));
  child.once('exit', () => {
    killGroup(child);
    forget();
  });
  return { name, child, output: () => text, isOwn };
}

/** Ends it politely, then by force. */
export async function stop({ child }: Program): Promise<void> {
  if (hasEnded(child)) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const force = setTimeout(() => killGroup(child), STOP_TIMEOUT_MS);
  await ended;
  clearTimeout(force);
}

/** Asks every `askMs` until the condition holds; throws with the program's output when it ends or the time has passed, 30 s by default. */
export async function until(
  program: Program,
  holds: () => boolean | Promise<boolean>,
  askMs = 50,
  timeoutMs: number = READY_TIMEOUT_MS,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (hasEnded(program.child) || performance.now() > deadline)
      throw new Error(`${program.name} ${hasEnded(program.child) ? 'ended' : 'is not ready'}:\n${program.output()}`);
    await sleep(askMs);
  }
}

/** Runs a helper to its end; resolves with what it printed, throws when it fails. */
export async function finish(program: Program): Promise<string> {
  let stdout = '';
  program.child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  const [code] = (await once(program.child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${program.name} failed:\n${program.output()}`);
  return stdout;
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** True when the address answers 200. */
export async function isAnswering(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).status === 200;
  } catch {
    return false;
  }
}

/** How it ended, with the end of its output; null while it runs. */
export function obituary({ name, child, output }: Program): string | null {
  return hasEnded(child) ? `${name} ended (${child.signalCode ?? `code ${child.exitCode}`}):\n${output()}` : null;
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
}

function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // Nobody of the group is left.
  }
}
