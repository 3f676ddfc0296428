import type { Envelope } from '../core/envelope.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { InFlight, ReplySink, RequestOptions } from '../core/upstream.ts';
import type { UpstreamSession } from '../core/upstream-session.ts';
import type { ModernSide } from './modern-side.ts';
import { OwnedPlaces, type OwnedPlacesDeps } from './owned-places.ts';
import { RequestOnlySession } from './request-only-session.ts';

/**
 * The processes and connections of one server of revision 2026-07-28, as they are reached from every worker of every host: each by its place, whose name
 * is that of its life. A place is good for as long as that one lives, and never leads to its successor.
 */
export class ChildPlaces {
  readonly #modern: ModernSide;
  readonly #places: OwnedPlaces;

  constructor(server: string, deps: OwnedPlacesDeps, modern: ModernSide) {
    this.#modern = modern;
    this.#places = new OwnedPlaces(server, deps, (place) => this.#held(place));
  }

  /** `worker`: that has it, if not this one. */
  of(life: string, worker?: number): Buffer {
    return this.#places.named(Buffer.from(life, 'base64url'), worker);
  }

  /** Null for one of this worker that is gone. Of others that is known when they are asked: `SESSION_UNKNOWN`. */
  find(place: Buffer): UpstreamSession | null {
    return this.#places.find(place);
  }

  /** The same, and who asks is told where it was sent. */
  located(options: RequestOptions): RequestOptions {
    const { modern } = options;
    const onPlace = modern?.onPlace;
    if (modern === undefined || onPlace === undefined) return options;
    return { ...options, modern: { params: modern.params, onLife: (life, worker) => onPlace(this.of(life, worker)) } };
  }

  #held(place: Buffer): UpstreamSession | null {
    const life = this.#places.nameIn(place).toString('base64url');
    return this.#modern.has(life) ? new ChildSession(this.#modern, life) : null;
  }
}

class ChildSession extends RequestOnlySession {
  readonly #modern: ModernSide;
  readonly #life: string;

  constructor(modern: ModernSide, life: string) {
    super();
    this.#modern = modern;
    this.#life = life;
  }

  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    const modern = { params: options.modern?.params ?? null, life: this.#life };
    const flight = this.#modern.request(message, { ...options, modern }, sink);
    return isRefusal(flight) ? flight : new ChildFlight(flight, sink);
  }
}

/** In this revision a client that leaves has cancelled, from wherever it came. */
class ChildFlight implements InFlight {
  readonly #flight: InFlight;
  readonly #sink: ReplySink;

  constructor(flight: InFlight, sink: ReplySink) {
    this.#flight = flight;
    this.#sink = sink;
  }

  detach(whenOver: () => void): void {
    this.#flight.detach(whenOver);
  }

  /** Who asked is another worker, which waits to hear of the end. */
  gone(): void {
    this.#flight.detach(() => undefined);
    this.#sink.onCancelled();
  }

  resume(): void {
    this.#flight.resume();
  }
}
