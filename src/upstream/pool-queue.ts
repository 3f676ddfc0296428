import type { Clock, Timer } from '../core/clock.ts';
import { UPSTREAM_BUSY } from '../core/errors.ts';
import type { ChildEra } from '../core/mesh.ts';
import type { Refusal } from '../core/refusal.ts';
import type { PoolCall } from './pool-call.ts';

/** Where a call went: it is on its way, it has to wait, or it ends. */
export type Dispatch = 'sent' | 'wait' | Refusal;

export interface PoolQueueOptions {
  readonly clock: Clock;
  readonly queueMs: number;
  /** Calls that may wait. */
  readonly max: number;
  /** All calls wait for the same children, but for those that only one can serve. */
  readonly isShared: boolean;
  /** Such a call waits for a child of that kind: at once, and again and again. */
  onLack(era: ChildEra): void;
}

const LACK_MS = 1000;

/** Calls that wait for a child in this worker: first come, first served, and not for ever. */
export class PoolQueue {
  readonly #options: PoolQueueOptions;
  readonly #waiting = new Set<PoolCall>();
  #lacking: Timer | null = null;

  constructor(options: PoolQueueOptions) {
    this.#options = options;
  }

  has(call: PoolCall): boolean {
    return this.#waiting.has(call);
  }

  /** Somebody waits for a child of that key and kind. */
  isWanted({ key, era }: PoolCall): boolean {
    for (const call of this.#waiting) if (call.key === key && call.era === era) return true;
    return false;
  }

  /** False: it may not wait. */
  push(call: PoolCall): boolean {
    const { clock, queueMs, max } = this.#options;
    if (queueMs === 0 || this.#waiting.size >= max) return false;
    this.#waiting.add(call);
    call.late = clock.after(queueMs, () => call.onFail(UPSTREAM_BUSY, 'no child within pool.queue_secs'));
    if (!this.#isAnys(call)) return true;
    this.#options.onLack(call.era);
    this.#lacking ??= clock.every(LACK_MS, () => this.#onLack());
    return true;
  }

  /** It has found one, or is over. False: it did not wait. */
  leave(call: PoolCall): boolean {
    call.late?.cancel();
    call.late = null;
    return this.#waiting.delete(call);
  }

  /** Where all share the children, whoever finds none stands for those behind. */
  serve(dispatch: (call: PoolCall) => Dispatch, detail: string): void {
    let isBlocked = false;
    for (const call of this.#waiting) {
      const isAnys = this.#isAnys(call);
      if (isBlocked && isAnys) continue;
      const outcome = dispatch(call);
      if (outcome === 'wait') isBlocked ||= isAnys;
      else if (outcome !== 'sent') call.onFail(outcome, detail);
    }
  }

  fail(refusal: Refusal, detail: string): void {
    for (const call of this.#waiting) call.onFail(refusal, detail);
  }

  /** Any of the children that all share can serve it. */
  #isAnys({ life }: PoolCall): boolean {
    return this.#options.isShared && life === null;
  }

  #onLack(): void {
    for (const call of this.#waiting) if (this.#isAnys(call)) return this.#options.onLack(call.era);
    this.#lacking?.cancel();
    this.#lacking = null;
  }
}
