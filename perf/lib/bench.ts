import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atExit } from './at-exit.ts';
import type { Measured } from './figures.ts';
import type { Options } from './options.ts';
import { obituary, stop } from './process.ts';
import type { Program } from './process.ts';

/** A build of the gateway: ours first, then the one it is compared with. */
export interface Build {
  /** Name of its targets: `gateway`, or `gateway@<ref>`. */
  readonly name: string;
  /** Its compiled `main.js`. */
  readonly main: string;
}

export interface BenchSettings {
  readonly options: Options;
  readonly builds: readonly Build[];
  /** Variables for every gateway: a profiling run sets `NODE_OPTIONS`. */
  readonly gatewayEnv: Readonly<Record<string, string>>;
  /** Worker processes of gateway and nginx, where a scenario does not say otherwise. */
  readonly workers: number;
  say(text: string): void;
}

/** What a scenario works with, and what it leaves: figures and notes. Made for one scenario, and closed behind it. */
export class Bench {
  readonly settings: BenchSettings;
  /** A folder of its own, gone afterwards. */
  readonly dir: string;
  readonly notes: string[] = [];
  readonly #forget: () => void;
  readonly #programs: Program[] = [];
  readonly #measured: Record<string, Record<string, number[]>> = {};

  private constructor(settings: BenchSettings, dir: string) {
    this.settings = settings;
    this.dir = dir;
    this.#forget = atExit(() => rmSync(dir, { recursive: true, force: true }));
  }

  static async open(settings: BenchSettings): Promise<Bench> {
    return new Bench(settings, await mkdtemp(join(tmpdir(), 'mcp-guard-perf-')));
  }

  /** Rounds to measure: the scenario's own number, unless the run says otherwise. */
  rounds(own: number): number {
    const { rounds, isQuick } = this.settings.options;
    return rounds ?? (isQuick ? 1 : own);
  }

  secs(own: number): number {
    const { secs, isQuick } = this.settings.options;
    return secs ?? (isQuick ? 1 : own);
  }

  /** Load before the first round, so that no figure is that of code not compiled yet. */
  get warmUpSecs(): number {
    return this.settings.options.isQuick ? 2 : 5;
  }

  /** The smaller number in quick runs. */
  scaled(own: number, quick: number): number {
    return this.settings.options.isQuick ? quick : own;
  }

  say(text: string): void {
    this.settings.say(text);
  }

  /** A sentence for the report: what a figure does not say. */
  note(text: string): void {
    if (!this.notes.includes(text)) this.notes.push(text);
  }

  /** The program ends with the scenario, or before, by `stop`. */
  keep(program: Program): Program {
    this.#programs.push(program);
    return program;
  }

  record(target: string, figures: Readonly<Record<string, number>>): void {
    const series = (this.#measured[target] ??= {});
    for (const [figure, value] of Object.entries(figures)) (series[figure] ??= []).push(value);
  }

  /** What became of programs that should still be running: often the reason why an answer was wrong. */
  obituaries(): string[] {
    return this.#programs.map(obituary).filter((text) => text !== null);
  }

  get measured(): Measured {
    return this.#measured;
  }

  /** Ends every program, the last started first; also after a failure. */
  async close(): Promise<void> {
    for (const program of this.#programs.toReversed()) await stop(program);
    await rm(this.dir, { recursive: true, force: true });
    this.#forget();
  }
}

/** Rounds in turn, each beginning with another one, so that a drift of the machine meets all alike. */
export async function interleave<T>(rounds: number, items: readonly T[], step: (item: T, round: number) => Promise<void>): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const first = round % items.length;
    for (const item of [...items.slice(first), ...items.slice(0, first)]) await step(item, round);
  }
}
