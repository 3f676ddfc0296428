import type { Access } from '../core/access.ts';
import type { Clock } from '../core/clock.ts';
import type { Envelope } from '../core/envelope.ts';
import { UPSTREAM_DOWN } from '../core/errors.ts';
import type { Refusal } from '../core/refusal.ts';
import type { ListKind } from '../core/upstream.ts';
import type { ClientHello, SessionPlace, UpstreamSession } from '../core/upstream-session.ts';
import type { Aim, Selection } from '../core/virtual.ts';
import type { EventStore } from './event-store.ts';
import type { Member } from './list-merge.ts';
import { OwnedBook } from './owned-book.ts';
import type { OwnedPlacesDeps } from './owned-places.ts';
import { VirtualSession, type VirtualSessionHost } from './virtual-session.ts';
import type { MemberRequests } from './virtual-requests.ts';

export interface VirtualSessionsDeps extends OwnedPlacesDeps {
  readonly name: string;
  readonly version: string;
  readonly clock: Clock;
  readonly kept: EventStore | null;
  readonly selection: Selection;
  readonly timeoutMs: number;
  readonly members: readonly Member[];
  aim(message: Envelope, access: Access): Aim | Refusal | null;
  newRequests(): MemberRequests;
}

/** The sessions of clients at one virtual server: those that live in this worker, used from all. */
export class VirtualSessions implements VirtualSessionHost {
  readonly name: string;
  readonly version: string;
  readonly clock: Clock;
  readonly kept: EventStore | null;
  readonly selection: Selection;
  readonly timeoutMs: number;
  readonly #deps: VirtualSessionsDeps;
  readonly #book: OwnedBook<VirtualSession>;

  constructor(deps: VirtualSessionsDeps) {
    this.#deps = deps;
    this.name = deps.name;
    this.version = deps.version;
    this.clock = deps.clock;
    this.kept = deps.kept;
    this.selection = deps.selection;
    this.timeoutMs = deps.timeoutMs;
    this.#book = new OwnedBook(deps.name, deps);
  }

  /** Null where no member keeps sessions. */
  open(hello: ClientHello): VirtualSession | null {
    const mayKeep = this.#deps.members.some(({ upstream }) => upstream.newSession(hello) !== null);
    return mayKeep ? new VirtualSession(this, hello) : null;
  }

  /** Of this worker, or of the one, perhaps at another host, that its place names. */
  resume(place: SessionPlace): UpstreamSession | null {
    return place.kind === 'owned' ? this.#book.find(place.bytes) : null;
  }

  memberChanged(name: string, kind: ListKind | null): void {
    for (const session of this.#book.all) session.memberChanged(name, kind);
  }

  reachable(access: Access): readonly Member[] {
    return this.#deps.members.filter(({ upstream }) => access.mayReach(upstream.name));
  }

  aim(message: Envelope, access: Access): Aim | Refusal | null {
    return this.#deps.aim(message, access);
  }

  newRequests(): MemberRequests {
    return this.#deps.newRequests();
  }

  admit(session: VirtualSession): Buffer | null {
    return this.#book.admit(session);
  }

  ended(session: VirtualSession): void {
    this.#book.ended(session);
  }

  /** Resolves when the members know, or never will. */
  async close(): Promise<void> {
    await Promise.all(
      this.#book.all.map(async (session) => {
        const { promise, resolve } = Promise.withResolvers<void>();
        session.end(UPSTREAM_DOWN, 'closed', resolve);
        await promise;
      }),
    );
  }
}
