import type { ChildEra, PeerEra, PeerStatus } from '../core/mesh.ts';
import type { Upstream, UpstreamInfo, UpstreamState } from '../core/upstream.ts';
import type { PoolChildren } from './pool-children.ts';
import type { RelayDesk, RelayHost } from './relay-desk.ts';
import type { Status } from './status.ts';

const RANKED: readonly UpstreamState[] = ['ready', 'down', 'starting'];

/** A pool, as far as others are told how it is. */
interface ViewedPool extends Upstream, RelayHost {
  readonly name: string;
  onEra(): void;
}

/** How a pool is, as far as this worker and the others have told each other. */
export class PoolView {
  readonly #pool: ViewedPool;
  readonly #children: PoolChildren;
  readonly #status: Status;
  readonly #desk: RelayDesk | null;
  readonly #workers: number;
  #announced: PeerStatus | null = null;

  constructor(pool: ViewedPool, children: PoolChildren, status: Status, desk: RelayDesk | null, workers: number) {
    this.#pool = pool;
    this.#children = children;
    this.#status = status;
    this.#desk = desk;
    this.#workers = workers;
  }

  /** Of this worker. */
  get local(): PeerStatus {
    const { state, detail, info, modern } = this.#children;
    return { state, detail, info, modern };
  }

  get info(): UpstreamInfo | null {
    return this.#children.info ?? this.#peers().find(({ info }) => info !== null)?.info ?? null;
  }

  /** What is known of revision 2026-07-28 by this worker and the others. */
  get eras(): readonly PeerEra[] {
    return [this.#children.modern, ...this.#peers().map(({ modern }) => modern)];
  }

  /** Whether that worker's children of this kind do not work, as far as it has told. */
  isDown(slot: number, era: ChildEra): boolean {
    const status = this.#desk?.statusOf(slot, this.#pool.name) ?? null;
    if (status === null || era === 'legacy') return status?.state === 'down';
    const { verdict, isUp } = status.modern;
    return verdict === 'legacy' || (verdict === 'modern' && !isUp);
  }

  /** The children here are otherwise, perhaps: then the others are told. */
  onLocal(): void {
    const status = this.local;
    const known = this.#announced;
    this.#announced = status;
    if (known === null || isNews(known, status)) this.#desk?.announce(this.#pool);
    this.onChange();
  }

  /** Ready as soon as one worker's children are: the others ask it. */
  onChange(): void {
    const all = [this.local, ...this.#peers()];
    const state = RANKED.find((one) => all.some((status) => status.state === one)) ?? 'starting';
    const detail = state === 'ready' ? null : (all.find((status) => status.state === state)?.detail ?? 'no worker has a child');
    this.#status.set(this.#pool, state, detail);
    this.#pool.onEra();
  }

  #peers(): PeerStatus[] {
    const slots = Array.from({ length: this.#workers }, (_, slot) => slot);
    return slots.flatMap((slot) => this.#desk?.statusOf(slot, this.#pool.name) ?? []);
  }
}

function isNews(known: PeerStatus, now: PeerStatus): boolean {
  if (known.state !== now.state || known.detail !== now.detail || known.info !== now.info) return true;
  const [was, is] = [known.modern, now.modern];
  return was.verdict !== is.verdict || was.info !== is.info || was.isUp !== is.isUp || was.detail !== is.detail;
}
