import type { Clock } from '../core/clock.ts';
import type { PoolSettings, StdioSettings, UpstreamSettings } from '../core/config.ts';
import type { ChildEra, PeerEra } from '../core/mesh.ts';
import type { UpstreamEvents, UpstreamInfo, UpstreamState } from '../core/upstream.ts';
import type { UpstreamDeps } from './deps.ts';
import { HandshakeTrial } from './handshake-trial.ts';
import { ModernChild } from './modern-child.ts';
import { PoolCare, type PoolCareHost } from './pool-care.ts';
import { PoolChild } from './pool-child.ts';
import type { PoolCall } from './pool-call.ts';
import { eventsOfChild } from './pool-deps.ts';
import { PoolEra } from './pool-era.ts';
import type { PoolNews } from './pool-news.ts';
import { eraOf, keyOf, type Seats, seatKey } from './pool-seats.ts';
import { StdioUpstream } from './stdio.ts';

/** Who lacks a child waits so long for one that has tasks to finish, and is then given its seat all the same. */
const YIELD_GRACE_MS = 30_000;

export interface PoolChildrenDeps extends UpstreamDeps {
  readonly seats: Seats;
  /** Where children that all share tell what they say; null where each has callers of its own. */
  readonly hub: PoolNews | null;
  /** This worker finds out which revisions the server speaks. */
  readonly isFirst: boolean;
  /** This worker tries a handshake again that the server did not take. */
  readonly triesAgain: boolean;
  /** Something changed that calls may wait for: a child has room, or a seat is free. */
  onRoom(): void;
  /** How they are, all together. */
  onState(): void;
}

/** What `take` comes to: a child; all are at work; none works. */
export type Taken = PoolChild | 'busy' | 'down';

/**
 * The children of one server in this worker: started on demand, ended when idle, replaced when they are worn. A child speaks the revisions with a
 * handshake, or 2026-07-28, and those of both kinds have the same seats: one gives way to another that is lacking.
 */
export class PoolChildren implements PoolCareHost {
  readonly #settings: UpstreamSettings;
  readonly #stdio: StdioSettings;
  readonly #pool: PoolSettings;
  readonly #deps: PoolChildrenDeps;
  readonly #clock: Clock;
  readonly #era: PoolEra;
  readonly #trial: HandshakeTrial;
  readonly #children: PoolChild[] = [];
  readonly #ending = new Set<Promise<void>>();
  #info: UpstreamInfo | null = null;
  /** What was heard last of any child that was shaken hands with. */
  #heard: 'nothing' | 'good' | 'bad' = 'nothing';
  #detail: string | null = 'not connected yet';
  readonly #care: PoolCare;
  #isClosed = false;

  constructor(settings: UpstreamSettings, stdio: StdioSettings, pool: PoolSettings, deps: PoolChildrenDeps) {
    this.#settings = settings;
    this.#stdio = stdio;
    this.#pool = pool;
    this.#deps = deps;
    this.#clock = deps.clock;
    this.#era = new PoolEra(deps.clock);
    this.#trial = new HandshakeTrial(deps.clock, () => this.#tryHandshake());
    this.#care = new PoolCare(pool, deps.clock, this);
  }

  /** Those that are not ended yet. */
  get list(): readonly PoolChild[] {
    return this.#children;
  }

  /** Of the last child that was ready after a handshake. */
  get info(): UpstreamInfo | null {
    return this.#info;
  }

  /** Of those with a handshake. `ready` as well when all that were started have ended well; `starting` when nothing is known. */
  get state(): UpstreamState {
    // Nobody waits for one that only tries.
    const older = this.#of('legacy').filter((child) => !child.isTrial || child.isReady);
    if (this.#heard === 'good' || older.some((child) => child.isReady)) return 'ready';
    if (older.some(({ upstream }) => upstream.state === 'down')) return 'down';
    return this.#heard === 'bad' && older.length === 0 ? 'down' : 'starting';
  }

  get detail(): string | null {
    return this.state === 'ready' ? null : this.#detail;
  }

  /** What is known here of revision 2026-07-28. */
  get modern(): PeerEra {
    return this.#era.status;
  }

  get pids(): readonly number[] {
    return this.#children.flatMap(({ upstream }) => upstream.pids);
  }

  /** Starts those that are there from the beginning. */
  start(): void {
    for (const number of this.#deps.seats.first()) this.#start(number, '', 'legacy');
  }

  /** Asks the server for its revisions, unless that is known; by a child that has a seat like any other. */
  probe(): void {
    if (this.#era.isDue) this.#era.asking();
    this.#tryProbe();
  }

  /** The server takes no handshake and speaks the newer revision: those that wait for one to be taken give way, and one tries again after a while. */
  settle(): void {
    for (const child of this.#of('legacy')) {
      if (child.upstream.state !== 'down' || !child.isIdle) continue;
      if (child.isTrial) this.retire(child);
      else this.#yield(child, 'modern');
    }
    if (this.#deps.triesAgain && !this.#isClosed) this.#trial.plan();
  }

  /** Somebody wants to be told of changes: one that could tell is there. */
  listen(): void {
    if (this.#deps.isFirst && this.#era.info !== null && this.#of('modern').length === 0) this.#grow('', 'modern');
  }

  /** A child for a call of this key. It is the caller's to say `begin`. */
  take(key: string, era: ChildEra): Taken {
    return this.#pool.isolation === 'shared' ? this.#takeShared(era) : this.#takeOwn(key, era);
  }

  begin(child: PoolChild, { isOpen }: PoolCall): void {
    child.calls += 1;
    if (isOpen) child.listening += 1;
    else child.inFlight += 1;
    this.#care.wear(child);
  }

  /** A call that was begun is over. */
  end(child: PoolChild, { isOpen }: PoolCall): void {
    if (isOpen) child.listening -= 1;
    else child.inFlight -= 1;
    child.lastUsedMs = this.#clock.nowMs();
    if (child.isRetiring && child.inFlight > 0) return;
    if (child.isRetiring && this.#care.mayRetire(child)) return this.retire(child);
    this.#tryProbe();
    this.#deps.onRoom();
  }

  /** Where a notification of this key goes; null where no child would understand it. */
  listener(key: string, era: ChildEra): PoolChild['upstream'] | null {
    const ready = this.#of(era).filter((child) => child.key === key && child.isReady);
    ready.sort((one, other) => one.inFlight - other.inFlight);
    return ready[0]?.upstream ?? null;
  }

  /** The child that has this life (`ModernInfo`), whoever's it is; also one that takes no new calls. */
  withLife(life: string): PoolChild | null {
    return this.#of('modern').find(({ upstream }) => upstream.has?.(life) === true) ?? null;
  }

  /** The one child of a key that was shaken hands with; null where all share them, or there is none. */
  own(key: string): PoolChild | null {
    return key === '' ? null : (this.#of('legacy').find((child) => child.key === key) ?? null);
  }

  /**
   * Ends the child that was idle for longest of those that nobody needs as much, so that its seat becomes free, unless as many as are `wanted` are about
   * to end; false when all are in use.
   */
  evict(era: ChildEra, wanted: number = Number.POSITIVE_INFINITY): boolean {
    return this.#pool.isolation === 'shared' ? this.#evictShared(era) : this.#evictOwn(wanted);
  }

  /** A seat that was asked for is there. */
  seated(number: number, seat: string): void {
    this.#start(number, keyOf(seat), eraOf(seat));
    this.#deps.onRoom();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#trial.end();
    this.#care.stop();
    await Promise.all([...this.#children.map(({ upstream }) => upstream.close()), ...this.#ending]);
  }

  #of(era: ChildEra): PoolChild[] {
    return this.#children.filter((child) => child.era === era);
  }

  #takeShared(era: ChildEra): Taken {
    const { childCalls } = this.#pool;
    const open = this.#of(era).filter((child) => child.hasRoom(childCalls));
    open.sort((one, other) => Number(other.isReady) - Number(one.isReady) || one.inFlight - other.inFlight);
    const [best] = open;
    if (best?.isReady === true && best.inFlight === 0) return best;
    const fresh = this.#grow('', era);
    if (best?.isReady === true) return best;
    return fresh ?? best ?? this.#none(era);
  }

  #takeOwn(key: string, era: ChildEra): Taken {
    const own = this.#of(era).find((child) => child.key === key);
    if (own === undefined) return this.#mayStart(era) ? (this.#grow(key, era) ?? 'busy') : 'down';
    if (own.isRetiring) return 'busy';
    return own.upstream.isUsable ? own : 'down';
  }

  /** Where there is none of that kind, others may be ended for it. */
  #none(era: ChildEra): 'busy' | 'down' {
    if (!this.#mayStart(era)) return 'down';
    const isAny = this.#of(era).some((child) => child.isRetiring || child.upstream.isUsable);
    const isOther = this.#of(era).length === 0 && this.#children.length > 0;
    return isAny || isOther ? 'busy' : 'down';
  }

  #mayStart(era: ChildEra): boolean {
    return era === 'legacy' || this.#era.mayStart;
  }

  /** Who has one started waits for it, if only to listen; nobody for one that only tries. */
  #evictOwn(wanted: number): boolean {
    if (this.#ending.size >= wanted) return true;
    const isBegun = ({ isTrial, upstream }: PoolChild): boolean => isTrial || upstream.state !== 'starting';
    const idle = this.#children.filter((child) => isBegun(child) && !this.#isKept(child) && this.#mayYield(child));
    idle.sort((one, other) => one.lastUsedMs - other.lastUsedMs);
    const [oldest] = idle;
    if (oldest !== undefined) this.retire(oldest);
    return oldest !== undefined;
  }

  /** One of the other kind, even if it is kept: first those that do not work. */
  #evictShared(era: ChildEra): boolean {
    if (this.#children.some((child) => child.successor === era)) return true;
    if (this.#of(era).some((child) => child.hasRoom(this.#pool.childCalls)) || !this.#mayStart(era)) return false;
    const idle = this.#children.filter((child) => child.era !== era && this.#mayYield(child));
    idle.sort((one, other) => Number(one.isReady) - Number(other.isReady) || one.lastUsedMs - other.lastUsedMs);
    const [oldest] = idle;
    if (oldest !== undefined) this.#yield(oldest, era);
    return oldest !== undefined;
  }

  #mayYield(child: PoolChild): boolean {
    return child.isIdle && !this.#isAsked(child) && child.mayEnd(this.#clock.nowMs(), YIELD_GRACE_MS);
  }

  #tryProbe(): void {
    if (this.#era.verdict !== 'asking' || this.#of('modern').length > 0 || this.#isClosed) return;
    if (this.#grow('', 'modern') === null && this.#pool.isolation === 'shared') this.#evictShared('modern');
  }

  #grow(key: string, era: ChildEra): PoolChild | null {
    if (this.#isClosed || !this.#mayStart(era)) return null;
    const number = this.#deps.seats.take(seatKey(key, era));
    return number === null ? null : this.#start(number, key, era);
  }

  /** By a seat that nobody needs: no child that works gives way for it. */
  #tryHandshake(): void {
    if (!this.#isTrialWanted) return;
    this.#deps.seats.spare((number) => {
      if (number === null && !this.#isClosed) this.#trial.plan();
      if (number === null) return;
      if (this.#isTrialWanted) this.#start(number, '', 'legacy', true);
      else this.#deps.seats.leave(number);
    });
  }

  get #isTrialWanted(): boolean {
    return !this.#isClosed && this.#info === null && this.#of('legacy').length === 0;
  }

  #start(number: number, key: string, era: ChildEra, isTrial = false): PoolChild {
    const upstream = era === 'legacy' ? this.#legacyChild() : this.#modernChild();
    const child = new PoolChild(number, key, era, upstream, this.#clock.nowMs());
    child.isTrial = isTrial;
    this.#children.push(child);
    this.#care.start();
    if (era === 'modern') this.#era.asking();
    upstream.start();
    this.#deps.events.childrenChanged(this.#settings.name);
    return child;
  }

  #legacyChild(): StdioUpstream {
    const events: UpstreamEvents = {
      ...eventsOfChild(this.#deps.events),
      stateChanged: (upstream) => this.#onState(upstream.state, upstream.detail, upstream.info),
    };
    return new StdioUpstream(this.#settings, this.#stdio, { ...this.#deps, events });
  }

  #modernChild(): ModernChild {
    const { hub, news: _all, ...deps } = this.#deps;
    const events: UpstreamEvents = { ...eventsOfChild(this.#deps.events), stateChanged: () => undefined };
    const own = { ...deps, events, ...(hub !== null && { news: hub }) };
    return new ModernChild(this.#settings, this.#stdio, own, {
      onChange: (child) => this.#onModern(child),
      isAlone: () => this.state !== 'ready',
    });
  }

  #onState(state: UpstreamState, detail: string | null, info: UpstreamInfo | null): void {
    if (this.#isClosed) return;
    if (state === 'ready') {
      this.#heard = 'good';
      this.#info = info;
      this.#trial.end();
    } else if (state === 'down') {
      this.#heard = this.#of('legacy').some((child) => child.isReady) ? 'good' : 'bad';
      this.#detail = detail;
    }
    this.#deps.onState();
    if (state === 'ready') this.#deps.onRoom();
  }

  #onModern(upstream: ModernChild): void {
    if (this.#isClosed) return;
    const child = this.#children.find((one) => one.upstream === upstream);
    const isAnyUp = this.#of('modern').some((one) => one.isReady);
    if (upstream.state === 'ready') this.#era.up(upstream.info);
    else if (upstream.isUseless) this.#era.failed(upstream.verdict, upstream.detail, isAnyUp);
    else this.#era.down(upstream.detail, isAnyUp);
    // Its calls were told already.
    if (upstream.isUseless && child !== undefined) this.retire(child);
    this.#deps.onState();
    if (upstream.state === 'ready') this.#deps.onRoom();
  }

  /** It finds out for all what the server speaks, which takes a moment. */
  #isAsked({ era, upstream }: PoolChild): boolean {
    return era === 'modern' && upstream.state === 'starting' && this.#era.verdict === 'asking';
  }

  #isKept(child: PoolChild): boolean {
    return child.number < this.#pool.min && this.#pool.isolation === 'shared';
  }

  #yield(child: PoolChild, era: ChildEra): void {
    child.successor = era;
    this.retire(child);
  }

  // PoolCareHost

  isSpare(child: PoolChild): boolean {
    return !this.#isKept(child) && !this.#isHeard(child);
  }

  /** Takes no more calls; ended with the last one, and subscriptions end with it. */
  retire(child: PoolChild): void {
    child.isRetiring = true;
    if (child.inFlight > 0) return;
    const ending = child.upstream.close().then(() => {
      this.#ending.delete(ending);
      this.#onEnded(child);
    });
    this.#ending.add(ending);
  }

  #onEnded(child: PoolChild): void {
    const at = this.#children.indexOf(child);
    if (at < 0) return;
    this.#children.splice(at, 1);
    this.#deps.seats.leave(child.number);
    this.#deps.events.childrenChanged(this.#settings.name);
    if (this.#isClosed) return;
    this.#tryProbe();
    // Those who wait here have a seat as well as the successor that others wait for elsewhere.
    if (child.successor !== null && this.#of(child.successor).length === 0) this.#grow('', child.successor);
    else if (this.#isKept(child)) this.#grow('', this.#kindKept(child));
    this.#deps.onState();
    this.#deps.onRoom();
  }

  #kindKept({ era, successor }: PoolChild): ChildEra {
    const isModernOnly = this.#info === null && this.#era.info !== null;
    return isModernOnly ? 'modern' : (successor ?? era);
  }

  /** Somebody listens to it, or would have nobody to listen to in this worker. Children that all share are listened to for their tasks only. */
  #isHeard(child: PoolChild): boolean {
    if (child.listening > 0 && (this.#deps.hub === null || child.hasTasks)) return true;
    return child.era === 'modern' && this.#deps.hub?.isWanted === true && this.#of('modern').filter((one) => !one.isRetiring).length === 1;
  }
}
