import { systemClock } from '../core/clock.ts';
import type { ConfigSnapshot, RedisSettings } from '../core/config.ts';
import type { Log } from '../core/log.ts';
import type { LeaseAccess } from '../core/messages.ts';
import type { Store } from '../core/store.ts';
import { type BuiltAuthority, buildAuthority } from '../limit/build-authority.ts';
import type { AuthorityFigures } from '../observe/authority-families.ts';
import { LeaseServer } from './lease-server.ts';
import { StartError } from './ports.ts';

/** How often the authority frees what is idle, and renews what it has leased itself. */
const SWEEP_MS = 1000;

/** What the primary keeps of all workers' limits: the authority, and the socket where workers ask it. */
export class LimitDesk {
  readonly #built: BuiltAuthority;
  readonly #server: LeaseServer;
  readonly #sweeping = systemClock.every(SWEEP_MS, () => this.#built.authority.sweep(systemClock.nowMs()));

  private constructor(built: BuiltAuthority, server: LeaseServer) {
    this.#built = built;
    this.#server = server;
  }

  /** @returns null when one event loop is all there is: its limits are its own. @throws StartError */
  static async open(config: ConfigSnapshot, log: Log): Promise<LimitDesk | null> {
    const isAlone = config.server.workers <= 1 && config.redis === null;
    if (isAlone || !config.rateLimit.isEnabled) return null;
    const built = await authorityOf(config, log);
    try {
      return new LimitDesk(built, await LeaseServer.open(built.authority, Math.max(config.server.workers, 1), log));
    } catch (error) {
      await built.close();
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
    // Named one by one: an authority may count more than operators are shown.
    const { kind, mode, size, asks, denials, recalls, tokens } = this.#built.status();
    return { authority: { kind, mode, size, asks, denials, recalls, tokens }, ...this.#server.stats };
  }

  async close(): Promise<void> {
    this.#sweeping.cancel();
    this.#server.close();
    await this.#built.close();
  }
}

/** The store is connected to meanwhile: a gateway starts without it, and each limit is kept as its fail mode says. */
async function authorityOf(config: ConfigSnapshot, log: Log): Promise<BuiltAuthority> {
  // Loaded only where it is configured: the client alone costs megabytes.
  const store = config.redis === null ? null : await import('../store/connect.ts');
  const connect = (settings: RedisSettings): Store => {
    if (store === null) throw new Error('no store is configured');
    return store.connectStore(settings, log);
  };
  try {
    return buildAuthority(config, { clock: systemClock, connect });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartError(`cannot open the store of redis.url: ${reason}`, { cause: error });
  }
}
