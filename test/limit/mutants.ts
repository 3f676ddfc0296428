import type { LeaseAnswer, LeaseAsk, LimitAuthority, SendRecall } from '../../src/core/limit.ts';
import type { LimitSpec } from '../../src/core/principal.ts';
import { applyGrant, generationOf } from '../../src/limit/lease-memory.ts';
import { LocalShare } from '../../src/limit/local-share.ts';
import { MemoryAuthority } from '../../src/limit/memory-authority.ts';
import type { AuthorityOptions } from '../../src/limit/memory-authority.ts';
import { contended } from './random-plan.ts';
import type { Parts } from './sim-plan.ts';

/** An authority of which single messages are falsified. */
class Falsified implements LimitAuthority {
  readonly options: AuthorityOptions;
  inner: MemoryAuthority;
  /** What each holder was granted and has not reported as spent, per key. */
  readonly held = new Map<string, number>();

  constructor(options: AuthorityOptions) {
    this.options = options;
    this.inner = new MemoryAuthority(options);
  }

  get size(): number {
    return this.inner.size;
  }

  ask(holder: number, ask: LeaseAsk, answer: (answer: LeaseAnswer) => void): void {
    this.inner.ask(holder, ask, (given) => {
      this.held.set(`${holder} ${ask.key}`, ask.have + given.granted);
      answer(given);
    });
  }

  giveBack(holder: number, key: string, tokens: number, have: number): void {
    this.held.set(`${holder} ${key}`, have);
    this.inner.giveBack(holder, key, tokens, have);
  }

  recalled(holder: number, key: string, recall: number): void {
    this.inner.recalled(holder, key, recall);
  }

  startRecalls(send: SendRecall): void {
    this.inner.startRecalls(send);
  }

  lost(holder: number): void {
    for (const name of this.held.keys()) if (name.startsWith(`${holder} `)) this.held.delete(name);
    this.inner.lost(holder);
  }

  heard(holder: number, stamp: number): void {
    this.inner.heard(holder, stamp);
  }

  stampFor(holder: number): number {
    return this.inner.stampFor(holder);
  }

  sweep(): void {
    this.inner.sweep();
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}

class CreditsLost extends Falsified {
  override lost(holder: number): void {
    for (const [name, tokens] of this.held)
      if (name.startsWith(`${holder} `)) this.inner.giveBack(holder, name.slice(name.indexOf(' ') + 1), tokens, 0);
    super.lost(holder);
  }
}

class CreditsSpent extends Falsified {
  override ask(holder: number, ask: LeaseAsk, answer: (answer: LeaseAnswer) => void): void {
    const spent = (this.held.get(`${holder} ${ask.key}`) ?? 0) - ask.have;
    if (spent > 0) this.inner.giveBack(holder, ask.key, spent, ask.have);
    super.ask(holder, ask, answer);
  }
}

class ForgetsHeld extends Falsified {
  override ask(holder: number, ask: LeaseAsk, answer: (answer: LeaseAnswer) => void): void {
    super.ask(holder, { ...ask, have: 0 }, answer);
  }
}

class GrantsTwice extends Falsified {
  override ask(holder: number, ask: LeaseAsk, answer: (answer: LeaseAnswer) => void): void {
    super.ask(holder, ask, (given) => answer({ ...given, granted: given.granted + (given.left > 0 ? 1 : 0) }));
  }
}

/** Does not see that holders live on their share while they are cut off: to it they have not begun. */
class IgnoresAbsence extends Falsified {
  override heard(): void {}

  override stampFor(): number {
    return this.options.clock.nowMs();
  }
}

/** Begins anew, with full buckets, when a holder that was cut off is heard again. */
class FullAfterOutage extends Falsified {
  #heardMs = 0;

  override heard(holder: number, stamp: number): void {
    const nowMs = this.options.clock.nowMs();
    if (nowMs - this.#heardMs > 450) this.inner = new MemoryAuthority(this.options);
    this.#heardMs = nowMs;
    super.heard(holder, stamp);
  }
}

/** Takes an ask for another one's answer to a recall, and grants before that has come. */
class GrantsWhileOwed extends Falsified {
  readonly #owed = new Map<string, number>();

  override startRecalls(send: SendRecall): void {
    super.startRecalls((holder, key, recall) => {
      this.#owed.set(`${holder} ${key}`, recall);
      return send(holder, key, recall);
    });
  }

  override ask(holder: number, ask: LeaseAsk, answer: (answer: LeaseAnswer) => void): void {
    this.recalled(holder, ask.key, this.#owed.get(`${holder} ${ask.key}`) ?? 0);
    super.ask(holder, ask, answer);
  }
}

/** A worker's own share begins full instead of empty. */
class FullShare extends LocalShare {
  readonly #parts: number;

  constructor(shares: number) {
    super(shares);
    this.#parts = shares;
  }

  override level(spec: LimitSpec, emptyAtMs: number, nowMs: number, held: number): number {
    return super.level(spec, emptyAtMs - (spec.burst / spec.perSecond) * 1000 * this.#parts, nowMs, held);
  }
}

/** What could be got wrong, as parts of a simulation. Each must be found by the property. */
export const MUTANTS: Readonly<Record<string, Parts>> = {
  'tokens of a lost holder are credited': { authority: (options) => new CreditsLost(options) },
  'spent tokens are credited': { authority: (options) => new CreditsSpent(options) },
  'tokens held elsewhere are forgotten': { authority: (options) => new ForgetsHeld(options) },
  'a grant is larger than what was debited': { authority: (options) => new GrantsTwice(options) },
  'refill goes on for holders that are cut off': { authority: (options) => new IgnoresAbsence(options) },
  'the authority is full after an outage': { authority: (options) => new FullAfterOutage(options) },
  'a worker’s own share begins full': { share: (shares) => new FullShare(shares) },
  'a worker’s own share is the whole limit': { share: () => new LocalShare(1) },
  'grants of a lost connection are applied, whoever owns the slot': {
    grant: (memory, slot, _generation, granted) => applyGrant(memory, slot, generationOf(memory, slot), granted),
    isLateApplied: true,
  },
  'a holder is granted tokens before it has answered a recall': {
    authority: (options) => new GrantsWhileOwed(options),
    plan: contended,
  },
  'a recall overtakes what was granted': { isRecallEarly: true },
  'what a lost connection had sent is heard after its successor': { isOldHeard: true },
  'what was refilled since it was taken is given back all the same': { isGivenBackInFull: true },
  'a grant is applied twice': {
    grant: (memory, slot, generation, granted) =>
      applyGrant(memory, slot, generation, granted) + applyGrant(memory, slot, generation, granted),
  },
};
