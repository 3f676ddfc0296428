import type { Clock } from '../core/clock.ts';
import type { MeshPort } from '../core/mesh.ts';
import type { SessionAge } from '../core/mesh-session.ts';

/** A worker that has not answered by then counts as one that has none. */
const WAIT_MS = 100;

/** Which workers have sessions that are not in use, so that of all of them the one goes first that was unused for longest. */
export class SessionAges {
  readonly #port: MeshPort;
  readonly #clock: Clock;
  /** By number: takes an answer. */
  readonly #open = new Map<number, (age: SessionAge, slot: number) => void>();
  #last = 0;

  constructor(port: MeshPort, clock: Clock) {
    this.#port = port;
    this.#clock = clock;
  }

  /** The other worker whose session was unused for longest, of this caller or of anybody (null); null when there is none. */
  ask(server: string, caller: string | null): Promise<{ readonly slot: number; readonly unusedMs: number } | null> {
    this.#last += 1;
    const call = this.#last;
    const { slots, slot: own } = this.#port;
    const others = Array.from({ length: slots }, (_, slot) => slot).filter((slot) => slot !== own);
    const asked = others.filter((slot) => this.#port.toOwner(slot, { type: 'session', what: 'oldest', call, server, caller }));
    if (asked.length === 0) return Promise.resolve(null);
    return new Promise((resolve) => {
      const silent = new Set(asked);
      let oldest: { readonly slot: number; readonly unusedMs: number } | null = null;
      const finish = (): void => {
        timer.cancel();
        this.#open.delete(call);
        resolve(oldest);
      };
      const timer = this.#clock.after(WAIT_MS, finish);
      this.#open.set(call, ({ unusedMs }, slot) => {
        if (!silent.delete(slot)) return;
        if (unusedMs > (oldest?.unusedMs ?? -1)) oldest = { slot, unusedMs };
        if (silent.size === 0) finish();
      });
    });
  }

  onAge(slot: number, age: SessionAge): void {
    this.#open.get(age.call)?.(age, slot);
  }
}
