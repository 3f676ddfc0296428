import type { Clock } from '../core/clock.ts';
import type { Envelope } from '../core/envelope.ts';
import { TASK_UNKNOWN } from '../core/errors.ts';
import type { EraVerdict } from '../core/mesh.ts';
import type { Refusal } from '../core/refusal.ts';
import type { StateSeal } from '../core/state-seal.ts';
import type { InFlight, ModernInfo, ReplySink, RequestOptions } from '../core/upstream.ts';
import { mayAsk } from '../mcp/input-required.ts';
import { LISTEN } from '../mcp/modern-methods.ts';
import { ChildPlaces } from './child-places.ts';
import { InputStates } from './input-states.ts';
import type { ModernSide } from './modern-side.ts';
import type { OwnedPlacesDeps } from './owned-places.ts';
import { PinnedCall } from './pinned-call.ts';
import { TaskListen } from './task-listen.ts';

export interface PlacedModernDeps extends OwnedPlacesDeps {
  readonly server: string;
  readonly clock: Clock;
  /** Whether one worker's process or connection knows what that of another does not. */
  readonly isPlaced: boolean;
  /** For what servers ask; null where whoever is asked again knows as much as the one that asked. */
  readonly seal: StateSeal | null;
}

/**
 * The newer half of a server, of which there may be many: processes of a pool, one of each worker, of each host. Requests about what one of them has (a task, a
 * question) go to that one, wherever it is; all others to whichever serves.
 */
export class PlacedModern implements ModernSide {
  readonly #inner: ModernSide;
  readonly #clock: Clock;
  readonly #places: ChildPlaces | null;
  readonly #states: InputStates | null;

  constructor(inner: ModernSide, deps: PlacedModernDeps) {
    this.#inner = inner;
    this.#clock = deps.clock;
    this.#places = deps.isPlaced ? new ChildPlaces(deps.server, deps, inner) : null;
    this.#states = deps.seal === null || this.#places === null ? null : new InputStates(deps.server, deps.seal, this.#places, inner);
  }

  get verdict(): EraVerdict {
    return this.#inner.verdict;
  }

  get info(): ModernInfo | null {
    return this.#inner.info;
  }

  get isUp(): boolean {
    return this.#inner.isUp;
  }

  get isReturning(): boolean {
    return this.#inner.isReturning;
  }

  get isUnreachable(): boolean {
    return this.#inner.isUnreachable;
  }

  get isOwn(): boolean {
    return this.#inner.isOwn;
  }

  get detail(): string {
    return this.#inner.detail;
  }

  get inFlight(): number {
    return this.#inner.inFlight;
  }

  get pid(): number | null {
    return this.#inner.pid;
  }

  has(life: string): boolean {
    return this.#inner.has(life);
  }

  start(): void {
    this.#inner.start();
  }

  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    if (message.method === LISTEN) return TaskListen.begin(this.#inner, this.#places, this.#clock, message, options, sink);
    if (options.modern?.place !== undefined) return this.#toOne(options.modern.place, message, options, sink);
    if (this.#states !== null && mayAsk(message.method)) return this.#states.request(message, options, sink);
    return this.#inner.request(message, this.#places?.located(options) ?? options, sink);
  }

  notify(message: Envelope, options: RequestOptions): Refusal | null {
    return this.#inner.notify(message, options);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  /** A caller's own process may have a successor that is as much the caller's, and knows what was kept on disk. */
  #toOne(place: Buffer, message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    return PinnedCall.begin(this.#places?.find(place) ?? null, message, options, sink, (client) =>
      this.#inner.isOwn ? this.#inner.request(message, options, client) : TASK_UNKNOWN,
    );
  }
}
