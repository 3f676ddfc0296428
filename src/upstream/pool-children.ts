import type { Clock, Timer } from '../core/clock.ts';
import type { PoolSettings, StdioSettings, UpstreamSettings } from '../core/config.ts';
import type { UpstreamEvents, UpstreamInfo, UpstreamState } from '../core/upstream.ts';
import type { UpstreamDeps } from './deps.ts';
import { groupMemory } from './group-memory.ts';
import { PoolChild } from './pool-child.ts';
import type { Seats } from './pool-seats.ts';
import { StdioUpstream } from './stdio.ts';

/** How often idle children and sizes are looked at. */
const LOOK_MS = 1000;
/** How many looks at idle children to one at sizes. */
const LOOKS_PER_MEASURE = 5;

export interface PoolChildrenDeps extends UpstreamDeps {
  readonly seats: Seats;
  /** Something changed that calls may wait for: a child has room, or a seat is free. */
  onRoom(): void;
  /** How they are, all together. */
  onState(): void;
}

/** What `take` comes to: a child; all are at work; none works. */
export type Taken = PoolChild | 'busy' | 'down';

/** The children of one server in this worker: started on demand, ended when idle, replaced when they are worn. */
export class PoolChildren {
  readonly #settings: UpstreamSettings;
  readonly #stdio: StdioSettings;
  readonly #pool: PoolSettings;
  readonly #deps: PoolChildrenDeps;
  readonly #clock: Clock;
  readonly #children: PoolChild[] = [];
  readonly #ending = new Set<Promise<void>>();
  #info: UpstreamInfo | null = null;
  /** The last that was heard of any child was good. */
  #isGood = false;
  #detail: string | null = 'not connected yet';
  #looks = 0;
  #looking: Timer | null = null;
  #isClosed = false;

  constructor(settings: UpstreamSettings, stdio: StdioSettings, pool: PoolSettings, deps: PoolChildrenDeps) {
    this.#settings = settings;
    this.#stdio = stdio;
    this.#pool = pool;
    this.#deps = deps;
    this.#clock = deps.clock;
  }

  /** Those that are not ended yet. */
  get list(): readonly PoolChild[] {
    return this.#children;
  }

  /** Of the last child that was ready. */
  get info(): UpstreamInfo | null {
    return this.#info;
  }

  /** `ready` as well when all that were started have ended well; `starting` when nothing is known. */
  get state(): UpstreamState {
    if (this.#isGood || this.#children.some((child) => child.isReady)) return 'ready';
    return this.#children.some(({ upstream }) => upstream.state === 'down') ? 'down' : 'starting';
  }

  get detail(): string | null {
    return this.state === 'ready' ? null : this.#detail;
  }

  get pids(): readonly number[] {
    return this.#children.flatMap(({ upstream }) => upstream.pids);
  }

  /** Starts those that are there from the beginning. */
  start(): void {
    for (const number of this.#deps.seats.first()) this.#start(number, '');
  }

  /** A child for a call of this key. It is the caller's to say `begin`. */
  take(key: string): Taken {
    return this.#pool.isolation === 'shared' ? this.#takeShared() : this.#takeOwn(key);
  }

  begin(child: PoolChild): void {
    child.calls += 1;
    child.inFlight += 1;
    const { recycleCalls } = this.#pool;
    if (recycleCalls > 0 && child.calls >= recycleCalls) child.isRetiring = true;
  }

  /** A call that was begun is over. */
  end(child: PoolChild): void {
    child.inFlight -= 1;
    child.lastUsedMs = this.#clock.nowMs();
    if (!child.isRetiring) return this.#deps.onRoom();
    if (child.inFlight === 0) this.#retire(child);
  }

  /** Where a notification of this key goes; null where no child would understand it. */
  listener(key: string): StdioUpstream | null {
    const ready = this.#children.filter((child) => child.key === key && child.isReady);
    ready.sort((one, other) => one.inFlight - other.inFlight);
    return ready[0]?.upstream ?? null;
  }

  /** The one child of a key; null where all share them, or there is none. */
  own(key: string): PoolChild | null {
    return key === '' ? null : (this.#children.find((child) => child.key === key) ?? null);
  }

  /** Ends the child of somebody else that was idle for longest, so that its seat becomes free; false when all are in use. */
  evict(): boolean {
    const idle = this.#children.filter((child) => child.inFlight === 0 && !child.isRetiring && !this.#isKept(child));
    idle.sort((one, other) => one.lastUsedMs - other.lastUsedMs);
    const [oldest] = idle;
    if (oldest !== undefined) this.#retire(oldest);
    return oldest !== undefined;
  }

  /** A seat that was asked for is there. */
  seated(number: number, key: string): void {
    this.#start(number, key);
    this.#deps.onRoom();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#looking?.cancel();
    await Promise.all([...this.#children.map(({ upstream }) => upstream.close()), ...this.#ending]);
  }

  #takeShared(): Taken {
    const { childCalls } = this.#pool;
    const open = this.#children.filter((child) => child.hasRoom(childCalls));
    open.sort((one, other) => Number(other.isReady) - Number(one.isReady) || one.inFlight - other.inFlight);
    const [best] = open;
    if (best?.isReady === true && best.inFlight === 0) return best;
    const fresh = this.#grow('');
    if (best?.isReady === true) return best;
    return fresh ?? best ?? this.#none();
  }

  #takeOwn(key: string): Taken {
    const own = this.#children.find((child) => child.key === key);
    if (own === undefined) return this.#grow(key) ?? 'busy';
    if (own.isRetiring) return 'busy';
    return own.upstream.isUsable ? own : 'down';
  }

  #none(): 'busy' | 'down' {
    return this.#children.some((child) => child.isRetiring || child.upstream.isUsable) ? 'busy' : 'down';
  }

  #grow(key: string): PoolChild | null {
    if (this.#isClosed) return null;
    const number = this.#deps.seats.take(key);
    return number === null ? null : this.#start(number, key);
  }

  #start(number: number, key: string): PoolChild {
    const upstream = new StdioUpstream(this.#settings, this.#stdio, { ...this.#deps, events: this.#events() });
    const child = new PoolChild(number, key, upstream, this.#clock.nowMs());
    this.#children.push(child);
    this.#looking ??= this.#clock.every(LOOK_MS, () => this.#look());
    upstream.start();
    this.#deps.events.childrenChanged(this.#settings.name);
    return child;
  }

  #events(): UpstreamEvents {
    const { events } = this.#deps;
    return { ...passedOn(events), stateChanged: (upstream) => this.#onState(upstream.state, upstream.detail, upstream.info) };
  }

  #onState(state: UpstreamState, detail: string | null, info: UpstreamInfo | null): void {
    if (this.#isClosed) return;
    if (state === 'ready') {
      this.#isGood = true;
      this.#info = info;
    } else if (state === 'down') {
      this.#isGood = this.#children.some((child) => child.isReady);
      this.#detail = detail;
    }
    this.#deps.onState();
    if (state === 'ready') this.#deps.onRoom();
  }

  #isKept(child: PoolChild): boolean {
    return child.number < this.#pool.min && this.#pool.isolation === 'shared';
  }

  /** Takes no more calls; ended with the last one. */
  #retire(child: PoolChild): void {
    child.isRetiring = true;
    if (child.inFlight > 0) return;
    const ending = child.upstream.close().then(() => {
      this.#ending.delete(ending);
      this.#onEnded(child);
    });
    this.#ending.add(ending);
  }

  #onEnded(child: PoolChild): void {
    this.#children.splice(this.#children.indexOf(child), 1);
    this.#deps.seats.leave(child.number);
    this.#deps.events.childrenChanged(this.#settings.name);
    if (this.#isClosed) return;
    if (this.#isKept(child)) this.#grow('');
    this.#deps.onState();
    this.#deps.onRoom();
  }

  #look(): void {
    if (this.#children.length === 0) {
      this.#looking?.cancel();
      this.#looking = null;
      return;
    }
    const idleSinceMs = this.#clock.nowMs() - this.#pool.idleMs;
    for (const child of this.#children) {
      if (child.inFlight === 0 && !child.isRetiring && child.lastUsedMs <= idleSinceMs && !this.#isKept(child)) this.#retire(child);
    }
    this.#looks += 1;
    if (this.#looks % LOOKS_PER_MEASURE === 0) void this.#measure();
  }

  async #measure(): Promise<void> {
    const bytes = await groupMemory(this.pids);
    const { recycleBytes } = this.#pool;
    for (const child of this.#children) {
      const [pid] = child.upstream.pids;
      child.residentBytes = pid === undefined ? null : (bytes.get(pid) ?? null);
      if (recycleBytes > 0 && (child.residentBytes ?? 0) > recycleBytes && !child.isRetiring) this.#retire(child);
    }
  }
}

function passedOn(events: UpstreamEvents): Omit<UpstreamEvents, 'stateChanged'> {
  return {
    stderrLine: (server, line) => events.stderrLine(server, line),
    noise: (server, kind) => events.noise(server, kind),
    restarted: (server, attempt) => events.restarted(server, attempt),
    listChanged: (server, kind) => events.listChanged(server, kind),
    leftOut: () => undefined,
    childrenChanged: () => undefined,
    circuitChanged: () => undefined,
  };
}
