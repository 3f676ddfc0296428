import type { ServerStderr, StderrLine } from '../core/messages.ts';

/** Lines shown of each server. */
const SHOWN_LINES = 100;

/** What all workers' children of the same server wrote last, oldest first. */
export function mergeStderr(answers: readonly (readonly ServerStderr[])[]): ServerStderr[] {
  const byServer = new Map<string, StderrLine[]>();
  for (const { server, lines } of answers.flat()) byServer.set(server, [...(byServer.get(server) ?? []), ...lines]);
  return Array.from(byServer, ([server, lines]) => ({ server, lines: newest(lines) }));
}

/** The sort is stable: lines of one child and the same millisecond stay in order. */
function newest(lines: readonly StderrLine[]): StderrLine[] {
  return lines.toSorted((one, other) => one.wallMs - other.wallMs).slice(-SHOWN_LINES);
}
