import { SEVERAL_NODES, type Store, type StoreReply } from '../core/store.ts';
import { decodeLeases, LEASE_SCRIPT, type LeaseCall, type LeaseReply, leaseArg, type LeaseResult } from './redis-script.ts';

/**
 * Steps in one call. A call costs this process several times what a step more costs; but Redis does nothing else meanwhile, and each waits for all.
 */
const MAX_STEPS = 32;

interface Step {
  readonly keys: readonly [string, string];
  readonly said: string;
  readonly answered: (reply: LeaseReply | null) => void;
  readonly refused: () => void;
}

/** Steps of buckets on their way to Redis: those of one turn of the event loop travel together, where one node is known to have all keys. */
export class RedisCalls {
  readonly #store: Store;
  #steps: Step[] = [];

  constructor(store: Store) {
    this.#store = store;
  }

  /**
   * Sends a step with the end of this turn. One of the two follows, later: `answered` (null: it came too late and changed nothing), or `refused`: whether it
   * was done is unknown. `keys`: bucket and epoch.
   */
  send(keys: Step['keys'], call: LeaseCall, answered: Step['answered'], refused: Step['refused']): void {
    this.#steps.push({ keys, said: leaseArg(call), answered, refused });
    if (this.#steps.length === 1) queueMicrotask(() => this.flush());
  }

  /** Sends what is there now. */
  flush(): void {
    const steps = this.#steps;
    this.#steps = [];
    const size = this.#store.takesAnyKeys ? MAX_STEPS : 1;
    for (let at = 0; at < steps.length; at += size) void this.#run(steps.slice(at, at + size));
  }

  async #run(steps: readonly Step[]): Promise<void> {
    const results = await this.#resultsOf(steps);
    if (results === 'split') return this.#runEach(steps);
    for (const [index, { answered, refused }] of steps.entries()) {
      const result = results[index] ?? null;
      if (result === 'failed') refused();
      else answered(result);
    }
  }

  /** `split`: nothing was done, because their keys lie on several nodes. */
  async #resultsOf(steps: readonly Step[]): Promise<readonly LeaseResult[] | 'split'> {
    try {
      return decodeLeases(await this.#reply(steps), steps.length);
    } catch (error) {
      if (steps.length > 1 && error instanceof Error && error.message === SEVERAL_NODES) return 'split';
      return steps.map(() => 'failed');
    }
  }

  async #reply(steps: readonly Step[]): Promise<StoreReply> {
    return await this.#store.run(
      LEASE_SCRIPT,
      steps.flatMap(({ keys }) => keys),
      steps.map(({ said }) => said),
    );
  }

  #runEach(steps: readonly Step[]): void {
    for (const step of steps) void this.#run([step]);
  }
}
