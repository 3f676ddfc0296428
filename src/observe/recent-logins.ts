import type { Clock } from '../core/clock.ts';
import type { Principal } from '../core/principal.ts';
import { RecentSet } from './recent-set.ts';

/**
 * Remembers for a while from which addresses principals came, at most `limit` pairs. Most come from one: it is noted with the principal, so
 * that no text of both has to be made and hashed for each request.
 */
export class RecentLogins {
  readonly #clock: Clock;
  readonly #pairs: RecentSet;

  constructor(clock: Clock, ttlMs: number, limit: number) {
    this.#clock = clock;
    this.#pairs = new RecentSet(clock, ttlMs, limit);
  }

  /** True when that principal did not come from there within the time; it is remembered then. */
  isNew({ key, notes }: Principal, clientIp: string): boolean {
    if (notes !== undefined && notes.clientIp === clientIp && this.#clock.nowMs() < notes.loginUntilMs) return false;
    const pair = `${key}\n${clientIp}`;
    const isNew = this.#pairs.addIfNew(pair);
    if (notes === undefined) return isNew;
    notes.clientIp = clientIp;
    notes.loginUntilMs = this.#pairs.untilMs(pair);
    return isNew;
  }
}
