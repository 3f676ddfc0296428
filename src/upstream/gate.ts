import type { Clock } from '../core/clock.ts';
import type { UpstreamSettings } from '../core/config.ts';
import type { Envelope } from '../core/envelope.ts';
import { UPSTREAM_BUSY, UPSTREAM_DOWN, UPSTREAM_OPEN } from '../core/errors.ts';
import type { Places, PlaceTicket } from '../core/limit.ts';
import { isRefusal, type Refusal } from '../core/refusal.ts';
import type {
  Circuit,
  CircuitState,
  Health,
  InFlight,
  ModernInfo,
  ReplySink,
  RequestOptions,
  TransportName,
  Upstream,
  UpstreamInfo,
  UpstreamState,
} from '../core/upstream.ts';
import type { ClientHello, SessionPlace, UpstreamSession } from '../core/upstream-session.ts';
import { LISTEN } from '../mcp/modern-methods.ts';
import { FairQueue } from './fair-queue.ts';
import { type CallGate, GatedCall } from './gated-call.ts';
import { CANCELLED } from './rewrite.ts';

export interface GateDeps {
  readonly clock: Clock;
  readonly places: Places;
  /** Null: switched off. */
  readonly circuit: Circuit | null;
  /** Event loops that share the queue's bound. */
  readonly workers: number;
}

/**
 * An upstream as the gateway lets requests to it: not while its circuit is open, and at most `max_concurrency` at a time over
 * all workers; who comes too many waits for a place, if the configuration says so, in turns of the principals.
 */
export class GatedUpstream implements Upstream, CallGate {
  readonly #settings: UpstreamSettings;
  readonly #inner: Upstream;
  readonly #deps: GateDeps;
  readonly #key: string;
  readonly #queue: FairQueue<GatedCall>;
  /** One for each call in the queue; any of them lets the next one in. */
  readonly #tickets = new Set<PlaceTicket>();
  /** All that are not over, where a cancellation may have to find one in the queue. */
  readonly #calls: Set<GatedCall> | null;
  #isClosed = false;

  constructor(settings: UpstreamSettings, inner: Upstream, deps: GateDeps) {
    this.#settings = settings;
    this.#inner = inner;
    this.#deps = deps;
    this.#key = `upstream:${settings.name}`;
    this.#queue = new FairQueue(Math.ceil(settings.queueMax / Math.max(deps.workers, 1)));
    this.#calls = settings.queueMs > 0 ? new Set() : null;
  }

  get name(): string {
    return this.#inner.name;
  }

  get transport(): TransportName {
    return this.#inner.transport;
  }

  get isRequired(): boolean {
    return this.#inner.isRequired;
  }

  get state(): UpstreamState {
    return this.#inner.state;
  }

  get detail(): string | null {
    return this.#inner.detail;
  }

  get info(): UpstreamInfo | null {
    return this.#inner.info;
  }

  get modern(): ModernInfo | null {
    return this.#inner.modern;
  }

  get bridged(): ModernInfo | null {
    return this.#inner.bridged ?? null;
  }

  get pids(): readonly number[] {
    return this.#inner.pids;
  }

  get circuit(): CircuitState {
    return this.#deps.circuit?.state ?? 'closed';
  }

  get retryAfterSecs(): number {
    return this.circuit === 'closed' ? this.#inner.retryAfterSecs : (this.#deps.circuit?.retryAfterSecs ?? 1);
  }

  /** Requests that wait for a place. */
  get queued(): number {
    return this.#queue.size;
  }

  /** Those that wait are counted too. */
  get inFlight(): number {
    return this.#inner.inFlight + this.#queue.size;
  }

  start(): void {
    this.#inner.start();
  }

  request(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    if (message.method === LISTEN) return this.#listen(message, options, sink);
    const idToken = this.#calls === null ? '' : message.bytes.toString('utf8', message.idStart, message.idEnd);
    const call = new GatedCall(this, message, options, sink, idToken);
    this.#calls?.add(call);
    const refusal = this.#admit(call);
    if (refusal === null) return call;
    call.end();
    return refusal;
  }

  /**
   * A subscription lasts as long as its client stays. With a place it would keep others out by doing nothing, and as the probe
   * it would leave the circuit half open. Its caller's own places bound it.
   */
  #listen(message: Envelope, options: RequestOptions, sink: ReplySink): InFlight | Refusal {
    return this.circuit === 'closed' && !this.#isClosed ? this.#inner.request(message, options, sink) : UPSTREAM_OPEN;
  }

  newSession(hello: ClientHello): UpstreamSession | null {
    return this.#inner.newSession(hello);
  }

  resumeSession(place: SessionPlace): UpstreamSession | null {
    return this.#inner.resumeSession(place);
  }

  notify(message: Envelope, options: RequestOptions, taken?: () => void): Refusal | null {
    const named = this.#namedBy(message, options);
    const queued = named.find((call) => call.message !== null);
    if (queued === undefined) return (options.session ?? this.#inner).notify(message, options, taken);
    // With several of that id nobody can tell which is meant.
    if (named.length === 1) queued.onCancelled();
    return null;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (let call = this.#queue.shift(); call !== null; call = this.#queue.shift()) call.fail(UPSTREAM_DOWN, 'closed');
    await this.#inner.close();
  }

  onOver(call: GatedCall, health: Health | null): void {
    this.#calls?.delete(call);
    if (this.#queue.remove(call)) this.#dropTicket();
    if (call.hasPlace) this.#deps.places.leave(this.#key);
    this.#deps.circuit?.report(health, call.sentMs, call.isProbe);
  }

  onDeferred(call: GatedCall): void {
    this.#deps.circuit?.report('alive', call.sentMs, call.isProbe);
    call.isProbe = false;
  }

  #admit(call: GatedCall): Refusal | null {
    const { circuit } = this.#deps;
    if (circuit === null) return this.#takePlace(call);
    const admission = circuit.admit();
    if (admission === 'refused') return UPSTREAM_OPEN;
    if (admission === 'ask') {
      circuit.askProbe((isGranted) => this.#onProbe(call, isGranted));
      return null;
    }
    call.isProbe = admission === 'probe';
    return this.#takePlace(call);
  }

  #onProbe(call: GatedCall, isGranted: boolean): void {
    if (call.isOver) return isGranted ? this.#deps.circuit?.report(null, 0, true) : undefined;
    call.isProbe = isGranted;
    const refusal = isGranted ? this.#takePlace(call) : UPSTREAM_OPEN;
    if (refusal !== null) call.fail(refusal, 'its circuit is open');
  }

  #takePlace(call: GatedCall): Refusal | null {
    const { maxConcurrency: max, queueMs } = this.#settings;
    if (max === 0) return this.#send(call);
    const entry = this.#deps.places.enter(this.#key, max);
    if (entry === 'entered') {
      call.hasPlace = true;
      return this.#send(call);
    }
    if (queueMs > 0) return this.#enqueue(call, queueMs);
    if (entry === 'full') return UPSTREAM_BUSY;
    call.ticket = this.#deps.places.whenFree(this.#key, max, 'brief', (isEntered) => this.#onPlace(call, isEntered));
    return null;
  }

  #enqueue(call: GatedCall, queueMs: number): Refusal | null {
    const displaced = this.#queue.push(call);
    if (displaced === call) return UPSTREAM_BUSY;
    call.late = this.#deps.clock.after(queueMs, () => call.fail(UPSTREAM_BUSY, 'no place within queue_secs'));
    if (displaced === null) this.#addTicket();
    // Its ticket is the new call's now.
    else displaced.fail(UPSTREAM_BUSY, 'gave its place in the queue to a caller who had none');
    return null;
  }

  #addTicket(): void {
    const ticket = this.#deps.places.whenFree(this.#key, this.#settings.maxConcurrency, 'patient', (isEntered) => {
      this.#tickets.delete(ticket);
      const call = this.#queue.shift();
      if (call !== null) this.#onPlace(call, isEntered);
      else if (isEntered) this.#deps.places.leave(this.#key);
    });
    this.#tickets.add(ticket);
  }

  #dropTicket(): void {
    for (const ticket of this.#tickets) {
      this.#tickets.delete(ticket);
      return ticket.cancel();
    }
  }

  #onPlace(call: GatedCall, isEntered: boolean): void {
    call.late?.cancel();
    call.ticket = null;
    call.hasPlace = isEntered;
    const refusal = isEntered ? this.#send(call) : UPSTREAM_BUSY;
    if (refusal !== null) call.fail(refusal, this.#inner.detail ?? 'all places are taken');
  }

  /** Everything is decided: on its way. */
  #send(call: GatedCall): Refusal | null {
    const { message } = call;
    if (message === null || this.#isClosed) return UPSTREAM_DOWN;
    if (this.#deps.circuit !== null) call.sentMs = this.#deps.clock.nowMs();
    const flight = (call.options.session ?? this.#inner).request(message, call.options, call);
    if (isRefusal(flight)) return flight;
    call.sent(flight);
    return null;
  }

  /** The principal's calls that a cancellation names; none for other notifications. */
  #namedBy(message: Envelope, { principalKey, session = null }: RequestOptions): GatedCall[] {
    if (this.#queue.size === 0 || message.method !== CANCELLED || message.requestIdStart < 0) return [];
    const idToken = message.bytes.toString('utf8', message.requestIdStart, message.requestIdEnd);
    return [...(this.#calls ?? [])].filter(
      (call) => call.idToken === idToken && call.principalKey === principalKey && (call.options.session ?? null) === session,
    );
  }
}
