import type { Clock } from '../core/clock.ts';
import { UPSTREAM_DOWN } from '../core/errors.ts';
import type { ClientHello, UpstreamSession } from '../core/upstream-session.ts';
import type { EventStore } from './event-store.ts';
import { ModernSession, type ModernSessionHost } from './modern-session.ts';
import type { ModernSide } from './modern-side.ts';
import { OwnedPlaces, type OwnedPlacesDeps } from './owned-places.ts';

/** Sessions with one server in this worker; how many one caller may have, and how long they live unused, the ledger of sessions sees to. */
const MAX_SESSIONS = 4096;

export interface ModernSessionsDeps extends OwnedPlacesDeps {
  readonly server: string;
  readonly clock: Clock;
  readonly modern: ModernSide;
  readonly kept: EventStore | null;
}

/** The sessions that the gateway keeps for clients of older revisions with a server of 2026-07-28: those that live in this worker, used from all. */
export class ModernSessions implements ModernSessionHost {
  readonly clock: Clock;
  readonly modern: ModernSide;
  readonly kept: EventStore | null;
  readonly #places: OwnedPlaces;
  /** By the place's bytes in hexadecimal. */
  readonly #held = new Map<string, ModernSession>();

  constructor(deps: ModernSessionsDeps) {
    this.clock = deps.clock;
    this.modern = deps.modern;
    this.kept = deps.kept;
    this.#places = new OwnedPlaces(deps.server, deps, (place) => this.#held.get(place.toString('hex')) ?? null);
  }

  open(hello: ClientHello): ModernSession {
    return new ModernSession(this, hello);
  }

  /** Of this worker, or of the one, perhaps at another host, that its place names. */
  find(place: Buffer): UpstreamSession | null {
    return this.#places.find(place);
  }

  /** When there are too many the one gives way that was longest unused, if any is idle. */
  admit(session: ModernSession): Buffer | null {
    if (this.#held.size >= MAX_SESSIONS) {
      const idle = [...this.#held.values()].filter(({ isIdle }) => isIdle);
      const oldest = idle.reduce<ModernSession | null>((found, one) => (found === null || one.usedMs < found.usedMs ? one : found), null);
      if (oldest === null) return null;
      oldest.close();
    }
    const place = this.#places.mint();
    this.#held.set(place.toString('hex'), session);
    return place;
  }

  ended({ place }: ModernSession): void {
    if (place !== null) this.#held.delete(place.bytes.toString('hex'));
  }

  close(): void {
    for (const session of this.#held.values()) session.end(UPSTREAM_DOWN, 'closed');
  }
}
