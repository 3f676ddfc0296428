import type { Clock, Timer } from '../core/clock.ts';
import type { LeaseAnswer, LeaseAsk } from '../core/limit.ts';
import type { RedisBucket } from './redis-bucket.ts';

/** By which a timer may be late on an idle event loop. */
const BUSY_MS = 2;

/** An ask that waits for Redis. */
export interface Waiter {
  readonly bucket: RedisBucket;
  readonly holder: number;
  readonly ask: LeaseAsk;
  readonly answer: (answer: LeaseAnswer) => void;
  readonly untilMs: number;
  isDone: boolean;
}

/** Who waits for which bucket, first come first, and a call for each whose time is up. All wait equally long. */
export class RedisWaiting {
  readonly #clock: Clock;
  readonly #late: (waiter: Waiter, nowMs: number) => void;
  readonly #byBucket = new Map<RedisBucket, Waiter[]>();
  /** In order of their time; those that were answered are skipped. */
  #deadlines: Waiter[] = [];
  #timer: Timer | null = null;
  #size = 0;

  constructor(clock: Clock, late: (waiter: Waiter, nowMs: number) => void) {
    this.#clock = clock;
    this.#late = late;
  }

  get size(): number {
    return this.#size;
  }

  of(bucket: RedisBucket): readonly Waiter[] {
    return this.#byBucket.get(bucket) ?? [];
  }

  add(waiter: Waiter): void {
    const waiting = this.#byBucket.get(waiter.bucket);
    if (waiting === undefined) this.#byBucket.set(waiter.bucket, [waiter]);
    else waiting.push(waiter);
    this.#size++;
    this.#deadlines.push(waiter);
    this.#timer ??= this.#clock.after(waiter.untilMs - this.#clock.nowMs(), () => this.#expire());
  }

  remove(waiter: Waiter): void {
    const waiting = this.of(waiter.bucket);
    const rest = waiting.filter((other) => other !== waiter);
    this.#size -= waiting.length - rest.length;
    if (rest.length === 0) this.#byBucket.delete(waiter.bucket);
    else this.#byBucket.set(waiter.bucket, rest);
  }

  /** The holder is gone: what it was to be granted would be held by nobody, and renewed for ever. */
  dismiss(bucket: RedisBucket, holder: number): void {
    for (const waiter of this.of(bucket)) {
      if (waiter.holder !== holder) continue;
      waiter.isDone = true;
      this.remove(waiter);
    }
  }

  clear(): void {
    this.#timer?.cancel();
    this.#byBucket.clear();
    this.#deadlines = [];
    this.#size = 0;
  }

  /** A timer that is late itself says that this process was busy: answers that have arrived are read first. */
  #expire(isBusy = false): void {
    const nowMs = this.#clock.nowMs();
    const pending = this.#deadlines.find((waiter) => !waiter.isDone);
    if (!isBusy && pending !== undefined && nowMs - pending.untilMs > BUSY_MS) {
      this.#timer = this.#clock.after(1, () => this.#expire(true));
      return;
    }
    const next = this.#deadlines.findIndex((waiter) => !waiter.isDone && waiter.untilMs > nowMs);
    const due = next < 0 ? this.#deadlines : this.#deadlines.slice(0, next);
    this.#deadlines = next < 0 ? [] : this.#deadlines.slice(next);
    const first = this.#deadlines[0];
    this.#timer = first === undefined ? null : this.#clock.after(Math.max(1, first.untilMs - nowMs), () => this.#expire());
    for (const waiter of due) {
      if (waiter.isDone) continue;
      this.remove(waiter);
      this.#late(waiter, nowMs);
    }
  }
}
