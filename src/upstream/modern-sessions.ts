import type { Clock } from '../core/clock.ts';
import { UPSTREAM_DOWN } from '../core/errors.ts';
import type { ClientHello, UpstreamSession } from '../core/upstream-session.ts';
import type { EventStore } from './event-store.ts';
import { ModernSession, type ModernSessionHost } from './modern-session.ts';
import type { ModernSide } from './modern-side.ts';
import { OwnedBook } from './owned-book.ts';
import type { OwnedPlacesDeps } from './owned-places.ts';

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
  readonly #book: OwnedBook<ModernSession>;

  constructor(deps: ModernSessionsDeps) {
    this.clock = deps.clock;
    this.modern = deps.modern;
    this.kept = deps.kept;
    this.#book = new OwnedBook(deps.server, deps);
  }

  open(hello: ClientHello): ModernSession {
    return new ModernSession(this, hello);
  }

  /** Of this worker, or of the one, perhaps at another host, that its place names. */
  find(place: Buffer): UpstreamSession | null {
    return this.#book.find(place);
  }

  admit(session: ModernSession): Buffer | null {
    return this.#book.admit(session);
  }

  ended(session: ModernSession): void {
    this.#book.ended(session);
  }

  close(): void {
    for (const session of this.#book.all) session.end(UPSTREAM_DOWN, 'closed');
  }
}
