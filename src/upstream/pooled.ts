import type { PoolSettings, StdioSettings, UpstreamSettings } from '../core/config.ts';
import type { Envelope } from '../core/envelope.ts';
import { UPSTREAM_BUSY, UPSTREAM_DOWN } from '../core/errors.ts';
import type { PeerStatus, RelayedMessage } from '../core/mesh.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type { InFlight, ListKind, ReplySink, RequestOptions, Upstream, UpstreamInfo, UpstreamState } from '../core/upstream.ts';
import { longestCallMs } from './deadlines.ts';
import type { OwnerSink } from './owner-sink.ts';
import type { PoolChild } from './pool-child.ts';
import { PoolCall } from './pool-call.ts';
import { PoolChildren } from './pool-children.ts';
import { eventsWith, type PooledDeps, seatsFor } from './pool-deps.ts';
import { ownerOf, type Seats } from './pool-seats.ts';
import type { RelayDesk, RelayHost } from './relay-desk.ts';
import { CANCELLED } from './rewrite.ts';
import { Status } from './status.ts';

/** Beyond the last deadline of a call, until a worker that does not answer is given up. */
const STUCK_MS = 5000;

/** Where a call went: it is on its way, it has to wait, or it ends. */
type Dispatch = 'sent' | 'wait' | Refusal;

/**
 * A stdio server with children in several workers. A call goes to a child of this worker if there is one for it, else to
 * the worker that has one; if all are at work it waits, for `pool.queue_secs` at most.
 */
export class PooledUpstream implements Upstream, RelayHost {
  readonly transport = 'stdio' as const;
  readonly modern = null;
  readonly circuit = 'closed' as const;
  readonly retryAfterSecs = 1;
  readonly longestMs: number;
  /** Calls that were sent to other workers. */
  relayed = 0;
  readonly #settings: UpstreamSettings;
  readonly #pool: PoolSettings;
  readonly #deps: PooledDeps;
  readonly #desk: RelayDesk | null;
  readonly #status: Status;
  readonly #seats: Seats;
  readonly #children: PoolChildren;
  /** Of clients of this worker, and those of others that wait here. */
  readonly #calls = new Set<PoolCall>();
  readonly #waiting = new Set<PoolCall>();
  /** Workers that found no free child here, to be told of one. */
  readonly #turnedAway = new Set<number>();
  /** Workers that were tried in vain. */
  readonly #busySlots = new Set<number>();
  #nextSlot = 0;
  #announced: PeerStatus | null = null;

  constructor(settings: UpstreamSettings, stdio: StdioSettings, pool: PoolSettings, deps: PooledDeps) {
    this.#settings = settings;
    this.#pool = pool;
    this.#deps = deps;
    this.#desk = deps.desk;
    this.#status = new Status(deps.events);
    this.longestMs = longestCallMs(settings) + pool.queueMs + STUCK_MS;
    this.#seats = seatsFor(settings.name, pool, deps, {
      onSeat: (number, key) => this.#children.seated(number, key),
      onShortage: () => this.#onShortage(),
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
      onRoom: () => this.#onRoom(),
      onState: () => this.#onLocalState(),
    });
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
    return this.#children.info ?? this.#peers().find(({ info }) => info !== null)?.info ?? null;
  }

  get inFlight(): number {
    return this.#calls.size;
  }

  get pids(): readonly number[] {
    return this.#children.pids;
  }

  get children(): readonly PoolChild[] {
    return this.#children.list;
  }

  get localStatus(): PeerStatus {
    const { state, detail, info } = this.#children;
    return { state, detail, info };
  }

  start(): void {
    this.#children.start();
    this.#onLocalState();
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
    const listener = this.#children.listener(key);
    if (listener !== null) return listener.notify(message, options);
    const relayed = this.#relayed(message, options);
    const isSent = this.#candidates(key).some((slot) => this.#desk?.notify(slot, relayed, null) === true);
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
    for (const call of this.#waiting) call.onFail(UPSTREAM_DOWN, 'closed');
    this.#seats.close();
    await this.#children.close();
    this.#desk?.close();
  }

  accept(call: PoolCall): void {
    const refusal = this.#admit(call);
    if (refusal !== null) call.onFail(refusal, this.#children.detail ?? 'no child');
  }

  acceptNotification({ key, message, principalKey, restPath }: RelayedMessage, about: PoolCall | null): void {
    const options = { principalKey, restPath, ...(key === '' ? {} : { childKey: key }) };
    if (message.method === CANCELLED) this.#cancelHere(message, options, about);
    else this.#children.listener(key)?.notify(message, options);
  }

  peerChanged(slot: number): void {
    this.#busySlots.delete(slot);
    this.#onState();
    this.#serveWaiting();
  }

  onBusy(call: PoolCall, slot: number): void {
    this.#busySlots.add(slot);
    call.slot = -1;
    const refusal = this.#admit(call);
    if (refusal !== null) call.onFail(refusal, 'no child is free');
  }

  onFree(slot: number): void {
    this.#busySlots.delete(slot);
    this.#serveWaiting();
  }

  onListChanged(kind: ListKind | null): void {
    this.#deps.events.listChanged(this.name, kind);
  }

  onWant(): void {
    this.#children.evict();
  }

  onOver(call: PoolCall): void {
    this.#calls.delete(call);
    if (call.slot >= 0) this.relayed += 1;
    if (this.#waiting.delete(call)) this.#forget(call.key);
  }

  /** Null: it is on its way or waits, and is told of its end. */
  #admit(call: PoolCall): Refusal | null {
    const dispatch = this.state === 'closed' ? UPSTREAM_DOWN : this.#dispatch(call);
    if (dispatch === 'sent') return null;
    return dispatch === 'wait' ? this.#wait(call) : dispatch;
  }

  #dispatch(call: PoolCall): Dispatch {
    if (this.#isShared) return this.#dispatchShared(call);
    const owner = ownerOf(this.name, call.key, this.#deps.workers);
    if (owner !== this.#deps.worker && call.origin === null) return this.#relay(call, owner) ? 'sent' : UPSTREAM_DOWN;
    const taken = this.#children.take(call.key);
    if (typeof taken === 'object') return this.#hand(call, taken);
    return taken === 'busy' ? 'wait' : UPSTREAM_DOWN;
  }

  /** Where none of this worker's children is free another worker may have one. */
  #dispatchShared(call: PoolCall): Dispatch {
    const taken = this.#children.take('');
    if (typeof taken === 'object') return this.#hand(call, taken);
    if (call.origin !== null) return this.#bounce(call.origin, taken);
    const others = this.#candidates('').filter((slot) => this.#desk?.isUp(slot) === true && this.#stateOf(slot) !== 'down');
    this.#nextSlot += 1;
    for (let turn = 0; turn < others.length; turn++) {
      const slot = others[(turn + this.#nextSlot) % others.length] ?? -1;
      if (!this.#busySlots.has(slot) && this.#relay(call, slot)) return 'sent';
    }
    return taken === 'busy' || others.length > 0 ? 'wait' : UPSTREAM_DOWN;
  }

  #bounce(origin: OwnerSink, taken: 'busy' | 'down'): Dispatch {
    if (taken === 'down') return UPSTREAM_DOWN;
    this.#turnedAway.add(origin.slot);
    origin.busy();
    return 'sent';
  }

  #hand(call: PoolCall, child: PoolChild): Dispatch {
    const { message } = call;
    if (message === null) return UPSTREAM_DOWN;
    this.#children.begin(child);
    const flight = child.upstream.request(message, call.options, call);
    if (isRefusal(flight)) {
      this.#children.end(child);
      return flight;
    }
    this.#leaveQueue(call);
    call.message = null;
    call.child = child;
    call.sent(flight, () => this.#children.end(child));
    return 'sent';
  }

  #relay(call: PoolCall, slot: number): boolean {
    if (this.#desk === null || !this.#desk.send(slot, this, call)) return false;
    this.#leaveQueue(call);
    // The only worker that may have its child: it waits there.
    if (!this.#isShared) call.message = null;
    return true;
  }

  #leaveQueue(call: PoolCall): void {
    this.#waiting.delete(call);
    call.late?.cancel();
    call.late = null;
  }

  #wait(call: PoolCall): Refusal | null {
    const { queueMs } = this.#pool;
    const most = Math.max(Math.ceil(this.#settings.queueMax / this.#deps.workers), 1);
    if (queueMs === 0 || this.#waiting.size >= most) {
      this.#forget(call.key);
      return UPSTREAM_BUSY;
    }
    this.#waiting.add(call);
    call.late = this.#deps.clock.after(queueMs, () => call.onFail(UPSTREAM_BUSY, 'no child within pool.queue_secs'));
    call.sent(NOWHERE, () => undefined);
    return null;
  }

  #forget(key: string): void {
    for (const call of this.#waiting) if (call.key === key) return;
    this.#seats.forget(key);
  }

  #onRoom(): void {
    this.#serveWaiting();
    for (const slot of this.#turnedAway) this.#desk?.free(slot, this.name);
    this.#turnedAway.clear();
  }

  /** First come, first served; where all share the children, whoever finds none stands for those behind. */
  #serveWaiting(): void {
    for (const call of this.#waiting) {
      const dispatch = this.#dispatch(call);
      if (dispatch === 'sent') continue;
      if (dispatch !== 'wait') call.onFail(dispatch, this.detail ?? 'no child');
      else if (this.#isShared) return;
    }
  }

  #onShortage(): void {
    if (!this.#children.evict()) this.#desk?.want(this.name);
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
    if (about !== null && this.#waiting.has(about)) return about.onCancelled();
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
    const { restPath, principalKey } = options;
    return { server: this.name, key: this.#keyOf(options), restPath, principalKey, message };
  }

  /** The other workers that may have a child for this key. */
  #candidates(key: string): number[] {
    const { worker, workers, seatHolders } = this.#deps;
    const slots = this.#isShared ? seatHolders : [ownerOf(this.name, key, workers)];
    return slots.filter((slot) => slot !== worker);
  }

  #stateOf(slot: number): UpstreamState | null {
    return this.#desk?.statusOf(slot, this.name)?.state ?? null;
  }

  #peers(): PeerStatus[] {
    const slots = Array.from({ length: this.#deps.workers }, (_, slot) => slot);
    return slots.flatMap((slot) => this.#desk?.statusOf(slot, this.name) ?? []);
  }

  #onLocalState(): void {
    const status = this.localStatus;
    const known = this.#announced;
    const isNews = known === null || known.state !== status.state || known.detail !== status.detail || known.info !== status.info;
    this.#announced = status;
    if (isNews) this.#desk?.announce(this);
    this.#onState();
  }

  /** Ready as soon as one worker's children are: the others ask it. */
  #onState(): void {
    const all = [this.localStatus, ...this.#peers()];
    const state = RANKED.find((one) => all.some((status) => status.state === one)) ?? 'starting';
    const detail = state === 'ready' ? null : (all.find((status) => status.state === state)?.detail ?? 'no worker has a child');
    this.#status.set(this, state, detail);
  }
}

const RANKED: readonly UpstreamState[] = ['ready', 'down', 'starting'];
const NOWHERE = { resume: (): void => undefined };
