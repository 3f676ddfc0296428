import { randomBytes } from 'node:crypto';
import type { Timer } from '../core/clock.ts';
import type { UpstreamSettings } from '../core/config.ts';
import type { Places } from '../core/limit.ts';
import type { ClientHello, SessionPlace, UpstreamSession } from '../core/upstream-session.ts';
import { callerName } from '../mcp/session-record.ts';
import { ChannelSession, type ChannelSessionHost } from './channel-session.ts';
import type { Connector } from './channel.ts';
import { type DeadlinesOf, deadlinesOf, longestCallMs } from './deadlines.ts';
import type { UpstreamDeps } from './deps.ts';
import type { SessionHolder } from './lent-sessions.ts';
import { SessionSeats, type SessionSeatsOptions } from './session-seats.ts';

/** A place: the worker (4 bytes, big endian), a random name there, and the address of the host where it can be reached by others. */
const SLOT_BYTES = 4;
const NAME_BYTES = 12;
const HOST_START = SLOT_BYTES + NAME_BYTES;
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
  readonly caller: string;
}

/** What sessions with channels of their own need beside what every upstream does. */
export interface ChannelSessionDeps extends UpstreamDeps {
  readonly places: Places;
}

/**
 * The sessions with one server that have a channel of their own. Clients seldom end theirs: a caller who begins too many loses the own one
 * that was longest unused, and nobody's that is in use. They are counted over all workers; those of this one live here.
 */
export class ChannelSessions implements ChannelSessionHost, SessionHolder {
  readonly settings: UpstreamSettings;
  readonly connector: Connector;
  readonly deps: UpstreamDeps;
  readonly deadlinesOf: DeadlinesOf;
  readonly #limits: ChannelSessionLimits;
  readonly #slot: number;
  readonly #seats: SessionSeats;
  /** By the place's bytes in hexadecimal. */
  readonly #held = new Map<string, Held>();
  /** What ended sessions had behind them, for the moment that it takes to end. */
  readonly #stopping = new Map<string, Promise<void>>();
  #sweeper: Timer | null = null;
  #isClosed = false;

  constructor(
    settings: UpstreamSettings,
    connector: Connector,
    deps: ChannelSessionDeps,
    limits: ChannelSessionLimits = CHANNEL_SESSION_LIMITS,
  ) {
    this.settings = settings;
    this.connector = connector;
    this.deps = deps;
    this.deadlinesOf = deadlinesOf(settings, deps);
    this.#limits = limits;
    this.#slot = deps.sessions?.slot ?? 0;
    const { places, clock } = deps;
    const { maxSessions, maxPerPrincipal } = limits;
    const onShortage: SessionSeatsOptions['onShortage'] = (caller, isWanted) => this.#makeRoom(caller, isWanted);
    this.#seats = new SessionSeats({ places, clock, server: settings.name, maxSessions, maxPerPrincipal, onShortage });
    deps.sessions?.register(this, longestCallMs(settings) + STUCK_MS);
    deps.peers?.register(this, longestCallMs(settings) + STUCK_MS);
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
    return new ChannelSession(this, hello, Buffer.concat([slot, randomBytes(NAME_BYTES), Buffer.from(this.#host)]));
  }

  /** Of this worker, or of the one, perhaps at another host, that its place names. */
  resume(place: SessionPlace): UpstreamSession | null {
    if (place.kind !== 'owned' || place.bytes.length < HOST_START) return null;
    const host = place.bytes.toString('utf8', HOST_START);
    if (host === this.#host) return this.#ofHost(place);
    return host === '' ? null : (this.deps.peers?.reach(host, this.name, place) ?? null);
  }

  /** For another host: one that began at a third is not passed on. */
  ofHost(bytes: Buffer): UpstreamSession | null {
    if (bytes.length < HOST_START || bytes.toString('utf8', HOST_START) !== this.#host) return null;
    return this.#ofHost({ kind: 'owned', revision: '', bytes });
  }

  held(place: Buffer): ChannelSession | null {
    return this.#held.get(place.toString('hex'))?.session ?? null;
  }

  async admit(session: ChannelSession, principalKey: string): Promise<boolean> {
    const caller = callerName(principalKey);
    if (this.#isClosed || !(await this.#seats.take(caller))) return false;
    if (this.#isClosed || session.isOver) {
      this.#seats.leave(caller);
      return false;
    }
    this.#held.set(session.placeBytes.toString('hex'), { session, caller });
    this.#sweeper ??= this.deps.clock.every(SWEEP_MS, () => this.#sweep());
    return true;
  }

  ended(session: ChannelSession): void {
    const name = session.placeBytes.toString('hex');
    const held = this.#held.get(name);
    if (held === undefined) return;
    this.#held.delete(name);
    this.#seats.leave(held.caller);
    if (this.#held.size > 0) return;
    this.#sweeper?.cancel();
    this.#sweeper = null;
  }

  stopping(session: ChannelSession, over: Promise<void>): void {
    const name = session.placeBytes.toString('hex');
    this.#stopping.set(name, over);
    void over.finally(() => this.#stopping.delete(name));
  }

  ending(place: Buffer): Promise<void> | null {
    return this.#stopping.get(place.toString('hex')) ?? null;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#held.values()].map(({ session }) => session.stop('closed')));
  }

  unusedMs(caller: string | null): number {
    const oldest = this.#yielding(caller);
    return oldest === null ? -1 : this.deps.clock.nowMs() - oldest.usedMs;
  }

  yieldOne(caller: string | null): void {
    this.#yielding(caller)?.close();
  }

  /** Empty for a host that no other reaches. */
  get #host(): string {
    return this.deps.peers?.address ?? '';
  }

  #ofHost(place: SessionPlace): UpstreamSession | null {
    const slot = place.bytes.readUInt32BE();
    return slot === this.#slot ? this.held(place.bytes) : (this.deps.sessions?.reach(slot, this.name, place) ?? null);
  }

  /** Of all workers the session gives way that was unused for longest. */
  async #makeRoom(caller: string | null, isWanted: () => boolean): Promise<void> {
    const { sessions = null } = this.deps;
    const other = (await sessions?.ages.ask(this.name, caller)) ?? null;
    if (!isWanted()) return;
    if (other !== null && other.unusedMs > this.unusedMs(caller)) sessions?.askToYield(other.slot, this.name, caller);
    else this.yieldOne(caller);
  }

  /** A caller gives up an own session that is idle; others only what they have not used for a while. */
  #yielding(caller: string | null): ChannelSession | null {
    const all = [...this.#held.values()];
    if (caller === null) return this.#oldest(all, this.#limits.yieldMs);
    return this.#oldest(
      all.filter((held) => held.caller === caller),
      0,
    );
  }

  /** The one of these that was longest unused, for `idleMs` at least; null when there is none. */
  #oldest(all: readonly Held[], idleMs: number): ChannelSession | null {
    const beforeMs = this.deps.clock.nowMs() - idleMs;
    const idle = all.map(({ session }) => session).filter((session) => session.isIdle && session.usedMs <= beforeMs);
    return idle.reduce<ChannelSession | null>((found, one) => (found === null || one.usedMs < found.usedMs ? one : found), null);
  }

  #sweep(): void {
    for (const { session } of this.#held.values()) {
      if (session.isIdle && session.usedMs <= this.deps.clock.nowMs() - this.#limits.idleMs) session.close();
    }
  }
}
