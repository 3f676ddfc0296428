import type { Clock } from '../core/clock.ts';
import type { Places } from '../core/limit.ts';

/** How long a session that is to begin waits while others end for it. */
const WAIT_MS = 1250;
/** How often it is asked meanwhile that one ends. */
const PRESS_MS = 250;

export interface SessionSeatsOptions {
  readonly places: Places;
  readonly clock: Clock;
  readonly server: string;
  readonly maxSessions: number;
  readonly maxPerPrincipal: number;
  /** Seats are wanted and there are none: end a session of this caller, or of anybody (null), that is not in use, while it is still wanted. */
  onShortage(caller: string | null, isWanted: () => boolean): Promise<void>;
}

/** How many sessions with one server there may be in all workers together: of each caller, and in all. */
export class SessionSeats {
  readonly #options: SessionSeatsOptions;
  readonly #all: string;

  constructor(options: SessionSeatsOptions) {
    this.#options = options;
    this.#all = `sessions:${options.server}`;
  }

  /** False: there is none, also after a while. Each that was taken is to be left. */
  async take(caller: string): Promise<boolean> {
    const { places, maxPerPrincipal, maxSessions } = this.#options;
    if (!(await this.#enter(this.#keyOf(caller), maxPerPrincipal, caller))) return false;
    if (await this.#enter(this.#all, maxSessions, null)) return true;
    places.leave(this.#keyOf(caller));
    return false;
  }

  leave(caller: string): void {
    this.#options.places.leave(this.#all);
    this.#options.places.leave(this.#keyOf(caller));
  }

  async #enter(key: string, max: number, caller: string | null): Promise<boolean> {
    const { places } = this.#options;
    const entry = places.enter(key, max);
    if (entry === 'entered') return true;
    if (entry === 'unknown' && (await new Promise<boolean>((done) => places.whenFree(key, max, 'brief', done)))) return true;
    return await this.#press(key, max, caller);
  }

  #press(key: string, max: number, caller: string | null): Promise<boolean> {
    const { places, clock } = this.#options;
    return new Promise((resolve) => {
      let isWanted = true;
      const finish = (isEntered: boolean): void => {
        isWanted = false;
        pressing.cancel();
        late.cancel();
        resolve(isEntered);
      };
      const press = (): void => void this.#options.onShortage(caller, () => isWanted);
      const pressing = clock.every(PRESS_MS, press);
      const late = clock.after(WAIT_MS, () => {
        ticket.cancel();
        finish(false);
      });
      const ticket = places.whenFree(key, max, 'patient', finish);
      // Else not yet: a worker that is busy for a moment and does not give back what it has free must cost nobody a session.
      if (places.isTaken(key)) press();
    });
  }

  #keyOf(caller: string): string {
    return `${this.#all}:${caller}`;
  }
}
