import type { Clock, Timer } from '../core/clock.ts';
import type { Envelope } from '../core/envelope.ts';
import { UPSTREAM_BUSY } from '../core/errors.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { RequestOptions } from '../core/upstream.ts';
import type { ClientHello, UpstreamSession } from '../core/upstream-session.ts';
import { OwnCall } from './own-call.ts';
import { ownMessage } from './own-message.ts';

/** Sessions at once, of all callers of this worker and of one. */
const MAX_SESSIONS = 256;
const MAX_PER_CALLER = 16;
/** One that nobody needs for as long ends. */
const IDLE_MS = 60_000;
const SWEEP_MS = 10_000;
/** That a server keeps no sessions is believed for as long. */
const SHARED_TTL_MS = 300_000;

const OPENING: Envelope = ownMessage('{"jsonrpc":"2.0","id":"open","method":"initialize","params":{}}');
const INITIALIZED: Envelope = ownMessage('{"jsonrpc":"2.0","method":"notifications/initialized"}');

/** A session of one caller, lent to one call at a time: so whatever the server asks in it is about that call. */
export interface AskingSession {
  readonly key: string;
  readonly caller: string;
  readonly session: UpstreamSession;
  isLent: boolean;
  usedMs: number;
}

/** What became of the wish for a session. Null: the server keeps none. */
export type Lent = AskingSession | Refusal | null;

/**
 * Sessions with a server of an older revision for callers that have none themselves, but can be asked. One belongs to one caller, and to
 * what that caller says it can do; it is used again, but by no other caller, ever.
 */
export class AskingSessions {
  readonly #clock: Clock;
  readonly #begin: (hello: ClientHello) => UpstreamSession | null;
  readonly #all = new Set<AskingSession>();
  #sweeper: Timer | null = null;
  #sharedUntilMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  /** `begin`: a session that has not begun; null where there are none. */
  constructor(clock: Clock, begin: (hello: ClientHello) => UpstreamSession | null) {
    this.#clock = clock;
    this.#begin = begin;
  }

  /** Calls back once, inside or later. */
  lend(hello: ClientHello, options: RequestOptions, done: (lent: Lent) => void): void {
    const { principalKey: caller } = options;
    const nowMs = this.#clock.nowMs();
    if (nowMs < this.#sharedUntilMs) return done(null);
    const key = JSON.stringify([caller, hello.capabilities, hello.clientInfo]);
    const idle = this.#idle((own) => own.key === key);
    if (idle !== undefined) {
      idle.isLent = true;
      return done(idle);
    }
    if (this.#isClosed || !this.#makeRoom(caller)) return done(UPSTREAM_BUSY);
    const session = this.#begin(hello);
    if (session === null) return done(null);
    const own: AskingSession = { key, caller, session, isLent: true, usedMs: nowMs };
    this.#all.add(own);
    this.#sweeper ??= this.#clock.every(SWEEP_MS, () => this.#sweep());
    this.#open(own, options, done);
  }

  /** `isUsable`: nothing is under way in it any more. */
  giveBack(own: AskingSession, isUsable: boolean): void {
    own.isLent = false;
    own.usedMs = this.#clock.nowMs();
    if (!isUsable || this.#isClosed) this.#drop(own);
  }

  close(): void {
    this.#isClosed = true;
    for (const own of this.#all) this.#drop(own);
  }

  #open(own: AskingSession, options: RequestOptions, done: (lent: Lent) => void): void {
    const { session } = own;
    const opening = new OwnCall(({ refusal }) => {
      if (refusal !== null) return this.#lost(own, refusal, done);
      if (session.agreement === null) return this.#lost(own, null, done);
      if (session.place === null) return this.#shared(own, done);
      // Strict servers refuse what comes before it.
      const lost = session.notify(INITIALIZED, options, () => done(own));
      if (lost !== null) this.#lost(own, lost, done);
    });
    const flight = session.request(OPENING, options, opening);
    if (isRefusal(flight)) this.#lost(own, flight, done);
  }

  #shared(own: AskingSession, done: (lent: Lent) => void): void {
    this.#sharedUntilMs = this.#clock.nowMs() + SHARED_TTL_MS;
    this.#lost(own, null, done);
  }

  #lost(own: AskingSession, lent: Refusal | null, done: (lent: Lent) => void): void {
    this.#drop(own);
    done(lent);
  }

  /** An idle session gives way: of this caller when it has as many as it may, else anybody's. */
  #makeRoom(caller: string): boolean {
    const count = [...this.#all].filter((own) => own.caller === caller).length;
    if (count < MAX_PER_CALLER && this.#all.size < MAX_SESSIONS) return true;
    const idle = this.#idle((own) => count < MAX_PER_CALLER || own.caller === caller);
    if (idle !== undefined) this.#drop(idle);
    return idle !== undefined;
  }

  /** The one that was longest unused. */
  #idle(isWanted: (own: AskingSession) => boolean): AskingSession | undefined {
    const idle = [...this.#all].filter((own) => !own.isLent && isWanted(own));
    return idle.sort((one, other) => one.usedMs - other.usedMs)[0];
  }

  #sweep(): void {
    const beforeMs = this.#clock.nowMs() - IDLE_MS;
    for (const own of this.#all) if (!own.isLent && own.usedMs <= beforeMs) this.#drop(own);
    if (this.#all.size > 0) return;
    this.#sweeper?.cancel();
    this.#sweeper = null;
  }

  #drop(own: AskingSession): void {
    if (this.#all.delete(own)) own.session.close();
    if (this.#all.size > 0) return;
    this.#sweeper?.cancel();
    this.#sweeper = null;
  }
}
