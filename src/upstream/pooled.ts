import type { PoolSettings, StdioSettings, UpstreamSettings } from '../core/config.ts';
import type { Envelope } from '../core/envelope.ts';
import { SESSION_UNKNOWN, UPSTREAM_BUSY, UPSTREAM_DOWN } from '../core/errors.ts';
import type { ChildEra, PeerEra, PeerStatus, RelayedMessage } from '../core/mesh.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { InFlight, ListKind, ReplySink, RequestOptions, Upstream, UpstreamInfo, UpstreamState } from '../core/upstream.ts';
import { longestCallMs } from './deadlines.ts';
import type { OwnerSink } from './owner-sink.ts';
import type { PoolChild } from './pool-child.ts';
import { eraOf, PoolCall } from './pool-call.ts';
import { PoolChildren } from './pool-children.ts';
import { eventsWith, type PooledDeps, seatsFor } from './pool-deps.ts';
import { PoolNews } from './pool-news.ts';
import { PoolPeers } from './pool-peers.ts';
import { type Dispatch, PoolQueue } from './pool-queue.ts';
import { ownerOf, type Seats, seatKey } from './pool-seats.ts';
import { PoolView } from './pool-view.ts';
import type { RelayDesk, RelayHost } from './relay-desk.ts';
import { CANCELLED } from './rewrite.ts';
import { Status } from './status.ts';

/** Beyond the last deadline of a call, until a worker that does not answer is given up. */
const STUCK_MS = 5000;

/**
 * A stdio server with children in several workers. A call goes to a child of this worker if there is one for it, else to
 * the worker that has one; if all are at work it waits, for `pool.queue_secs` at most. Calls of revision 2026-07-28 go to children that
 * speak it; which revisions the server speaks is for others to know.
 */
export class PooledUpstream implements Upstream, RelayHost {
  readonly transport = 'stdio' as const;
  readonly modern = null;
  readonly circuit = 'closed' as const;
  readonly retryAfterSecs = 1;
  readonly longestMs: number;
  /** What all callers are told of changes; null where each has a child of its own, which tells it. */
  readonly hub: PoolNews | null;
  /** Something is known of revision 2026-07-28, here or in another worker. */
  onEra: () => void = () => undefined;
  /** Calls that were sent to other workers. */
  relayed = 0;
  readonly #settings: UpstreamSettings;
  readonly #pool: PoolSettings;
  readonly #deps: PooledDeps;
  readonly #desk: RelayDesk | null;
  readonly #status: Status;
  readonly #seats: Seats;
  readonly #children: PoolChildren;
  readonly #view: PoolView;
  /** Of clients of this worker. */
  readonly #calls = new Set<PoolCall>();
  /** Those of others as well. */
  readonly #queue: PoolQueue;
  readonly #peers: PoolPeers;
  readonly #isFirst: boolean;

  constructor(settings: UpstreamSettings, stdio: StdioSettings, pool: PoolSettings, deps: PooledDeps) {
    this.#settings = settings;
    this.#pool = pool;
    this.#deps = deps;
    this.#desk = deps.desk;
    this.#status = new Status(deps.events);
    this.longestMs = longestCallMs(settings) + pool.queueMs + STUCK_MS;
    const { index, worker, workers, clock } = deps;
    this.#isFirst = index % workers === worker;
    const maxWaiting = Math.max(Math.ceil(settings.queueMax / workers), 1);
    const isShared = pool.isolation === 'shared';
    this.#queue = new PoolQueue({ clock, queueMs: pool.queueMs, max: maxWaiting, isShared, onLack: (era) => this.#makeRoom(era) });
    this.#peers = new PoolPeers({ ...deps, server: settings.name, isShared, isDown: (slot, era) => this.#view.isDown(slot, era) });
    const hubOptions = { server: settings.name, clock, workers, desk: deps.news ?? null, onInterest: () => this.#children.listen() };
    this.hub = isShared ? new PoolNews(hubOptions) : null;
    this.#seats = seatsFor(settings.name, pool, deps, {
      onSeat: (number, key) => this.#children.seated(number, key),
      onShortage: (wanted) => this.#onShortage(wanted),
    });
    const listChanged = (server: string, kind: ListKind | null): void => {
      deps.events.listChanged(server, kind);
      this.#desk?.listChanged(server, kind);
    };
    this.#children = new PoolChildren(settings, stdio, pool, {
      ...deps,
      events: eventsWith(deps.events, listChanged),
      holdMs: Math.max(pool.queueMs, 2000),
      seats: this.#seats,
      hub: this.hub,
      isFirst: this.#isFirst,
      // Where the seat is that is needed last.
      triesAgain: isShared ? (index + pool.max - 1) % workers === worker : this.#isFirst,
      onRoom: () => this.#onRoom(),
      onState: () => this.#view.onLocal(),
    });
    this.#view = new PoolView(this, this.#children, this.#status, this.#desk, workers);
  }

  get name(): string {
    return this.#settings.name;
  }

  get isRequired(): boolean {
    return this.#settings.isRequired;
  }

  get state(): UpstreamState {
    return this.#status.state;
  }

  get detail(): string | null {
    return this.#status.detail;
  }

  get info(): UpstreamInfo | null {
    return this.#view.info;
  }

  get inFlight(): number {
    return this.#calls.size + (this.hub?.size ?? 0);
  }

  get pids(): readonly number[] {
    return this.#children.pids;
  }

  get children(): readonly PoolChild[] {
    return this.#children.list;
  }

  get localStatus(): PeerStatus {
    return this.#view.local;
  }

  /** What is known of revision 2026-07-28 by this worker and the others. */
  get eras(): readonly PeerEra[] {
    return this.#view.eras;
  }

  /** Whether a child of this worker has this life (`ModernInfo`). */
  has(life: string): boolean {
    return this.#children.withLife(life) !== null;
  }

  /** Has the server asked for its revisions: by this worker, by another one, or not at all now. */
  probe(): 'here' | 'elsewhere' | 'nowhere' {
    if (this.#isFirst) {
      this.#children.probe();
      this.#view.onLocal();
      return 'here';
    }
    return this.#desk?.probe(this.#deps.index % this.#deps.workers, this.name) === true ? 'elsewhere' : 'nowhere';
  }

  /** The server speaks revision 2026-07-28: where it speaks nothing else, children that wait for a handshake make room. */
  settle(): void {
    if (this.info === null) this.#children.settle();
  }

  start(): void {
    this.#children.start();
    this.#view.onLocal();
  }

  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    const key = this.#keyOf(options);
    const call = new PoolCall(this, message, options, key, sink);
    this.#calls.add(call);
    const refusal = this.#admit(call);
    if (refusal === null) return call;
    call.refused();
    return refusal;
  }

  notify(message: Envelope, options: RequestOptions): Refusal | null {
    if (this.state === 'closed') return UPSTREAM_DOWN;
    if (message.method === CANCELLED) return this.#cancel(message, options);
    const key = this.#keyOf(options);
    const listener = this.#children.listener(key, eraOf(options));
    if (listener !== null) return listener.notify(message, options);
    const relayed = this.#relayed(message, options);
    const isSent = this.#peers.candidates(key).some((slot) => this.#desk?.notify(slot, relayed, null) === true);
    // A principal without a child has nobody to be told.
    return isSent || !this.#isShared ? null : UPSTREAM_DOWN;
  }

  /** Those who share a child share what it keeps. */
  newSession(): null {
    return null;
  }

  resumeSession(): null {
    return null;
  }

  async close(): Promise<void> {
    this.#status.set(this, 'closed', 'closed');
    for (const call of this.#calls) if (call.child === null) call.onFail(UPSTREAM_DOWN, 'closed');
    this.#queue.fail(UPSTREAM_DOWN, 'closed');
    this.#seats.close();
    this.hub?.close();
    await this.#children.close();
    this.#desk?.close();
  }

  accept(call: PoolCall): void {
    const refusal = this.#admit(call);
    if (refusal !== null) call.onFail(refusal, this.#children.detail ?? 'no child');
  }

  acceptNotification({ key, message, principalKey, restPath, modern }: RelayedMessage, about: PoolCall | null): void {
    const options = { principalKey, restPath, ...(key === '' ? {} : { childKey: key }), ...(modern !== null && { modern }) };
    if (message.method === CANCELLED) this.#cancelHere(message, options, about);
    else this.#children.listener(key, eraOf(options))?.notify(message, options);
  }

  peerChanged(slot: number): void {
    this.#peers.free(slot);
    this.#view.onChange();
    this.#serveWaiting();
  }

  onBusy(call: PoolCall, slot: number): void {
    this.#peers.busy(slot);
    call.slot = -1;
    const refusal = this.#admit(call);
    if (refusal !== null) call.onFail(refusal, 'no child is free');
  }

  onFree(slot: number): void {
    this.#peers.free(slot);
    this.#serveWaiting();
  }

  onListChanged(kind: ListKind | null): void {
    this.#deps.events.listChanged(this.name, kind);
  }

  onWant(era: ChildEra): void {
    // Somebody lacks one seat, and asks again while he does.
    this.#children.evict(era, 1);
  }

  /** Whoever asks is told how it is in any case. */
  onProbe(): void {
    this.#children.probe();
    this.#desk?.announce(this);
  }

  onOver(call: PoolCall): void {
    this.#calls.delete(call);
    if (call.slot >= 0) this.relayed += 1;
    if (this.#queue.leave(call)) this.#forget(call);
  }

  /** Null: it is on its way or waits, and is told of its end. */
  #admit(call: PoolCall): Refusal | null {
    const dispatch = this.state === 'closed' ? UPSTREAM_DOWN : this.#dispatch(call);
    if (dispatch === 'sent') return null;
    return dispatch === 'wait' ? this.#wait(call) : dispatch;
  }

  #dispatch(call: PoolCall): Dispatch {
    if (call.life !== null) return this.#dispatchTo(call.life, call);
    if (this.#isShared) return this.#dispatchShared(call);
    const owner = ownerOf(this.name, call.key, this.#deps.workers);
    if (owner !== this.#deps.worker && call.origin === null) return this.#relay(call, owner) ? 'sent' : UPSTREAM_DOWN;
    const taken = this.#children.take(call.key, call.era);
    if (typeof taken === 'object') return this.#hand(call, taken);
    return taken === 'busy' ? 'wait' : UPSTREAM_DOWN;
  }

  /** The one child that can serve it is at work, perhaps; no other is a substitute. */
  #dispatchTo(life: string, call: PoolCall): Dispatch {
    const child = this.#children.withLife(life);
    if (child === null || child.isRetiring) return SESSION_UNKNOWN;
    return call.isAside || child.hasRoom(this.#pool.childCalls) ? this.#hand(call, child) : 'wait';
  }

  /** Where none of this worker's children is free another worker may have one. */
  #dispatchShared(call: PoolCall): Dispatch {
    const taken = this.#children.take('', call.era);
    if (typeof taken === 'object') return this.#hand(call, taken);
    if (call.origin !== null) return this.#bounce(call.origin, taken);
    const others = this.#peers.working(call.era);
    for (const slot of others) if (!this.#peers.isBusy(slot) && this.#relay(call, slot)) return 'sent';
    return taken === 'busy' || others.length > 0 ? 'wait' : UPSTREAM_DOWN;
  }

  #bounce(origin: OwnerSink, taken: 'busy' | 'down'): Dispatch {
    if (taken === 'down') return UPSTREAM_DOWN;
    this.#peers.turnAway(origin.slot);
    origin.busy();
    return 'sent';
  }

  #hand(call: PoolCall, child: PoolChild): Dispatch {
    const { message } = call;
    if (message === null) return UPSTREAM_DOWN;
    this.#children.begin(child, call);
    const flight = child.upstream.request(message, call.options, call);
    if (isRefusal(flight)) {
      this.#children.end(child, call);
      return flight;
    }
    this.#queue.leave(call);
    call.message = null;
    call.child = child;
    call.sent(flight, () => this.#children.end(child, call));
    return 'sent';
  }

  #relay(call: PoolCall, slot: number): boolean {
    if (this.#desk === null || !this.#desk.send(slot, this, call)) return false;
    this.#queue.leave(call);
    // The only worker that may have its child: it waits there.
    if (!this.#isShared) call.message = null;
    return true;
  }

  #wait(call: PoolCall): Refusal | null {
    if (!this.#queue.push(call)) {
      this.#forget(call);
      return UPSTREAM_BUSY;
    }
    call.sent(NOWHERE, () => undefined);
    return null;
  }

  #forget(call: PoolCall): void {
    if (!this.#queue.isWanted(call)) this.#seats.forget(seatKey(call.key, call.era));
  }

  /** All children may be of the other kind, where there are two. */
  #makeRoom(era: ChildEra): void {
    const areBoth = this.info !== null && this.eras.some(({ info }) => info !== null);
    if (areBoth && !this.#children.evict(era)) this.#desk?.want(this.name, era);
  }

  #onRoom(): void {
    this.#serveWaiting();
    this.#peers.tellFree();
  }

  #serveWaiting(): void {
    this.#queue.serve((call) => this.#dispatch(call), this.detail ?? 'no child');
  }

  #onShortage(wanted: number): void {
    if (!this.#children.evict('legacy', wanted)) this.#desk?.want(this.name, 'legacy');
  }

  /** Among the calls that came to this worker, or those of the principal's own child. */
  #cancel(message: Envelope, options: RequestOptions): Refusal | null {
    if (message.requestIdStart < 0) return null;
    const { principalKey } = options;
    const idToken = message.bytes.toString('utf8', message.requestIdStart, message.requestIdEnd);
    const named = [...this.#calls].filter((call) => call.idToken === idToken && call.options.principalKey === principalKey);
    const [call] = named;
    // With several of that id nobody can tell which is meant.
    if (named.length > 1) return null;
    const key = this.#keyOf(options);
    const slot = call?.slot ?? (this.#isShared ? -1 : ownerOf(this.name, key, this.#deps.workers));
    if (slot < 0 || slot === this.#deps.worker) this.#cancelHere(message, options, call ?? null);
    else this.#desk?.notify(slot, this.#relayed(message, options), call ?? null);
    return null;
  }

  #cancelHere(message: Envelope, options: RequestOptions, about: PoolCall | null): void {
    if (about !== null && this.#queue.has(about)) return about.onCancelled();
    const child = about === null ? this.#children.own(this.#keyOf(options)) : about.child;
    child?.upstream.notify(message, options);
  }

  get #isShared(): boolean {
    return this.#pool.isolation === 'shared';
  }

  #keyOf({ principalKey, childKey = principalKey }: RequestOptions): string {
    return this.#isShared ? '' : childKey;
  }

  #relayed(message: Envelope, options: RequestOptions): RelayedMessage {
    const { restPath, principalKey, modern = null } = options;
    return { server: this.name, key: this.#keyOf(options), restPath, principalKey, modern, message };
  }
}

const NOWHERE = { resume: (): void => undefined, detach: (): void => undefined };
