import type { Clock, Timer } from '../core/clock.ts';
import type { PlaceToPrimary, PlaceToWorker } from '../core/place-messages.ts';

/** How long a holder may take to answer a recall: it may be busy. One that was later is not waited for until it is heard again. */
const RECALL_MS = 100;
/** How often places are called back while somebody waits for one. */
const PATIENT_MS = 50;
/** A denied worker asks again after so long, and refuses by itself meanwhile. */
const DENIED_MS = 5;
/** The table is full: no place is known to be free. */
const CROWDED_MS = 100;

export interface PlaceAuthorityOptions {
  readonly clock: Clock;
  /** Most keys with places in use. */
  readonly maxKeys: number;
  readonly send: (holder: number, message: PlaceToWorker) => void;
}

interface Ask {
  readonly holder: number;
  readonly need: number;
  readonly want: number;
  readonly isPatient: boolean;
}

interface Shared {
  readonly key: string;
  readonly max: number;
  total: number;
  readonly held: Map<number, number>;
  /** First come first; one per holder. */
  asks: Ask[];
  /** Who was asked to give back, and whether he has answered; null = nobody was. */
  recall: Map<number, boolean> | null;
  timer: Timer | null;
}

type Message = Exclude<PlaceToPrimary, { type: 'circuit' }>;

/**
 * Gives the places of every key to the workers: what all of them hold is at most the key's maximum. When one lacks a place
 * and none is free, the others are asked to give back what they hold without using it; only then is anybody denied.
 */
export class PlaceAuthority {
  readonly #options: PlaceAuthorityOptions;
  readonly #keys = new Map<string, Shared>();
  /** Holders that have not answered a recall, say because they are stopped: they must not make the others wait again. */
  readonly #deaf = new Set<number>();

  constructor(options: PlaceAuthorityOptions) {
    this.#options = options;
  }

  /** Keys with places in use. */
  get size(): number {
    return this.#keys.size;
  }

  /** Places that are held, of one key. */
  heldOf(key: string): number {
    return this.#keys.get(key)?.total ?? 0;
  }

  receive(holder: number, message: Message): void {
    this.#deaf.delete(holder);
    switch (message.type) {
      case 'ask':
        return this.#ask(holder, message);
      case 'withdraw':
        return this.#withdraw(holder, message.key);
      case 'back':
        return this.#back(holder, message.key, message.places, message.isRecall);
      case 'took':
        return this.#took(holder, message);
    }
  }

  /** The worker is gone, and its requests with it. */
  lost(holder: number): void {
    this.#deaf.delete(holder);
    for (const shared of this.#keys.values()) {
      shared.total -= shared.held.get(holder) ?? 0;
      shared.held.delete(holder);
      shared.asks = shared.asks.filter((ask) => ask.holder !== holder);
      shared.recall?.delete(holder);
      this.#settle(shared);
    }
  }

  close(): void {
    for (const shared of this.#keys.values()) shared.timer?.cancel();
    this.#keys.clear();
  }

  #ask(holder: number, message: Extract<Message, { type: 'ask' }>): void {
    const shared = this.#open(message.key, message.max);
    if (shared === null) return this.#answer(holder, message.key, 0, CROWDED_MS, false);
    if (message.need > 0) {
      shared.asks.push({ holder, need: message.need, want: message.want, isPatient: message.isPatient });
    } else {
      // Nobody waits for these: what is free while nobody else waits.
      const free = shared.asks.length > 0 ? 0 : Math.max(Math.min(shared.max - shared.total, message.want), 0);
      this.#grant(shared, holder, free);
    }
    this.#settle(shared);
  }

  #open(key: string, max: number): Shared | null {
    const known = this.#keys.get(key);
    if (known !== undefined) return known;
    if (this.#keys.size >= this.#options.maxKeys) return null;
    const shared: Shared = { key, max, total: 0, held: new Map(), asks: [], recall: null, timer: null };
    this.#keys.set(key, shared);
    return shared;
  }

  #withdraw(holder: number, key: string): void {
    const shared = this.#keys.get(key);
    const ask = shared?.asks.find((one) => one.holder === holder);
    if (shared === undefined || ask === undefined) return;
    shared.asks.splice(shared.asks.indexOf(ask), 1);
    this.#answer(holder, key, 0, 0, false);
    this.#settle(shared);
  }

  /** Never more than the holder was given: a place given back twice would be a place too many. */
  #back(holder: number, key: string, places: number, isRecall: boolean): void {
    const shared = this.#keys.get(key);
    if (shared === undefined) return;
    const held = shared.held.get(holder) ?? 0;
    const back = Math.min(Math.max(places, 0), held);
    shared.total -= back;
    if (held === back) shared.held.delete(holder);
    else shared.held.set(holder, held - back);
    if (isRecall && shared.recall?.has(holder) === true) shared.recall.set(holder, true);
    this.#settle(shared);
  }

  /** Beyond the maximum if need be: nothing is granted until so much is given back. */
  #took(holder: number, message: Extract<Message, { type: 'took' }>): void {
    const shared = this.#open(message.key, message.max);
    if (shared === null) return;
    shared.total += message.places;
    shared.held.set(holder, (shared.held.get(holder) ?? 0) + message.places);
    if (shared.total <= shared.max) return;
    for (const other of shared.held.keys()) this.#options.send(other, { type: 'recall', key: shared.key });
  }

  /** Serves who waits, as far as there are places; then calls back what is idle, or denies. */
  #settle(shared: Shared): void {
    while (shared.asks.length > 0 && shared.total < shared.max) this.#serveFirst(shared);
    if (shared.asks.length > 0) return this.#recall(shared);
    shared.recall = null;
    shared.timer?.cancel();
    shared.timer = null;
    if (shared.total === 0) this.#keys.delete(shared.key);
  }

  /** Several that wait share what there is; who is alone may have some ahead. */
  #serveFirst(shared: Shared): void {
    const ask = shared.asks.shift();
    if (ask === undefined) return;
    const free = shared.max - shared.total;
    const others = shared.asks.length;
    const granted = others === 0 ? Math.min(ask.want, free) : Math.min(ask.need, Math.ceil(free / (others + 1)));
    this.#grant(shared, ask.holder, granted);
  }

  #recall(shared: Shared): void {
    shared.recall ??= this.#callBack(shared);
    const isOpen = [...shared.recall.values()].includes(false);
    if (!isOpen) this.#deny(shared, this.#isHeard(shared));
    if (shared.asks.length === 0) return this.#settle(shared);
    const isUrgent = shared.asks.some((ask) => !ask.isPatient);
    shared.timer ??= this.#options.clock.after(isUrgent ? RECALL_MS : PATIENT_MS, () => this.#onTimer(shared));
  }

  /** Also those that wait themselves, when others do too: else who holds places would use them again and again. */
  #callBack(shared: Shared): Map<number, boolean> {
    const isAsked = (holder: number): boolean => !this.#deaf.has(holder) && shared.asks.some((ask) => ask.holder !== holder);
    const holders = [...shared.held.keys()].filter(isAsked);
    for (const holder of holders) this.#options.send(holder, { type: 'recall', key: shared.key });
    return new Map(holders.map((holder) => [holder, false]));
  }

  #onTimer(shared: Shared): void {
    shared.timer = null;
    for (const [holder, hasAnswered] of shared.recall ?? []) if (!hasAnswered) this.#deaf.add(holder);
    this.#deny(shared, false);
    shared.recall = null;
    this.#settle(shared);
  }

  /** Nobody who holds places was passed over when they were called back. */
  #isHeard(shared: Shared): boolean {
    return [...shared.held.keys()].every((holder) => !this.#deaf.has(holder));
  }

  /** As far as is known, or certainly, all places are in use. The patient stay, and the holders are asked again. */
  #deny(shared: Shared, isCertain: boolean): void {
    const denied = shared.asks.filter((ask) => !ask.isPatient);
    shared.asks = shared.asks.filter((ask) => ask.isPatient);
    for (const ask of denied) this.#answer(ask.holder, shared.key, 0, DENIED_MS, isCertain);
  }

  #grant(shared: Shared, holder: number, places: number): void {
    shared.total += places;
    if (places > 0) shared.held.set(holder, (shared.held.get(holder) ?? 0) + places);
    this.#answer(holder, shared.key, places, 0, false);
  }

  #answer(holder: number, key: string, places: number, waitMs: number, isCertain: boolean): void {
    this.#options.send(holder, { type: 'granted', key, places, waitMs, isCertain });
  }
}
