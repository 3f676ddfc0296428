import type { LimitSpec } from '../core/principal.ts';
import { wholeBurst } from './bucket.ts';

/** Moves a moment up by an ulp, so that rounding never credits it twice. */
const NEXT_UP = 1 + Number.EPSILON;

/** Tokens by which a part may seem to fall short of a whole one that it has. */
const ROUNDING = 1e-9;

/**
 * One of `shares` equal parts of a limit, for a holder that cannot ask: rate and burst divided, starting empty. A part is
 * one number, the moment at which it stood at zero: since then it filled, up to its part of the burst less what the holder
 * still has of its lease (`held`). A burst smaller than the number of parts leaves nobody a whole token, because all of
 * them together must not exceed it.
 */
export class LocalShare {
  readonly #shares: number;

  constructor(shares: number) {
    this.#shares = Math.max(1, shares);
  }

  /** Tokens there are, with fractions. */
  level(spec: LimitSpec, emptyAtMs: number, nowMs: number, held: number = 0): number {
    const filled = (nowMs - emptyAtMs) * this.#perMs(spec);
    return Math.max(0, Math.min(wholeBurst(spec) / this.#shares - held, filled));
  }

  /** The moment after `tokens` were taken, or −1 when there are too few. */
  take(spec: LimitSpec, emptyAtMs: number, tokens: number, nowMs: number, held: number = 0): number {
    const level = this.level(spec, emptyAtMs, nowMs, held);
    return level < tokens - ROUNDING ? -1 : this.#emptyAt(spec, level - tokens, nowMs);
  }

  /** The moment after it was found that no more than its part fits beside `held`. */
  clip(spec: LimitSpec, emptyAtMs: number, nowMs: number, held: number): number {
    return Math.max(emptyAtMs, this.#emptyAt(spec, this.level(spec, emptyAtMs, nowMs, held), nowMs));
  }

  /** The moment before they were taken. */
  undo(spec: LimitSpec, emptyAtMs: number, tokens: number): number {
    return (emptyAtMs - tokens / this.#perMs(spec)) * NEXT_UP;
  }

  /** Milliseconds until so many are there; Infinity when they never are. */
  waitMs(spec: LimitSpec, emptyAtMs: number, tokens: number, nowMs: number): number {
    if (tokens > wholeBurst(spec) / this.#shares) return Number.POSITIVE_INFINITY;
    return Math.max(0, emptyAtMs + tokens / this.#perMs(spec) - nowMs);
  }

  #emptyAt(spec: LimitSpec, level: number, nowMs: number): number {
    return (nowMs - level / this.#perMs(spec)) * NEXT_UP;
  }

  #perMs(spec: LimitSpec): number {
    return spec.perSecond / 1000 / this.#shares;
  }
}
