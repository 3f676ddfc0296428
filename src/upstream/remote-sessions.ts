import type { Clock, Timer } from '../core/clock.ts';
import { SESSION_UNKNOWN, UPSTREAM_BUSY, UPSTREAM_DOWN } from '../core/errors.ts';
import type { OwnerPort } from '../core/mesh.ts';
import type { SessionAsk, SessionEvent } from '../core/mesh-session.ts';
import type { Refusal } from '../core/refusal.ts';
import { IdRing, type Numbered } from './id-ring.ts';
import type { Loss, OrderLine, RemoteOrder } from './remote-orders.ts';

/** How often what was sent is looked at, to give up what a worker that is stuck does not answer. */
const SWEEP_MS = 1000;
/** For what is answered at once. */
const NOTICE_MS = 10_000;
/** Orders of one worker that are not over: requests in progress, standing streams. */
const MAX_ORDERS = 65_536;

/** An order without its number, which the connection gives. */
type Unnumbered<T> = T extends SessionAsk ? Omit<T, 'type' | 'call'> : never;

interface Sent extends Numbered {
  readonly slot: number;
  readonly order: RemoteOrder;
  readonly untilMs: number;
}

const LAST: ReadonlySet<SessionEvent['what']> = new Set(['reply', 'fail', 'suspended', 'over']);

/** What this worker asks others for, of its host or (one instance for each) of others, in the sessions that they hold. */
export class RemoteSessions {
  readonly #port: OwnerPort;
  readonly #clock: Clock;
  readonly #sent: IdRing<Sent> = new IdRing();
  readonly #up = new Set<number>();
  /** What was sent, by server. */
  readonly #counts = new Map<string, number>();
  readonly #longestMs = new Map<string, number>();
  #sweeper: Timer | null = null;

  constructor(port: OwnerPort, clock: Clock) {
    this.#port = port;
    this.#clock = clock;
  }

  /** `longestMs`: that a request to this server may take anywhere; the longest counts of those that are named. */
  register(server: string, longestMs: number): void {
    this.#longestMs.set(server, Math.max(this.#longestMs.get(server) ?? 0, longestMs));
    this.#counts.set(server, 0);
  }

  longestMs(server: string): number {
    return this.#longestMs.get(server) ?? NOTICE_MS;
  }

  /** What was sent to other workers, of each server whose sessions live in one. */
  relayed(): { readonly server: string; readonly relayed: number }[] {
    return Array.from(this.#counts, ([server, relayed]) => ({ server, relayed }));
  }

  /**
   * A refusal: nothing was sent, and `order` hears nothing. Null for an order that nobody waits for. The session of a worker that has ended is
   * unknown; one that cannot be reached for the moment may be there again.
   */
  send(slot: number, what: Unnumbered<SessionAsk>, order: RemoteOrder | null, longestMs: number = NOTICE_MS): Refusal | null {
    if (!this.#up.has(slot)) return this.#port.isGone(slot) ? SESSION_UNKNOWN : UPSTREAM_DOWN;
    if (order !== null && this.#sent.size >= MAX_ORDERS) return UPSTREAM_BUSY;
    const id = order === null ? 0 : this.#sent.nextId();
    if (!this.#port.toOwner(slot, { type: 'session', call: id, ...what })) return UPSTREAM_BUSY;
    this.#counts.set(what.server, (this.#counts.get(what.server) ?? 0) + 1);
    if (order === null) return null;
    const sent = { id, slot, order, untilMs: this.#clock.nowMs() + longestMs };
    this.#sent.put(sent);
    order.line = this.#lineOf(sent);
    this.#sweeper ??= this.#clock.every(SWEEP_MS, () => this.#sweep());
    return null;
  }

  connected(slot: number): void {
    this.#up.add(slot);
  }

  lost(slot: number, loss: Loss = 'gone'): void {
    this.#up.delete(slot);
    for (const sent of this.#sent.list()) if (sent.slot === slot) this.#drop(sent, loss);
  }

  onEvent(slot: number, event: SessionEvent): void {
    const sent = this.#sent.get(event.call);
    if (sent === undefined || sent.slot !== slot) return;
    if (LAST.has(event.what)) this.#sent.remove(sent);
    sent.order.onEvent(event);
  }

  close(): void {
    this.#sweeper?.cancel();
    this.#sweeper = null;
  }

  #lineOf(sent: Sent): OrderLine {
    const { id: call, slot } = sent;
    return {
      tell: (what) => void this.#port.toOwner(slot, { type: 'session', what, call }),
      leave: () => {
        if (this.#sent.remove(sent)) this.#port.toOwner(slot, { type: 'session', what: 'leave', call });
      },
    };
  }

  #drop(sent: Sent, loss: Loss): void {
    if (this.#sent.remove(sent)) sent.order.onLost(loss);
  }

  /** The worker that holds the session keeps the deadlines; only one that is stuck lets an order pass the last. */
  #sweep(): void {
    if (this.#sent.size === 0) return this.close();
    const nowMs = this.#clock.nowMs();
    for (const sent of this.#sent.list()) if (nowMs >= sent.untilMs) this.#drop(sent, 'late');
  }
}
