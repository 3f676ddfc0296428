import { readdir, readFile } from 'node:fs/promises';

/** `/proc/<pid>/stat` counts pages. */
const PAGE_BYTES = 4096;
/** Fields behind the command name, which may itself hold spaces and parentheses (proc(5)). */
const GROUP_FIELD = 2;
const PAGES_FIELD = 21;
/** Processes read at a time. */
const AT_ONCE = 32;

/**
 * Resident memory of process groups, by their leader's id: a child is often only the launcher of what grows. Memory that
 * processes share counts in each. Linux; empty elsewhere.
 */
export async function groupMemory(groups: readonly number[]): Promise<ReadonlyMap<number, number>> {
  const sums = new Map<number, number>();
  if (groups.length === 0) return sums;
  const wanted = new Set(groups);
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  for (let at = 0; at < pids.length; at += AT_ONCE) {
    const found = await Promise.all(pids.slice(at, at + AT_ONCE).map((pid) => memoryOf(pid)));
    for (const one of found) if (one !== null && wanted.has(one.group)) sums.set(one.group, (sums.get(one.group) ?? 0) + one.bytes);
  }
  return sums;
}

/** Null for a process that has ended meanwhile. */
async function memoryOf(pid: string): Promise<{ readonly group: number; readonly bytes: number } | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const group = Number(fields[GROUP_FIELD]);
  const bytes = Number(fields[PAGES_FIELD]) * PAGE_BYTES;
  return Number.isFinite(bytes) && group > 0 ? { group, bytes } : null;
}
