import { randomBytes } from 'node:crypto';
import type { Timer } from '../core/clock.ts';
import type { UpstreamSettings } from '../core/config.ts';
import type { ClientHello, SessionPlace } from '../core/upstream-session.ts';
import { ChannelSession, type ChannelSessionHost } from './channel-session.ts';
import type { Connector } from './channel.ts';
import { type DeadlinesOf, deadlinesOf } from './deadlines.ts';
import type { UpstreamDeps } from './deps.ts';

const PLACE_BYTES = 16;
const SWEEP_MS = 10_000;

/** How many sessions there may be with one server, each with a process or a connection of its own. */
export interface ChannelSessionLimits {
  readonly maxSessions: number;
  readonly maxPerPrincipal: number;
  /** One that nobody has used for as long ends. */
  readonly idleMs: number;
  /** One that nobody has used for as long gives way to a new one when all places are taken. */
  readonly yieldMs: number;
}

export const CHANNEL_SESSION_LIMITS: ChannelSessionLimits = {
  maxSessions: 64,
  maxPerPrincipal: 16,
  idleMs: 1_800_000,
  yieldMs: 60_000,
};

interface Held {
  readonly session: ChannelSession;
  readonly principalKey: string;
}

/**
 * The sessions with one server that have a channel of their own. Clients seldom end theirs: a caller who begins too many loses the own one
 * that was longest unused, and nobody's that is in use.
 */
export class ChannelSessions implements ChannelSessionHost {
  readonly settings: UpstreamSettings;
  readonly connector: Connector;
  readonly deps: UpstreamDeps;
  readonly deadlinesOf: DeadlinesOf;
  readonly #limits: ChannelSessionLimits;
  /** By the place's bytes in hexadecimal. */
  readonly #held = new Map<string, Held>();
  #sweeper: Timer | null = null;
  #isClosed = false;

  constructor(settings: UpstreamSettings, connector: Connector, deps: UpstreamDeps, limits: ChannelSessionLimits = CHANNEL_SESSION_LIMITS) {
    this.settings = settings;
    this.connector = connector;
    this.deps = deps;
    this.deadlinesOf = deadlinesOf(settings, deps);
    this.#limits = limits;
  }

  get inFlight(): number {
    return [...this.#held.values()].reduce((sum, { session }) => sum + session.inFlight, 0);
  }

  /** Of the children that sessions have now. */
  get pids(): readonly number[] {
    return [...this.#held.values()].flatMap(({ session }) => session.pid ?? []);
  }

  open(hello: ClientHello): ChannelSession {
    return new ChannelSession(this, hello, randomBytes(PLACE_BYTES));
  }

  resume({ kind, bytes }: SessionPlace): ChannelSession | null {
    return kind === 'owned' ? (this.#held.get(bytes.toString('hex'))?.session ?? null) : null;
  }

  admit(session: ChannelSession, principalKey: string): boolean {
    if (this.#isClosed) return false;
    const { maxPerPrincipal, maxSessions, yieldMs } = this.#limits;
    const own = [...this.#held.values()].filter((held) => held.principalKey === principalKey);
    if (own.length >= maxPerPrincipal && !this.#endOldest(own, 0)) return false;
    if (this.#held.size >= maxSessions && !this.#endOldest([...this.#held.values()], yieldMs)) return false;
    this.#held.set(session.placeBytes.toString('hex'), { session, principalKey });
    this.#sweeper ??= this.deps.clock.every(SWEEP_MS, () => this.#sweep());
    return true;
  }

  ended(session: ChannelSession): void {
    this.#held.delete(session.placeBytes.toString('hex'));
    if (this.#held.size > 0) return;
    this.#sweeper?.cancel();
    this.#sweeper = null;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#held.values()].map(({ session }) => session.stop('closed')));
  }

  /** Ends the one of these that was longest unused, for `idleMs` at least; false when there is none. */
  #endOldest(all: readonly Held[], idleMs: number): boolean {
    const beforeMs = this.deps.clock.nowMs() - idleMs;
    const idle = all.map(({ session }) => session).filter((session) => session.isIdle && session.usedMs <= beforeMs);
    const oldest = idle.reduce<ChannelSession | null>((found, one) => (found === null || one.usedMs < found.usedMs ? one : found), null);
    oldest?.close();
    return oldest !== null;
  }

  #sweep(): void {
    while (this.#endOldest([...this.#held.values()], this.#limits.idleMs));
  }
}
