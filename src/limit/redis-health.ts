import type { Clock } from '../core/clock.ts';
import type { RedisEpochs } from './redis-epochs.ts';
import { TAG_COUNT } from './redis-keys.ts';
import { RedisOutage } from './redis-outage.ts';

export interface RedisHealthOptions {
  readonly clock: Clock;
  readonly epochs: RedisEpochs;
  /** Tags lie on several nodes, each of which may be lost alone. */
  readonly isSpread: boolean;
  readonly random: () => number;
  /** A probe that takes longer has failed. */
  readonly waitMs: number;
  /** A probe was answered in time. */
  readonly onBack: (outage: RedisOutage) => void;
}

/** Which parts of Redis answer: one, or one for each tag. Keeps epochs alive, which is the probe while a part is lost. */
export class RedisHealth {
  readonly #options: RedisHealthOptions;
  readonly #outages: readonly RedisOutage[];

  constructor(options: RedisHealthOptions) {
    this.#options = options;
    this.#outages = Array.from({ length: options.isSpread ? TAG_COUNT : 1 }, () => new RedisOutage(options.random));
  }

  outageOf(tag: number): RedisOutage {
    return this.#outages[tag % this.#outages.length] as RedisOutage;
  }

  /** To be called once a second. */
  touch(nowMs: number): void {
    const tags = this.#options.epochs.turn();
    const parts = this.#options.isSpread ? tags.map((tag) => [tag]) : [tags];
    for (const part of parts) this.#touchPart(part, nowMs);
  }

  /** Of tags that are lost together. One of them is a probe of all. */
  #touchPart(tags: readonly number[], nowMs: number): void {
    const { epochs, clock } = this.#options;
    const outage = this.outageOf(tags[0] ?? 0);
    const isProbe = outage.isOpen;
    if (isProbe && !outage.mayProbe(nowMs)) return;
    epochs.touch(isProbe ? tags.slice(0, 1) : tags).then(
      () => isProbe && this.#probed(outage, nowMs),
      () => isProbe && outage.failed(clock.nowMs()),
    );
  }

  #probed(outage: RedisOutage, sentAtMs: number): void {
    const { clock, waitMs, onBack } = this.#options;
    const nowMs = clock.nowMs();
    if (nowMs - sentAtMs > waitMs) outage.failed(nowMs);
    else onBack(outage);
  }
}
