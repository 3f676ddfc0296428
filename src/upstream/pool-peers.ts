import type { ChildEra } from '../core/mesh.ts';
import type { PooledDeps } from './pool-deps.ts';
import { ownerOf } from './pool-seats.ts';

export interface PoolPeersOptions extends Pick<PooledDeps, 'worker' | 'workers' | 'seatHolders' | 'desk'> {
  readonly server: string;
  readonly isShared: boolean;
  /** Whether that worker's children of this kind do not work, as far as it has told. */
  isDown(slot: number, era: ChildEra): boolean;
}

/** The other workers that may have a child of this server, and which of them have none that is free. */
export class PoolPeers {
  readonly #options: PoolPeersOptions;
  /** That found no free child here, to be told of one. */
  readonly #turnedAway = new Set<number>();
  /** That were tried in vain. */
  readonly #busy = new Set<number>();
  #turn = 0;

  constructor(options: PoolPeersOptions) {
    this.#options = options;
  }

  /** For this key. */
  candidates(key: string): number[] {
    const { server, worker, workers, seatHolders, isShared } = this.#options;
    const slots = isShared ? seatHolders : [ownerOf(server, key, workers)];
    return slots.filter((slot) => slot !== worker);
  }

  /** Those that may have a child which all share, each time beginning with another. */
  working(era: ChildEra): readonly number[] {
    const { desk } = this.#options;
    const others = this.candidates('').filter((slot) => desk?.isUp(slot) === true && !this.#options.isDown(slot, era));
    this.#turn += 1;
    return others.map((_, at) => others[(at + this.#turn) % others.length] ?? -1);
  }

  isBusy(slot: number): boolean {
    return this.#busy.has(slot);
  }

  busy(slot: number): void {
    this.#busy.add(slot);
  }

  free(slot: number): void {
    this.#busy.delete(slot);
  }

  turnAway(slot: number): void {
    this.#turnedAway.add(slot);
  }

  /** A child here is free. */
  tellFree(): void {
    const { desk, server } = this.#options;
    for (const slot of this.#turnedAway) desk?.free(slot, server);
    this.#turnedAway.clear();
  }
}
