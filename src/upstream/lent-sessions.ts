import { SESSION_UNKNOWN, UPSTREAM_BUSY } from '../core/errors.ts';
import type { CallerPort } from '../core/mesh.ts';
import type { SessionAsk, SessionFlow, SessionOrder, SessionYield } from '../core/mesh-session.ts';
import { isRefusal } from '../core/refusal.ts';
import type { InFlight, RequestOptions } from '../core/upstream.ts';
import type { Listening, UpstreamSession } from '../core/upstream-session.ts';
import { LISTEN } from '../mcp/modern-methods.ts';
import { LentSink } from './lent-sink.ts';
import { LentStream } from './lent-stream.ts';

/** Sessions of one server that live in this worker, of one kind. */
export interface SessionHolder {
  readonly name: string;
  /** The session with this place, if it goes on in this worker. */
  held(place: Buffer): UpstreamSession | null;
  /** The session with this place, if it is one of this host: in this worker, or by way of another. */
  ofHost(place: Buffer): UpstreamSession | null;
  /** How long the session has been unused that gives way first, of this caller or of anybody (null); −1 when none does. */
  unusedMs(caller: string | null): number;
  /** Ends that one. */
  yieldOne(caller: string | null): void;
  /** When what was behind the session with this place is gone, if it is just being ended. */
  ending?(place: Buffer): Promise<void> | null;
}

/** Everything was decided where the client's request came; here nobody is asked who it is. */
const DECIDED: RequestOptions = { restPath: '', principalKey: '' };

interface Aged {
  readonly holder: SessionHolder;
  readonly unusedMs: number;
}

interface Lent {
  readonly sink: LentSink | LentStream;
  /** An answer is to come, whether anybody leaves or not. */
  readonly hasEnd: boolean;
  resume(): void;
  /** Who asked is gone, and may come back. */
  gone(): void;
  /** Nobody listens any more. */
  leave(): void;
}

/** What one other worker may wait for at once: as much as that one may ask of all. */
const MAX_LENT = 65_536;

/** The sessions of this worker, as other workers use them for the requests that came there; with other hosts those of this whole host. */
export class LentSessions {
  readonly #port: CallerPort;
  readonly #find: 'held' | 'ofHost';
  readonly #holders = new Map<string, SessionHolder[]>();
  /** What each worker waits for, by its own numbers. */
  readonly #lent = new Map<number, Map<number, Lent>>();
  /** Of what is lent: with an answer to come. */
  #requests = 0;
  #onIdle: (() => void) | null = null;

  constructor(port: CallerPort, find: 'held' | 'ofHost' = 'held') {
    this.#port = port;
    this.#find = find;
  }

  /** From now on nothing is begun in these sessions, as they are about to end; resolves when what was begun is over. */
  leave(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onIdle = resolve;
    if (this.#requests === 0) resolve();
    return promise;
  }

  register(holder: SessionHolder): void {
    this.#holders.set(holder.name, [...this.#holdersOf(holder.name), holder]);
  }

  onOrder(slot: number, order: SessionOrder): void {
    if ('caller' in order) return this.#onShortage(slot, order);
    const lent = this.#lentTo(slot);
    if (!('place' in order)) return this.#flow(lent, order);
    const sink = new LentSink(this.#port, slot, order.call, () => this.#over(lent, order.call));
    const session = this.#isRefused(order) ? null : this.#found(order.server, order.place);
    // The news that it is over may come before the order of who waits for that.
    const ending = session === null && order.what === 'close' ? this.#ending(order.server, order.place) : null;
    if (ending !== null) return void ending.then(() => sink.over());
    if (session === null) return answered(order.call, () => sink.onFail(SESSION_UNKNOWN, 'its worker has no such session'));
    if (lent.size >= MAX_LENT) return answered(order.call, () => sink.onFail(UPSTREAM_BUSY, 'too much is under way for one worker'));
    this.#serve(lent, session, order, sink);
  }

  /** Its calls go on, and their answers are dropped: nobody knows whether they can be given up. */
  callerLost(slot: number): void {
    const lent = this.#lentTo(slot);
    for (const call of lent.keys()) this.#leave(lent, call);
    this.#lent.delete(slot);
  }

  #lentTo(slot: number): Map<number, Lent> {
    let lent = this.#lent.get(slot);
    if (lent === undefined) {
      lent = new Map();
      this.#lent.set(slot, lent);
    }
    return lent;
  }

  /** What is under way may still be answered and taken back. */
  #isRefused({ what }: SessionAsk): boolean {
    return this.#onIdle !== null && (what === 'request' || what === 'listen');
  }

  /** Once for each that was lent. */
  #over(lent: Map<number, Lent>, call: number): Lent | undefined {
    const one = lent.get(call);
    if (!lent.delete(call) || one === undefined) return undefined;
    if (one.hasEnd) this.#requests -= 1;
    if (this.#requests === 0) this.#onIdle?.();
    return one;
  }

  #onShortage(slot: number, { what, call, server, caller }: SessionYield): void {
    const oldest = this.#holdersOf(server)
      .map((holder) => ({ holder, unusedMs: holder.unusedMs(caller) }))
      .reduce<Aged | null>((found, one) => (found === null || one.unusedMs > found.unusedMs ? one : found), null);
    if (what === 'yield') return oldest?.holder.yieldOne(caller);
    this.#port.toCaller(slot, { type: 'session', what: 'age', call, unusedMs: oldest?.unusedMs ?? -1 });
  }

  #holdersOf(server: string): readonly SessionHolder[] {
    return this.#holders.get(server) ?? [];
  }

  #found(server: string, place: Buffer): UpstreamSession | null {
    for (const holder of this.#holdersOf(server)) {
      const session = holder[this.#find](place);
      if (session !== null) return session;
    }
    return null;
  }

  #ending(server: string, place: Buffer): Promise<void> | null {
    for (const holder of this.#holdersOf(server)) {
      const ending = holder.ending?.(place) ?? null;
      if (ending !== null) return ending;
    }
    return null;
  }

  #flow(lent: Map<number, Lent>, { what, call }: SessionFlow): void {
    if (what === 'pause') return lent.get(call)?.sink.pause();
    if (what === 'resume') return lent.get(call)?.resume();
    if (what === 'gone') return lent.get(call)?.gone();
    this.#leave(lent, call);
  }

  #serve(lent: Map<number, Lent>, session: UpstreamSession, order: SessionAsk, sink: LentSink): void {
    const { call } = order;
    switch (order.what) {
      case 'request': {
        const { message, params } = order;
        const options = message.modern === null ? DECIDED : { ...DECIDED, modern: { params } };
        const flight = session.request(message, options, sink);
        return isRefusal(flight)
          ? sink.onFail(flight, 'refused by its worker')
          : this.#lend(lent, call, sink, flight, message.method !== LISTEN);
      }
      case 'listen': {
        const stream = new LentStream(sink);
        const listening = session.listen(order.from, DECIDED, stream);
        if (isRefusal(listening)) return sink.onFail(listening, 'refused by its worker');
        return this.#lend(lent, call, stream, listening, false);
      }
      case 'notify': {
        const refusal = session.notify(order.message, DECIDED, () => answered(call, () => sink.over()));
        return refusal === null ? undefined : answered(call, () => sink.onFail(refusal, ''));
      }
      case 'respond':
        return void session.respond(order.message, DECIDED);
      case 'close':
        return session.close(() => answered(call, () => sink.over()));
    }
  }

  /** `hasEnd`: not only when somebody leaves. */
  #lend(lent: Map<number, Lent>, call: number, sink: LentSink | LentStream, under: InFlight | Listening, hasEnd: boolean): void {
    if (hasEnd) this.#requests += 1;
    lent.set(call, {
      sink,
      hasEnd,
      resume: () => {
        sink.resume();
        under.resume();
      },
      gone: () => {
        if ('gone' in under) under.gone?.();
      },
      leave: () => {
        sink.abandon();
        if ('leave' in under) under.leave();
        else under.detach(() => undefined);
      },
    });
  }

  #leave(lent: Map<number, Lent>, call: number): void {
    this.#over(lent, call)?.leave();
  }
}

/** Only where somebody waits for it. */
function answered(call: number, answer: () => void): void {
  if (call > 0) answer();
}
