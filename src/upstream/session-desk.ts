import type { Clock } from '../core/clock.ts';
import type { MeshPort } from '../core/mesh.ts';
import type { SessionAge, SessionEvent } from '../core/mesh-session.ts';
import type { SessionPlace, UpstreamSession } from '../core/upstream-session.ts';
import { LentSessions, type SessionHolder } from './lent-sessions.ts';
import { RemoteSession } from './remote-session.ts';
import { RemoteSessions } from './remote-sessions.ts';
import { SessionAges } from './session-ages.ts';

/** Sessions that live in one worker, and are used from all: those here that others need, and those of others. */
export class SessionDesk {
  readonly remote: RemoteSessions;
  readonly lent: LentSessions;
  readonly ages: SessionAges;
  readonly #port: MeshPort;

  constructor(port: MeshPort, clock: Clock) {
    this.#port = port;
    this.remote = new RemoteSessions(port, clock);
    this.lent = new LentSessions(port);
    this.ages = new SessionAges(port, clock);
  }

  /** The worker that this is. */
  get slot(): number {
    return this.#port.slot;
  }

  /** All servers first, before anything arrives. */
  register(holder: SessionHolder, longestMs: number): void {
    this.lent.register(holder);
    this.remote.register(holder.name, longestMs);
  }

  /** Has that worker end the session that it named to `ages`. */
  askToYield(slot: number, server: string, caller: string | null): void {
    this.#port.toOwner(slot, { type: 'session', what: 'yield', call: 0, server, caller });
  }

  onEvent(slot: number, event: SessionEvent | SessionAge): void {
    if (event.what === 'age') this.ages.onAge(slot, event);
    else this.remote.onEvent(slot, event);
  }

  /** A session that worker `slot` began; null when there is no such worker. */
  reach(slot: number, server: string, place: SessionPlace): UpstreamSession | null {
    return slot < this.#port.slots ? new RemoteSession(this.remote, () => slot, server, place) : null;
  }
}
