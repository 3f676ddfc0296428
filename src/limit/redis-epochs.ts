import type { Clock, Timer } from '../core/clock.ts';
import { SEVERAL_NODES, type Store } from '../core/store.ts';
import { bucketKeys, epochKey, TAG_COUNT } from './redis-keys.ts';
import { LEASE_SCRIPT, leaseArg, TOUCH_SCRIPT } from './redis-script.ts';

const BEGIN_MS = 25;
const TOUCHES_PER_TURN = 16;

/** What is asked of the script before anybody waits for it: nothing, of a bucket of its own. */
const NOTHING = { perSecond: 1, burst: 1, want: 0, atLeast: 1, have: 0, back: 0, debt: 0, deadAfterMs: 1000, target: 1 };

/**
 * Begins the epoch of every tag as soon as the store is there: buckets that are unknown then are worth what passes from here on.
 * Does the same a few tags at a time later, for those that were lost.
 */
export class RedisEpochs {
  readonly #store: Store;
  readonly #prefix: string;
  readonly #holder: string;
  readonly #beginning: Timer;
  #next = 0;

  constructor(store: Store, clock: Clock, prefix: string, holder: string) {
    this.#store = store;
    this.#prefix = prefix;
    this.#holder = holder;
    this.#beginning = clock.every(BEGIN_MS, () => this.#begin());
  }

  /** In one call where one node is known to have all keys. Rejects when the store does not answer to all of them. */
  async touch(tags: readonly number[]): Promise<void> {
    const keys = tags.map((tag) => epochKey(this.#prefix, tag));
    if (keys.length > 1 && !this.#store.takesAnyKeys) return await this.#touchEach(keys);
    try {
      await this.#store.run(TOUCH_SCRIPT, keys, []);
    } catch (error) {
      if (keys.length === 1 || !(error instanceof Error) || error.message !== SEVERAL_NODES) throw error;
      await this.#touchEach(keys);
    }
  }

  async #touchEach(keys: readonly string[]): Promise<void> {
    await Promise.all(keys.map((key) => this.#store.run(TOUCH_SCRIPT, [key], [])));
  }

  /** The tags whose turn it is. */
  turn(): readonly number[] {
    const first = this.#next;
    this.#next = (first + TOUCHES_PER_TURN) % TAG_COUNT;
    return Array.from({ length: TOUCHES_PER_TURN }, (_, at) => (first + at) % TAG_COUNT);
  }

  close(): void {
    this.#beginning.cancel();
  }

  #begin(): void {
    if (this.#store.state !== 'ready') return;
    this.close();
    this.#warmUp().catch(() => undefined);
  }

  /** The first calls of a connection load scripts, and those of a process compile the way to them: slower than anybody may wait. */
  async #warmUp(): Promise<void> {
    await this.touch([0]);
    await this.#askNothing(0);
    for (let tag = 0; tag < TAG_COUNT; tag++) {
      await Promise.all([this.touch([tag]), this.#askNothing(tag)]);
    }
  }

  async #askNothing(number: number): Promise<void> {
    const { keys } = bucketKeys(this.#prefix, `nothing ${number}`);
    await this.#store.run(LEASE_SCRIPT, keys, [leaseArg({ ...NOTHING, holder: this.#holder, number: number + 1 })]);
  }
}
