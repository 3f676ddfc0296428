import type { Principal } from '../core/principal.ts';
import type { Session } from './session.ts';

/** A standing stream of a client, as far as others may end it. */
export interface StandingStream {
  readonly session: Session;
  readonly who: Principal;
  /** Ends it in order; the client may open another. */
  end(): void;
}

/** The standing streams that clients hold open in this worker: so many per caller and session, and no more. */
export class SessionStreams {
  readonly #maxPerPrincipal: number;
  readonly #open = new Set<StandingStream>();
  readonly #counts = new Map<string, number>();

  constructor(maxPerPrincipal: number) {
    this.#maxPerPrincipal = maxPerPrincipal;
  }

  get size(): number {
    return this.#open.size;
  }

  /** False: the caller has too many. */
  add(stream: StandingStream): boolean {
    const { principalKey } = stream.session;
    const count = this.#counts.get(principalKey) ?? 0;
    if (count >= this.#maxPerPrincipal) return false;
    this.#counts.set(principalKey, count + 1);
    this.#open.add(stream);
    return true;
  }

  remove(stream: StandingStream): void {
    if (!this.#open.delete(stream)) return;
    const { principalKey } = stream.session;
    const count = (this.#counts.get(principalKey) ?? 1) - 1;
    if (count === 0) this.#counts.delete(principalKey);
    else this.#counts.set(principalKey, count);
  }

  /** Sessions that somebody listens to. */
  sessions(): Session[] {
    return [...this.#open].map(({ session }) => session);
  }

  /** Ends those of one session. */
  endSession(ref: string): void {
    for (const stream of this.#open) if (stream.session.ref === ref) stream.end();
  }

  /** Ends all: the gateway drains. */
  endAll(): void {
    for (const stream of this.#open) stream.end();
  }
}
