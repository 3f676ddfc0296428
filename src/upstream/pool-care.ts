import type { Clock, Timer } from '../core/clock.ts';
import type { PoolSettings } from '../core/config.ts';
import { groupMemory } from './group-memory.ts';
import { type PoolChild, TASK_GRACE_MS } from './pool-child.ts';

/** How often idle children and sizes are looked at. */
const LOOK_MS = 1000;
/** How many looks at idle children to one at sizes. */
const LOOKS_PER_MEASURE = 5;
/** So many times too large, a child is ended whatever it has begun. */
const MUCH_TOO_LARGE = 2;

export interface PoolCareHost {
  readonly list: readonly PoolChild[];
  /** Nobody needs it to be there, and nobody listens to it. */
  isSpare(child: PoolChild): boolean;
  retire(child: PoolChild): void;
}

/** Looks after the children of a pool: those that are idle for long, or worn, end; one that has tasks to finish a while later. */
export class PoolCare {
  readonly #pool: PoolSettings;
  readonly #clock: Clock;
  readonly #host: PoolCareHost;
  #looks = 0;
  #looking: Timer | null = null;

  constructor(pool: PoolSettings, clock: Clock, host: PoolCareHost) {
    this.#pool = pool;
    this.#clock = clock;
    this.#host = host;
  }

  /** There are children. */
  start(): void {
    this.#looking ??= this.#clock.every(LOOK_MS, () => this.#look());
  }

  stop(): void {
    this.#looking?.cancel();
    this.#looking = null;
  }

  /** A call has begun at it. */
  wear(child: PoolChild): void {
    const { recycleCalls } = this.#pool;
    if (recycleCalls === 0 || child.calls < recycleCalls) return;
    child.wear();
    if (child.mayEnd(this.#clock.nowMs(), TASK_GRACE_MS)) child.isRetiring = true;
  }

  /** Whether a worn child that works on nothing ends: the last call may have become a task. */
  mayRetire(child: PoolChild): boolean {
    if (!child.isWorn || child.mayEnd(this.#clock.nowMs(), TASK_GRACE_MS)) return true;
    child.isRetiring = false;
    return false;
  }

  #look(): void {
    const { list } = this.#host;
    if (list.length === 0) return this.stop();
    const nowMs = this.#clock.nowMs();
    for (const child of list) {
      if (child.isRetiring) continue;
      // Asked of one without tasks, the wait that an earlier shortage began is over.
      const mayEnd = (child.isWorn || !child.hasTasks) && child.mayEnd(nowMs, TASK_GRACE_MS);
      if (child.isWorn ? mayEnd : this.#isIdle(child, nowMs)) this.#host.retire(child);
    }
    this.#looks += 1;
    if (this.#looks % LOOKS_PER_MEASURE === 0) void this.#measure();
  }

  #isIdle(child: PoolChild, nowMs: number): boolean {
    const graceMs = child.hasTasks ? TASK_GRACE_MS : 0;
    return child.isIdle && child.lastUsedMs <= nowMs - this.#pool.idleMs - graceMs && this.#host.isSpare(child);
  }

  async #measure(): Promise<void> {
    const { list } = this.#host;
    const bytes = await groupMemory(list.flatMap(({ upstream }) => upstream.pids));
    const { recycleBytes } = this.#pool;
    for (const child of list) {
      const [pid] = child.upstream.pids;
      child.residentBytes = pid === undefined ? null : (bytes.get(pid) ?? null);
      const size = child.residentBytes ?? 0;
      if (recycleBytes === 0 || size <= recycleBytes || child.isRetiring) continue;
      child.wear();
      if (size > MUCH_TOO_LARGE * recycleBytes) child.forgo();
      if (child.mayEnd(this.#clock.nowMs(), TASK_GRACE_MS)) this.#host.retire(child);
    }
  }
}
