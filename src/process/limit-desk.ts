import { systemClock } from '../core/clock.ts';
import type { ConfigSnapshot } from '../core/config.ts';
import type { Log } from '../core/log.ts';
import type { LeaseAccess } from '../core/messages.ts';
import type { AuthorityFigures } from '../observe/authority-families.ts';
import { LeaseServer } from './lease-server.ts';
import { openAuthority, type OpenAuthority } from './open-authority.ts';

/** How often the authority frees what is idle, and renews what it has leased itself. */
const SWEEP_MS = 1000;

/** What the primary keeps of all workers' limits: the authority, and the socket where workers ask it. */
export class LimitDesk {
  readonly #open: OpenAuthority;
  readonly #server: LeaseServer;
  readonly #sweeping = systemClock.every(SWEEP_MS, () => this.#open.authority.sweep(systemClock.nowMs()));

  private constructor(open: OpenAuthority, server: LeaseServer) {
    this.#open = open;
    this.#server = server;
  }

  /** @returns null when one event loop is all there is: its limits are its own. @throws StartError */
  static async open(config: ConfigSnapshot, log: Log): Promise<LimitDesk | null> {
    const isAlone = config.server.workers <= 1 && config.redis === null;
    if (isAlone || !config.rateLimit.isEnabled) return null;
    const open = openAuthority(config, log);
    try {
      return new LimitDesk(open, await LeaseServer.open(open.authority, Math.max(config.server.workers, 1), log));
    } catch (error) {
      await open.close();
      throw error;
    }
  }

  /** For the worker that is being started in a slot. */
  admit(slot: number): LeaseAccess {
    return this.#server.admit(slot);
  }

  /** The worker in a slot has ended; before another is admitted. */
  dismiss(slot: number): void {
    this.#server.dismiss(slot);
  }

  figures(): AuthorityFigures {
    return { authority: this.#open.status(), ...this.#server.stats };
  }

  async close(): Promise<void> {
    this.#sweeping.cancel();
    this.#server.close();
    await this.#open.close();
  }
}
