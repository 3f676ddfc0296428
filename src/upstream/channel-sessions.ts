import { randomBytes } from 'node:crypto';
import type { Timer } from '../core/clock.ts';
import type { UpstreamSettings } from '../core/config.ts';
import type { ClientHello, SessionPlace, UpstreamSession } from '../core/upstream-session.ts';
import { ChannelSession, type ChannelSessionHost } from './channel-session.ts';
import type { Connector } from './channel.ts';
import { type DeadlinesOf, deadlinesOf, longestCallMs } from './deadlines.ts';
import type { UpstreamDeps } from './deps.ts';
import type { SessionHolder } from './lent-sessions.ts';

/** A place: the worker (4 bytes, big endian), and a random name there. */
const SLOT_BYTES = 4;
const NAME_BYTES = 12;
const SWEEP_MS = 10_000;
/** Beyond the last deadline of a request, until a worker that does not answer is given up. */
const STUCK_MS = 5000;

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
export class ChannelSessions implements ChannelSessionHost, SessionHolder {
  readonly settings: UpstreamSettings;
  readonly connector: Connector;
  readonly deps: UpstreamDeps;
  readonly deadlinesOf: DeadlinesOf;
  readonly #limits: ChannelSessionLimits;
  readonly #slot: number;
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
    this.#slot = deps.sessions?.slot ?? 0;
    deps.sessions?.register(this, longestCallMs(settings) + STUCK_MS);
  }

  get name(): string {
    return this.settings.name;
  }

  get inFlight(): number {
    return [...this.#held.values()].reduce((sum, { session }) => sum + session.inFlight, 0);
  }

  /** Of the children that sessions have now. */
  get pids(): readonly number[] {
    return [...this.#held.values()].flatMap(({ session }) => session.pid ?? []);
  }

  open(hello: ClientHello): ChannelSession {
    const slot = Buffer.alloc(SLOT_BYTES);
    slot.writeUInt32BE(this.#slot);
    return new ChannelSession(this, hello, Buffer.concat([slot, randomBytes(NAME_BYTES)]));
  }

  /** Of this worker, or of the one that its place names. */
  resume(place: SessionPlace): UpstreamSession | null {
    if (place.kind !== 'owned' || place.bytes.length !== SLOT_BYTES + NAME_BYTES) return null;
    const slot = place.bytes.readUInt32BE();
    return slot === this.#slot ? this.held(place.bytes) : (this.deps.sessions?.reach(slot, this.name, place) ?? null);
  }

  held(place: Buffer): ChannelSession | null {
    return this.#held.get(place.toString('hex'))?.session ?? null;
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
