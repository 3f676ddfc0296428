import { SHARE_AFTER_MS } from './lease-port.ts';

/**
 * The time by which an authority refills, when holders that are cut off fall back on their share of every limit.
 *
 * A holder's share, one of `holders`, belongs to the authority until `SHARE_AFTER_MS` after the last stamp that came back
 * from it, and to the holder from `SHARE_AFTER_MS` after it *received* its last stamp, which is later. So no moment is
 * credited at both sides, and neither needs to know the other's clock. The time that is not the authority's is withheld:
 * `nowMs − withheld` is what it refills by. A holder may save up what it earns meanwhile, up to its part of the burst, so as long as it is
 * away that much is kept free in every bucket (`reserveMs`).
 */
export class VouchedTime {
  /** Until when each holder's share is the authority's. Infinity: of a holder that is gone, or has not begun. */
  readonly #untilMs: Float64Array;
  #lastMs = Number.NEGATIVE_INFINITY;
  #withheldMs = 0;
  /** Where `vouched time + reserve` stood at the highest, how many were away then at most, and the vouched time when a holder last came back. */
  #peakMs = Number.NEGATIVE_INFINITY;
  #peakHolders = 0;
  #returnedMs = Number.NEGATIVE_INFINITY;

  constructor(holders: number) {
    if (!Number.isInteger(holders) || holders < 1) throw new RangeError('at least one holder must be possible');
    this.#untilMs = new Float64Array(holders).fill(Number.POSITIVE_INFINITY);
  }

  get holders(): number {
    return this.#untilMs.length;
  }

  /** Vouched milliseconds, on the scale of the clock: equal to it as long as nobody was away. */
  advance(nowMs: number): number {
    if (nowMs <= this.#lastMs) return this.#lastMs - this.#withheldMs;
    let awayMs = 0;
    for (const untilMs of this.#untilMs) if (untilMs < nowMs) awayMs += nowMs - Math.max(untilMs, this.#lastMs);
    this.#withheldMs += awayMs / this.#untilMs.length;
    this.#lastMs = nowMs;
    return nowMs - this.#withheldMs;
  }

  /**
   * Milliseconds of refill to be kept free in a bucket that was last looked at at vouched time `sinceMs` and is full after `fullMs`: what holders
   * that are away may have saved, each no more than its part of the burst, or those that are left would have nothing while one hangs; and what those saved
   * that came back since then, as far as it was not refilled after. `fullMs` 0: a part has no whole token, and nothing is saved.
   */
  reserveMs(sinceMs: number, fullMs: number): number {
    const nowMs = this.#lastMs;
    let savedMs = 0;
    for (const untilMs of this.#untilMs) if (untilMs < nowMs) savedMs += Math.min(nowMs - untilMs, fullMs);
    const reserve = savedMs / this.holders;
    if (sinceMs > this.#returnedMs) return reserve;
    const vouchedMs = nowMs - this.#withheldMs;
    const sinceReturnMs = vouchedMs - this.#returnedMs;
    return Math.max(reserve, Math.min(this.#peakMs - vouchedMs, (this.#peakHolders * fullMs) / this.holders - sinceReturnMs));
  }

  /** As `LimitAuthority.heard`. */
  heard(holder: number, stamp: number, nowMs: number): void {
    this.advance(nowMs);
    if (!(stamp > 0)) return;
    const untilMs = Math.min(stamp, nowMs) + SHARE_AFTER_MS;
    const before = this.#untilMs[holder];
    if (before === undefined || (before >= untilMs && before !== Number.POSITIVE_INFINITY)) return;
    this.#comesBack(holder);
    this.#untilMs[holder] = untilMs;
  }

  /** As `LimitAuthority.stampFor`. From here on a holder that had not begun can be cut off. */
  stampFor(holder: number, nowMs: number): number {
    this.advance(nowMs);
    if (this.#untilMs[holder] === Number.POSITIVE_INFINITY) this.#untilMs[holder] = nowMs + SHARE_AFTER_MS;
    return Math.max(nowMs, Number.MIN_VALUE);
  }

  /** The holder's process is gone, and what it had saved with it. */
  lost(holder: number, nowMs: number): void {
    if (this.#untilMs[holder] === undefined) return;
    this.advance(nowMs);
    this.#comesBack(holder);
    this.#untilMs[holder] = Number.POSITIVE_INFINITY;
  }

  #comesBack(holder: number): void {
    if ((this.#untilMs[holder] as number) >= this.#lastMs) return;
    const vouchedMs = this.#lastMs - this.#withheldMs;
    const away = this.#untilMs.filter((untilMs) => untilMs < this.#lastMs).length;
    this.#peakHolders = this.#peakMs > vouchedMs ? Math.max(this.#peakHolders, away) : away;
    this.#peakMs = Math.max(this.#peakMs, vouchedMs + this.reserveMs(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY));
    this.#returnedMs = vouchedMs;
  }
}
