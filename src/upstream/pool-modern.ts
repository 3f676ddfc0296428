import type { Clock } from '../core/clock.ts';
import type { Envelope } from '../core/envelope.ts';
import { UPSTREAM_DOWN } from '../core/errors.ts';
import type { EraVerdict, PeerEra } from '../core/mesh.ts';
import type { Refusal } from '../core/refusal.ts';
import type { InFlight, ModernInfo, ReplySink, RequestOptions } from '../core/upstream.ts';
import { LISTEN } from '../mcp/modern-methods.ts';
import type { ModernSide, ModernSideHost } from './modern-side.ts';
import { isAskable } from './pool-era.ts';
import type { PooledUpstream } from './pooled.ts';

/** Until a worker that was asked what it knows, and says nothing, is taken for one that does not. */
const ANSWER_MS = 15_000;
/** What one worker knows counts before what others do not. */
const RANKED: readonly EraVerdict[] = ['modern', 'asking', 'legacy', 'unknown'];
const NOTHING: PeerEra = { verdict: 'idle', info: null, isUp: false, detail: 'not asked yet' };

/**
 * A pool in revision 2026-07-28: what its children in all workers know of the server. One worker finds out for all which revisions it speaks, and believes it
 * for as long as that is believed of other servers.
 */
export class PoolModern implements ModernSide {
  readonly isUnreachable = false;
  /** Calls wait for a child of their own. */
  readonly isReturning = false;
  /** The pool counts all of them, and knows all processes. */
  readonly inFlight = 0;
  readonly pid = null;
  readonly #pool: PooledUpstream;
  readonly #clock: Clock;
  #askedMs = Number.NEGATIVE_INFINITY;
  /** Another worker was asked and has not said anything yet. */
  #isAsking = false;

  constructor(pool: PooledUpstream, clock: Clock, host: ModernSideHost) {
    this.#pool = pool;
    this.#clock = clock;
    pool.onEra = () => {
      this.#isAsking = false;
      if (this.#known.verdict === 'modern') pool.settle();
      host.onChange();
    };
  }

  get verdict(): EraVerdict {
    const { verdict } = this.#known;
    if (verdict === 'modern' || !this.#isAsking) return verdict;
    return this.#clock.nowMs() - this.#askedMs < ANSWER_MS ? 'asking' : 'unknown';
  }

  get info(): ModernInfo | null {
    return this.#known.info;
  }

  get isOwn(): boolean {
    return this.#pool.hub === null;
  }

  has(life: string): boolean {
    return this.#pool.has(life);
  }

  get isUp(): boolean {
    return this.#pool.eras.some(({ isUp }) => isUp);
  }

  get detail(): string {
    return this.#known.detail;
  }

  start(): void {
    const nowMs = this.#clock.nowMs();
    if (!isAskable(this.verdict, nowMs - this.#askedMs)) return;
    this.#askedMs = nowMs;
    this.#isAsking = this.#pool.probe() === 'elsewhere';
  }

  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    const { info } = this;
    if (info === null) return UPSTREAM_DOWN;
    const { hub } = this.#pool;
    return message.method === LISTEN && hub !== null && options.modern?.life === undefined
      ? hub.listen(message, options.childKey ?? options.principalKey, info, sink)
      : this.#pool.request(message, options, sink);
  }

  notify(message: Envelope, options: RequestOptions): Refusal | null {
    return this.#pool.notify(message, { ...options, modern: options.modern ?? { params: null } });
  }

  /** The pool closes its children, of whatever kind. */
  async close(): Promise<void> {}

  get #known(): PeerEra {
    const { eras } = this.#pool;
    const verdict = RANKED.find((one) => eras.some((era) => era.verdict === one));
    const all = eras.filter((era) => era.verdict === verdict);
    return all.find(({ isUp }) => isUp) ?? all[0] ?? NOTHING;
  }
}
