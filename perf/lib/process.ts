import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

const TICK_US = 10_000;

/** A program under measurement, with all its descendants. */
export interface Program {
  readonly name: string;
  readonly child: ChildProcess;
  /** What it printed, for when it fails. */
  output(): string;
}

/** Starts a program whose output is kept (the last 16 KB) and which dies with us. */
export function start(name: string, command: string, args: readonly string[]): Program {
  const child = spawn(command, args, { stdio: 'pipe' });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => (text = (text + chunk.toString()).slice(-16_384)));
  child.on('error', (error) => (text += error.message));
  process.once('exit', () => child.kill('SIGKILL'));
  return { name, child, output: () => text };
}

/** Ends it politely, then by force. */
export async function stop({ child }: Program): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const force = setTimeout(() => child.kill('SIGKILL'), 12_000);
  await ended;
  clearTimeout(force);
}

/** Asks until the condition holds; throws with the program's output when it ends or 15 s pass. */
export async function until(program: Program, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 15_000;
  while (!(await holds())) {
    const hasEnded = program.child.exitCode !== null || program.child.pid === undefined;
    if (hasEnded || performance.now() > deadline)
      throw new Error(`${program.name} ${hasEnded ? 'ended' : 'is not ready'}:\n${program.output()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
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

/** CPU time that the program and its descendants have used so far, in microseconds; Linux only. */
export function cpuUs({ child }: Program): number {
  const stats = readdirSync('/proc').flatMap((entry) => (/^\d+$/.test(entry) ? readStat(entry) : []));
  const family = new Set([child.pid]);
  // Parents come before their children in most, not all, listings: repeat until nobody is added.
  for (let size = 0; size !== family.size; ) {
    size = family.size;
    for (const { pid, parent } of stats) if (family.has(parent)) family.add(pid);
  }
  return stats.reduce((sum, { pid, ticks }) => sum + (family.has(pid) ? ticks * TICK_US : 0), 0);
}

function readStat(pid: string): { pid: number; parent: number; ticks: number }[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // Behind the command's name, which may hold spaces: state, parent …, user and system ticks.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return [{ pid: Number(pid), parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) }];
  } catch {
    return [];
  }
}
