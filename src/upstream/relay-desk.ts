import type { Clock, Timer } from '../core/clock.ts';
import { UPSTREAM_DOWN, UPSTREAM_FAILED, UPSTREAM_TIMEOUT } from '../core/errors.ts';
import { refusalOf } from '../core/errors-by-code.ts';
import type { ChildEra, MeshClient, MeshPort, PeerStatus, RelayedMessage, ToCaller, ToOwner } from '../core/mesh.ts';
import type { ListKind, RequestOptions } from '../core/upstream.ts';
import { IdRing } from './id-ring.ts';
import { OwnerSink } from './owner-sink.ts';
import { type CallOwner, PoolCall } from './pool-call.ts';
import { SessionDesk } from './session-desk.ts';

/** How often calls at other workers are looked at, to end those of a worker that is stuck. */
const SWEEP_MS = 1000;

/** A server whose children are spread over workers, as the desk sees it. */
export interface RelayHost extends CallOwner {
  readonly name: string;
  /** How its children here are. */
  readonly localStatus: PeerStatus;
  /** Longest time that a call of this server may take anywhere. */
  readonly longestMs: number;
  /** Another worker's call, or notification. `about`: the call that a cancellation names. */
  accept(call: PoolCall): void;
  acceptNotification(relayed: RelayedMessage, about: PoolCall | null): void;
  /** That worker came, went, or told how it is. */
  peerChanged(slot: number): void;
  /** All children of that worker are at work. */
  onBusy(call: PoolCall, slot: number): void;
  /** One of them is not any more. */
  onFree(slot: number): void;
  /** Another worker lacks a child of that kind. */
  onWant(era: ChildEra): void;
  /** Another worker needs to know whether the server speaks revision 2026-07-28. */
  onProbe(): void;
  /** A child of another worker says that it lists something else now. */
  onListChanged(kind: ListKind | null): void;
}

/** A call at another worker. */
class RemoteCall {
  readonly id: number;
  readonly slot: number;
  readonly host: RelayHost;
  readonly call: PoolCall;
  readonly untilMs: number;
  readonly #tell: (what: 'resume' | 'gone') => void;

  constructor(id: number, slot: number, host: RelayHost, call: PoolCall, untilMs: number, tell: (what: 'resume' | 'gone') => void) {
    this.id = id;
    this.slot = slot;
    this.host = host;
    this.call = call;
    this.untilMs = untilMs;
    this.#tell = tell;
  }

  resume(): void {
    this.#tell('resume');
  }

  detach(whenOver: () => void): void {
    this.#tell('gone');
    whenOver();
  }
}

interface Peer {
  isUp: boolean;
  readonly statuses: Map<string, PeerStatus>;
  /** What it has sent, by its own numbers. */
  readonly inbound: Map<number, { readonly sink: OwnerSink; readonly call: PoolCall }>;
}

/** Where calls leave for other workers, and where theirs arrive; what belongs to sessions is handed on. */
export class RelayDesk implements MeshClient {
  readonly sessions: SessionDesk;
  readonly #port: MeshPort;
  readonly #clock: Clock;
  readonly #hosts = new Map<string, RelayHost>();
  readonly #outbound: IdRing<RemoteCall> = new IdRing();
  readonly #peers: readonly Peer[];
  #sweeper: Timer | null = null;

  constructor(port: MeshPort, clock: Clock) {
    this.#port = port;
    this.#clock = clock;
    this.sessions = new SessionDesk(port, clock);
    this.#peers = Array.from({ length: port.slots }, () => ({ isUp: false, statuses: new Map(), inbound: new Map() }));
  }

  get slot(): number {
    return this.#port.slot;
  }

  /** All servers first, then `open`. */
  register(host: RelayHost): void {
    this.#hosts.set(host.name, host);
  }

  open(): void {
    this.#port.attach(this);
  }

  isUp(slot: number): boolean {
    return this.#peers[slot]?.isUp ?? false;
  }

  statusOf(slot: number, server: string): PeerStatus | null {
    return this.#peers[slot]?.statuses.get(server) ?? null;
  }

  /** False: that worker cannot be reached, and nothing was sent. */
  send(slot: number, host: RelayHost, call: PoolCall): boolean {
    const { message, key } = call;
    const { restPath, principalKey, modern = null } = call.options;
    if (message === null || !this.isUp(slot)) return false;
    const id = this.#outbound.nextId();
    if (!this.#port.toOwner(slot, { type: 'call', call: id, server: host.name, key, restPath, principalKey, modern, message }))
      return false;
    const untilMs = call.isOpen ? Number.POSITIVE_INFINITY : this.#clock.nowMs() + host.longestMs;
    const remote = new RemoteCall(id, slot, host, call, untilMs, (type) => this.#port.toOwner(slot, { type, call: id }));
    this.#outbound.put(remote);
    call.slot = slot;
    call.remoteCall = id;
    call.sent(remote, () => this.#outbound.remove(remote));
    this.#sweeper ??= this.#clock.every(SWEEP_MS, () => this.#sweep());
    return true;
  }

  /** `about`: the call there that a cancellation names; null for other notifications. */
  notify(slot: number, relayed: RelayedMessage, about: PoolCall | null): boolean {
    return this.#port.toOwner(slot, { type: 'notify', call: about?.remoteCall ?? 0, ...relayed });
  }

  /** Tells every other worker. */
  want(server: string, era: ChildEra): void {
    for (const slot of this.#others()) this.#port.toOwner(slot, { type: 'want', server, era });
  }

  /** False: that worker cannot be asked. */
  probe(slot: number, server: string): boolean {
    return this.isUp(slot) && this.#port.toOwner(slot, { type: 'probe', server });
  }

  /** Tells every other worker. */
  listChanged(server: string, kind: ListKind | null): void {
    for (const slot of this.#others()) this.#port.toCaller(slot, { type: 'list_changed', server, kind });
  }

  free(slot: number, server: string): void {
    this.#port.toCaller(slot, { type: 'free', server });
  }

  /** Tells every other worker how this one is. */
  announce(host: RelayHost): void {
    for (const slot of this.#others()) this.#port.toCaller(slot, { type: 'status', server: host.name, status: host.localStatus });
  }

  close(): void {
    this.#sweeper?.cancel();
    this.#sweeper = null;
  }

  connected(slot: number): void {
    const peer = this.#peers[slot];
    if (peer !== undefined) peer.isUp = true;
    this.sessions.remote.connected(slot);
    for (const host of this.#hosts.values()) host.peerChanged(slot);
  }

  lost(slot: number): void {
    const peer = this.#peers[slot];
    if (peer === undefined) return;
    peer.isUp = false;
    peer.statuses.clear();
    this.sessions.remote.lost(slot);
    for (const { slot: where, call } of this.#outbound.list()) {
      if (where === slot) call.onFail(UPSTREAM_FAILED, 'the worker that holds its child is gone');
    }
    for (const host of this.#hosts.values()) host.peerChanged(slot);
  }

  callerConnected(slot: number): void {
    for (const host of this.#hosts.values()) this.#port.toCaller(slot, { type: 'status', server: host.name, status: host.localStatus });
  }

  /** Calls of older revisions go on, and their answers are dropped: nobody knows whether they can be given up. */
  callerLost(slot: number): void {
    const inbound = this.#peers[slot]?.inbound;
    for (const { sink, call } of inbound?.values() ?? []) {
      sink.abandon();
      if (call.era === 'modern') call.detach(() => undefined);
    }
    inbound?.clear();
    this.sessions.lent.callerLost(slot);
  }

  fromOwner(slot: number, message: ToCaller): void {
    if (message.type === 'free') return this.#hosts.get(message.server)?.onFree(slot);
    if (message.type === 'list_changed') return this.#hosts.get(message.server)?.onListChanged(message.kind);
    if (message.type === 'status') return this.#onStatus(slot, message.server, message.status);
    if (message.type === 'session') return this.sessions.onEvent(slot, message);
    const remote = this.#outbound.get(message.call);
    if (remote === undefined || remote.slot !== slot) return;
    const { call, host } = remote;
    switch (message.type) {
      case 'stream':
        return call.onStream();
      case 'message':
        if (!call.onMessage(message.bytes)) this.#port.toOwner(slot, { type: 'pause', call: remote.id });
        return;
      case 'reply':
        if (message.life !== '') call.options.modern?.onLife?.(message.life, slot);
        return call.onReply(message.bytes, message.isError, message.code);
      case 'fail':
        return call.onFail(refusalOf(message.refusal) ?? UPSTREAM_FAILED, message.detail, message.health ?? undefined);
      case 'cancelled':
        return call.onCancelled();
      case 'busy':
        this.#outbound.remove(remote);
        return host.onBusy(call, slot);
    }
  }

  fromCaller(slot: number, message: Exclude<ToOwner, { type: 'bye' }>): void {
    switch (message.type) {
      case 'call':
        return this.#onCall(slot, message);
      case 'notify': {
        const about = this.#peers[slot]?.inbound.get(message.call)?.call ?? null;
        return this.#hosts.get(message.server)?.acceptNotification(message, about);
      }
      case 'pause':
        return this.#peers[slot]?.inbound.get(message.call)?.sink.pause();
      case 'resume': {
        const inbound = this.#peers[slot]?.inbound.get(message.call);
        inbound?.sink.resume();
        return inbound?.call.resume();
      }
      case 'gone':
        return this.#onGone(slot, message.call);
      case 'session':
        return this.sessions.lent.onOrder(slot, message);
      case 'want':
        return this.#hosts.get(message.server)?.onWant(message.era);
      case 'probe':
        return this.#hosts.get(message.server)?.onProbe();
    }
  }

  #onGone(slot: number, id: number): void {
    const inbound = this.#peers[slot]?.inbound.get(id);
    this.#peers[slot]?.inbound.delete(id);
    inbound?.sink.abandon();
    inbound?.call.detach(() => undefined);
  }

  #onCall(slot: number, relayed: Extract<ToOwner, { type: 'call' }>): void {
    const inbound = this.#peers[slot]?.inbound;
    const host = this.#hosts.get(relayed.server);
    if (inbound === undefined) return;
    const { call: id, restPath, principalKey, key, modern, message } = relayed;
    const sink = new OwnerSink(this.#port, slot, id, () => inbound.delete(id));
    const placed = modern && { ...modern, onLife: (life: string) => sink.onLife(life) };
    const options: RequestOptions = { restPath, principalKey, ...(placed !== null && { modern: placed }) };
    if (host === undefined) return sink.onFail(UPSTREAM_DOWN, 'this worker has no such server');
    const call = new PoolCall(host, message, options, key, sink, sink);
    inbound.set(id, { sink, call });
    host.accept(call);
  }

  #onStatus(slot: number, server: string, status: PeerStatus): void {
    this.#peers[slot]?.statuses.set(server, status);
    this.#hosts.get(server)?.peerChanged(slot);
  }

  #others(): number[] {
    return Array.from(this.#peers.keys()).filter((slot) => slot !== this.slot);
  }

  /** The owner keeps the deadlines; only one that is stuck lets a call pass the last. */
  #sweep(): void {
    if (this.#outbound.size === 0) return this.close();
    const nowMs = this.#clock.nowMs();
    for (const { untilMs, call } of this.#outbound.list()) {
      if (nowMs >= untilMs) call.onFail(UPSTREAM_TIMEOUT, 'the worker that holds its child does not answer', 'failed');
    }
  }
}
