import type { Clock } from '../core/clock.ts';
import type { EraVerdict, PeerEra } from '../core/mesh.ts';
import type { ModernInfo } from '../core/upstream.ts';
import { Backoff } from './backoff.ts';

/** Between two attempts to find out what a server speaks that could not be asked. */
export const ASK_AGAIN_MS: number = 30_000;
/** A program may be replaced by a newer one: that it knows only older revisions is believed for as long. */
export const LEGACY_TTL_MS: number = 10 * 60_000;

/** Whether a verdict that is so old may be asked for. */
export function isAskable(verdict: EraVerdict, agedMs: number): boolean {
  if (verdict === 'idle') return true;
  if (verdict === 'unknown') return agedMs >= ASK_AGAIN_MS;
  return verdict === 'legacy' && agedMs >= LEGACY_TTL_MS;
}

/** What the children of a pool in this worker found out about revision 2026-07-28 (`server/discover`), and how those that speak it are. */
export class PoolEra {
  verdict: EraVerdict = 'idle';
  info: ModernInfo | null = null;
  detail = 'not asked yet';
  readonly #clock: Clock;
  readonly #backoff = new Backoff({ firstMs: 100, maxMs: 30_000 });
  /** The last that was heard of any such child was good. */
  #isGood = false;
  #askedMs = Number.NEGATIVE_INFINITY;
  #notBeforeMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isDue(): boolean {
    return isAskable(this.verdict, this.#clock.nowMs() - this.#askedMs);
  }

  /** Whether a child may be started for calls: not at once after one that did not begin well. */
  get mayStart(): boolean {
    return this.verdict !== 'legacy' && this.#clock.nowMs() >= this.#notBeforeMs;
  }

  get status(): PeerEra {
    const { verdict, info, detail } = this;
    return { verdict, info, isUp: verdict === 'modern' && this.#isGood, detail: this.#isGood ? '' : detail };
  }

  /** A child was started that is asked. */
  asking(): void {
    this.#askedMs = this.#clock.nowMs();
    if (this.verdict !== 'modern') this.verdict = 'asking';
  }

  /** A child speaks it. */
  up(info: ModernInfo | null): void {
    this.#backoff.reset();
    this.#notBeforeMs = Number.NEGATIVE_INFINITY;
    this.verdict = 'modern';
    this.info = info;
    this.#isGood = true;
  }

  /** One that spoke it is gone, and will be back. `isAnyUp`: another is there. */
  down(detail: string, isAnyUp: boolean): void {
    this.detail = detail;
    this.#isGood = isAnyUp;
  }

  /** A child did not begin well. What one says does not count against another that works. */
  failed(verdict: EraVerdict, detail: string, isAnyUp: boolean): void {
    this.#notBeforeMs = this.#clock.nowMs() + this.#backoff.next();
    this.down(detail, isAnyUp);
    if (isAnyUp || (verdict === 'unknown' && this.verdict === 'modern')) return;
    this.verdict = verdict;
    this.info = null;
  }
}
