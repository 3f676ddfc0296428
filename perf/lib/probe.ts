import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Bench } from './bench.ts';
import type { Target } from './target.ts';

/** What `fixtures/probe.mjs` writes each second, in each process. */
export interface ProbeLine {
  readonly atMs: number;
  readonly rssMb: number;
  readonly heapMb: number;
  readonly externalMb: number;
  /** Time spent collecting garbage since the process began. */
  readonly gcMs: number;
  /** Lateness of the event loop in this second, 99th percentile. */
  readonly loopP99Ms: number;
}

export interface Probe {
  /** For `GatewaySettings.env`. */
  readonly env: Readonly<Record<string, string>>;
  /** The seconds since the last call of each worker of the target, and of nobody else. */
  take(target: Target): ProbeLine[][];
}

const hook = new URL('../fixtures/probe.mjs', import.meta.url).href;

export function makeProbe(bench: Bench): Probe {
  const dir = join(bench.dir, 'probe');
  mkdirSync(dir, { recursive: true });
  const taken = new Map<string, number>();
  return {
    env: { NODE_OPTIONS: `--import=${hook}`, PERF_PROBE_DIR: dir },
    take(target) {
      const names = readdirSync(dir).filter((name) => name !== `${target.program.child.pid}.jsonl`);
      return names.map((name) => {
        const lines = linesOf(join(dir, name));
        const fresh = lines.slice(taken.get(name) ?? 0);
        taken.set(name, lines.length);
        return fresh;
      });
    },
  };
}

function linesOf(file: string): ProbeLine[] {
  const lines = readFileSync(file, 'utf8').split('\n');
  // Behind the last line end stands nothing, or a line that is being written.
  return lines.slice(0, -1).map((line) => JSON.parse(line) as ProbeLine);
}

/** Figures of the worker that fared worst. */
export function figuresOf(workers: readonly (readonly ProbeLine[])[]): Readonly<Record<string, number>> {
  const worst = (pick: (lines: readonly ProbeLine[]) => number): number =>
    Math.max(...workers.filter(({ length }) => length > 1).map(pick));
  const [first, last] = [0, -1] as const;
  return {
    gcPercent: worst((lines) => (100 * (member(lines, last).gcMs - member(lines, first).gcMs)) / spanMs(lines)),
    loopP99Ms: worst((lines) => Math.max(...lines.map(({ loopP99Ms }) => loopP99Ms))),
    heapMb: worst((lines) => Math.min(...lines.map(({ heapMb }) => heapMb))),
    heapPeakMb: worst((lines) => Math.max(...lines.map(({ heapMb }) => heapMb))),
    externalMb: worst((lines) => Math.max(...lines.map(({ externalMb }) => externalMb))),
  };
}

function member(lines: readonly ProbeLine[], at: number): ProbeLine {
  const line = lines.at(at);
  if (line === undefined) throw new Error('the probe wrote nothing');
  return line;
}

function spanMs(lines: readonly ProbeLine[]): number {
  return member(lines, -1).atMs - member(lines, 0).atMs;
}
