import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench } from './bench.ts';
import { checked } from './closed-loop.ts';
import type { RequestPlan } from './plan.ts';
import { writeLuaPlan } from './plan.ts';
import type { Target } from './target.ts';
import { exactCpuUs, ownRssMb } from './usage.ts';
import { startWrk } from './wrk.ts';
import type { Loading } from './wrk.ts';

/** Short, beside the waves in which a machine that others share gives more and less. */
const TURN_MS = 250;
/** Until a generator has made its connections. */
const BEGIN_MS = 50;
/** Until the last requests of a turn are answered. */
const SETTLE_MS = 12;
/** The turns end so long before the first generator does, and the last one so long after it at most. */
const SPARE_MS = 500;
const CONNECTIONS = 32;
/** Longer than a generator stands still: what is answered meanwhile it reads afterwards. */
const TIMEOUT_SECS = 60;

/** A target and its generator, which stands still but for its turns. */
class Player {
  readonly #target: Target;
  readonly #loading: Loading;
  #cpuUs: number;
  #loadedMs = 0;

  private constructor(target: Target, planFile: string, secs: number) {
    this.#target = target;
    this.#cpuUs = -exactCpuUs(target.program);
    this.#loading = startWrk(target, planFile, CONNECTIONS, secs, TIMEOUT_SECS);
    // Told by `end`, unless another's failure comes first.
    this.#loading.load.catch(() => undefined);
  }

  static async begin(target: Target, planFile: string, secs: number): Promise<Player> {
    const player = new Player(target, planFile, secs);
    await player.#load(BEGIN_MS);
    return player;
  }

  async play(): Promise<void> {
    this.#cpuUs -= exactCpuUs(this.#target.program);
    this.#loading.program.child.kill('SIGCONT');
    await this.#load(TURN_MS);
  }

  async #load(ms: number): Promise<void> {
    const startMs = performance.now();
    await sleep(ms);
    this.#loadedMs += performance.now() - startMs;
    this.#loading.program.child.kill('SIGSTOP');
    await sleep(SETTLE_MS);
    this.#cpuUs += exactCpuUs(this.#target.program);
  }

  /** Nothing is left standing still. */
  dismiss(): void {
    this.#loading.program.child.kill('SIGKILL');
  }

  /** Lets the generator end, whose time is over. */
  async end(): Promise<Readonly<Record<string, number>>> {
    this.#cpuUs -= exactCpuUs(this.#target.program);
    this.#loading.program.child.kill('SIGCONT');
    const load = await this.#loading.load;
    this.#cpuUs += exactCpuUs(this.#target.program);
    checked(this.#target, load);
    const rss = ownRssMb(this.#target.program);
    return {
      requestsPerSec: (load.requests / this.#loadedMs) * 1_000,
      cpuUsPerRequest: this.#cpuUs / load.requests,
      generatorCpuUsPerRequest: load.generatorCpuUs / load.requests,
      rssMb: rss.totalMb,
      rssMbPerWorker: rss.workerMb,
      errors: load.wrong + load.failed,
    };
  }
}

/**
 * Loads the targets by turns of a quarter of a second, about `secs` each in all: generators stand still (SIGSTOP) while it is another's turn, and keep their connections. So a machine
 * that is now fast and now slow is so for all alike, and what they differ by is known several times as well as from rounds of some seconds. Throws as `closedLoopRound`.
 * Times to an answer mean nothing here, and are not told.
 * @param first whose turn is the first
 * @returns figures of each target, in their order
 */
export async function loadByTurns(
  bench: Bench,
  targets: readonly Target[],
  plan: RequestPlan,
  secs: number,
  first = 0,
): Promise<Readonly<Record<string, number>>[]> {
  const wholeSecs = Math.ceil(secs * targets.length);
  const planFiles: string[] = [];
  for (const target of targets) planFiles.push(await writeLuaPlan(bench.dir, target, plan));
  const endMs = performance.now() + wholeSecs * 1_000 - SPARE_MS;
  const players: Player[] = [];
  try {
    for (const [at, target] of targets.entries()) players.push(await Player.begin(target, planFiles[at] ?? '', wholeSecs));
    for (let turn = first; performance.now() < endMs; turn++) await players[turn % players.length]?.play();
    await sleep(2 * SPARE_MS);
    const figures: Readonly<Record<string, number>>[] = [];
    for (const player of players) figures.push(await player.end());
    return figures;
  } finally {
    for (const player of players) player.dismiss();
  }
}
