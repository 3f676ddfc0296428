import type { UpstreamSession } from '../core/upstream-session.ts';
import { OwnedPlaces, type OwnedPlacesDeps } from './owned-places.ts';

/** In the name of one server in this worker; how many one caller may have, and how long they live unused, the ledger of sessions sees to. */
const MAX_SESSIONS = 4096;

/** A session that the gateway keeps. */
export interface OwnedSession extends UpstreamSession {
  /** When its client was last heard. */
  readonly usedMs: number;
  /** Nothing is under way, and nobody listens. */
  readonly isIdle: boolean;
}

/** The sessions that the gateway keeps in the name of one server: those that live in this worker, used from all. */
export class OwnedBook<T extends OwnedSession> {
  readonly #places: OwnedPlaces;
  /** By the place's bytes in hexadecimal. */
  readonly #held = new Map<string, T>();

  constructor(server: string, deps: OwnedPlacesDeps) {
    this.#places = new OwnedPlaces(server, deps, (place) => this.#held.get(place.toString('hex')) ?? null);
  }

  get all(): readonly T[] {
    return [...this.#held.values()];
  }

  /** Of this worker, or of the one, perhaps at another host, that its place names. */
  find(place: Buffer): UpstreamSession | null {
    return this.#places.find(place);
  }

  /**
   * A place, and room, for one more; null when there is none. From now on it is found by that place, until `ended`. When there are too many
   * the one gives way that was longest unused, if any is idle.
   */
  admit(session: T): Buffer | null {
    if (this.#held.size >= MAX_SESSIONS) {
      const idle = [...this.#held.values()].filter(({ isIdle }) => isIdle);
      const oldest = idle.reduce<T | null>((found, one) => (found === null || one.usedMs < found.usedMs ? one : found), null);
      if (oldest === null) return null;
      oldest.close();
    }
    const place = this.#places.mint();
    this.#held.set(place.toString('hex'), session);
    return place;
  }

  ended({ place }: T): void {
    if (place !== null) this.#held.delete(place.bytes.toString('hex'));
  }
}
