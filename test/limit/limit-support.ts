import type { Charge, LimitOutcome } from '../../src/core/limit.ts';
import type { FailMode, LimitSpec } from '../../src/core/principal.ts';
import { applyGrant, leaseMemory } from '../../src/limit/lease-memory.ts';
import type { LeaseBatch, LeaseClient, LeasePort, SlotAnswer } from '../../src/limit/lease-port.ts';
import { LeasedLimiter } from '../../src/limit/leased-limiter.ts';
import { LocalShare } from '../../src/limit/local-share.ts';
import { MemoryAuthority } from '../../src/limit/memory-authority.ts';
import { FakeClock } from '../upstream/fake-clock.ts';

export function newOutcome(): LimitOutcome {
  return { isAllowed: false, decidedBy: 'principal', limit: 0, remaining: 0, resetSecs: 0, retryAfterSecs: 0, mode: 'remote' };
}

export function specOf(perSecond: number, burst: number, failMode: FailMode = 'local'): LimitSpec {
  return { perSecond, burst, failMode };
}

export function chargeOf(key: string, spec: LimitSpec, tokens: number = 1, limit: Charge['limit'] = 'principal'): Charge {
  return { limit, key, spec, tokens };
}

/** One worker of several, with a real authority at the other end of a line that a test holds or cuts. */
export class Bench implements LeasePort {
  readonly clock: FakeClock;
  readonly authority: MemoryAuthority;
  readonly limiter: LeasedLimiter;
  readonly out: LimitOutcome = newOutcome();
  /** Everything that was sent. */
  readonly sent: LeaseBatch[] = [];
  /** What is sent meets nobody until it is released. */
  isHeld = false;
  readonly #holder: number;
  #client: LeaseClient | null = null;
  #flushes: (() => void)[] = [];
  #held: LeaseBatch[] = [];

  constructor(
    options: {
      workers?: number;
      capacity?: number;
      idleTtlMs?: number;
      holder?: number;
      authority?: MemoryAuthority;
      hasRecalls?: boolean;
      clock?: FakeClock;
    } = {},
  ) {
    const { workers = 4, capacity = 64, idleTtlMs = 1_000, holder = 0, hasRecalls = false, clock = new FakeClock() } = options;
    this.#holder = holder;
    this.clock = clock;
    this.authority =
      options.authority ?? new MemoryAuthority({ holders: workers, capacity: capacity * workers + 1, idleTtlMs, clock: this.clock });
    this.limiter = new LeasedLimiter({
      capacity,
      idleTtlMs,
      workers,
      share: new LocalShare(workers),
      port: this,
      clock: this.clock,
      hasRecalls,
    });
    this.turn();
  }

  attach(client: LeaseClient): void {
    this.#client = client;
  }

  afterTurn(flush: () => void): void {
    this.#flushes.push(flush);
  }

  send(batch: LeaseBatch): void {
    this.sent.push(batch);
    this.#held.push(batch);
  }

  /** What comes after the requests of a turn: batches go out and, unless held, their answers come in. */
  turn(): void {
    do {
      const flushes = this.#flushes;
      this.#flushes = [];
      for (const flush of flushes) flush();
      if (!this.isHeld) this.release();
    } while (this.#flushes.length > 0);
  }

  release(): void {
    const held = this.#held;
    this.#held = [];
    for (const batch of held) this.#deliver(batch);
  }

  /** As `SendRecall`: answered with the next turn. */
  recall(key: string, recall: number): boolean {
    this.#client?.recalled([{ key, recall }]);
    return true;
  }

  /** The connection is gone, with all that is on the way. */
  cut(): void {
    this.#held = [];
    this.isHeld = true;
    this.#client?.disconnected();
    this.#held = [];
  }

  reconnect(): void {
    this.isHeld = false;
    this.#client?.connected();
    this.turn();
  }

  /** Time passes in steps, with what is sent and answered in between. */
  pass(ms: number): void {
    for (let left = ms; left > 0; left -= 10) {
      this.clock.advance(Math.min(10, left));
      this.turn();
    }
  }

  take(key: string, spec: LimitSpec, tokens: number = 1): string {
    return this.limiter.take([chargeOf(key, spec, tokens)], this.clock.nowMs(), this.out);
  }

  /** Takes and, if need be, waits as the request path does. */
  async request(key: string, spec: LimitSpec, tokens: number = 1): Promise<string> {
    const charges = [chargeOf(key, spec, tokens)];
    const first = this.limiter.take(charges, this.clock.nowMs(), this.out);
    if (first !== 'unknown') return first;
    return new Promise((resolve) => {
      const again = (): void => {
        const take = this.limiter.take(charges, this.clock.nowMs(), this.out);
        if (take === 'unknown') this.limiter.whenKnown(charges, again);
        else resolve(take);
      };
      this.limiter.whenKnown(charges, again);
    });
  }

  /** As many requests at once; how many were admitted. */
  async flood(count: number, key: string, spec: LimitSpec): Promise<number> {
    const requests = Array.from({ length: count }, () => this.request(key, spec));
    this.turn();
    const takes = await Promise.all(requests);
    return takes.filter((take) => take === 'taken').length;
  }

  #deliver(batch: LeaseBatch): void {
    const { authority } = this;
    if (batch.isReset) authority.lost(this.#holder);
    authority.heard(this.#holder, batch.stamp);
    for (const { key, tokens, have, recall } of batch.returns) {
      authority.giveBack(this.#holder, key, tokens, have);
      if (recall > 0) authority.recalled?.(this.#holder, key, recall);
    }
    let isOver = false;
    const answers: SlotAnswer[] = [];
    for (const ask of batch.asks) {
      authority.ask(this.#holder, ask, (given) => {
        const answer = { ...given, slot: ask.slot, generation: ask.generation };
        if (isOver) this.#answer([answer], batch.sentMs);
        else answers.push(answer);
      });
    }
    isOver = true;
    this.#answer(answers, batch.sentMs);
  }

  #answer(answers: readonly SlotAnswer[], sentMs: number): void {
    const memory = leaseMemory((this.#client as LeaseClient).buffer);
    for (const { slot, generation, granted } of answers) applyGrant(memory, slot, generation, granted);
    this.#client?.answered({ stamp: this.authority.stampFor(this.#holder), sentMs, answers });
  }
}
