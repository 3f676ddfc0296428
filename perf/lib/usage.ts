import { readFileSync, readdirSync } from 'node:fs';
import type { Program } from './process.ts';

/** Linux counts processor time in hundredths of a second for everybody who reads `/proc` (USER_HZ). */
const TICK_US = 10_000;

/** A living process of a program, as Linux knows it. */
export interface ProcessUsage {
  readonly pid: number;
  readonly command: string;
  /** Processor time used so far, user and system. */
  readonly cpuUs: number;
  readonly rssKb: number;
  /** Not a server that the program started. */
  readonly isOwn: boolean;
}

interface Stat {
  readonly pid: number;
  readonly parent: number;
  readonly ticks: number;
}

/** The program's process and all its descendants. */
export function usageOf({ child, isOwn }: Program): ProcessUsage[] {
  const stats = readdirSync('/proc').flatMap((entry) => (/^\d+$/.test(entry) ? readStat(entry) : []));
  const family = new Set([child.pid]);
  // Parents come before their children in most, not all, listings: repeat until nobody is added.
  for (let size = 0; size !== family.size; ) {
    size = family.size;
    for (const { pid, parent } of stats) if (family.has(parent)) family.add(pid);
  }
  return stats
    .filter(({ pid }) => family.has(pid))
    .map(({ pid, ticks }) => {
      const command = readProc(pid, 'cmdline').replaceAll('\0', ' ').trim();
      const rssKb = Number(/^VmRSS:\s+(\d+)/m.exec(readProc(pid, 'status'))?.[1] ?? 0);
      return { pid, command, cpuUs: ticks * TICK_US, rssKb, isOwn: pid === child.pid || isOwn(command) };
    });
}

/** Processor time that the program's own processes have used so far. */
export function ownCpuUs(program: Program): number {
  return usageOf(program).reduce((sum, { isOwn, cpuUs }) => sum + (isOwn ? cpuUs : 0), 0);
}

/** The same to the microsecond, of those of its threads that are there. */
export function exactCpuUs(program: Program): number {
  let sumNs = 0;
  for (const { pid, isOwn } of usageOf(program)) {
    if (!isOwn) continue;
    for (const thread of threadsOf(pid)) sumNs += Number(readProc(pid, `task/${thread}/schedstat`).split(' ', 1)[0]);
  }
  return sumNs / 1_000;
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

/** Processor time of the servers that the program started. */
export function childrenCpuUs(program: Program): number {
  return usageOf(program).reduce((sum, { isOwn, cpuUs }) => sum + (isOwn ? 0 : cpuUs), 0);
}

/** Resident memory of the program's own processes: together, and of the largest of the workers. */
export function ownRssMb(program: Program): { readonly totalMb: number; readonly workerMb: number } {
  const own = usageOf(program).filter(({ isOwn }) => isOwn);
  const workers = own.filter(({ pid }) => own.length === 1 || pid !== program.child.pid);
  return {
    totalMb: own.reduce((sum, { rssKb }) => sum + rssKb, 0) / 1024,
    workerMb: Math.max(0, ...workers.map(({ rssKb }) => rssKb)) / 1024,
  };
}

function readStat(pid: string): Stat[] {
  const text = readProc(Number(pid), 'stat');
  if (text === '') return [];
  // Behind the command's name, which may hold spaces: state, parent …, user and system ticks.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return [{ pid: Number(pid), parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) }];
}

/** Empty when the process has ended meanwhile. */
function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
