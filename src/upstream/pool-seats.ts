import type { Clock, Timer } from '../core/clock.ts';
import type { PoolSettings } from '../core/config.ts';
import type { ChildEra } from '../core/mesh.ts';
import type { Places, PlaceTicket } from '../core/limit.ts';

/** How long a worker waits for a seat before it asks that an idle child be ended for it, and how often. */
const PRESS_MS = 50;

/** Which children of a server this worker may have. A seat is a child's from its start to the end of its process. */
export interface Seats {
  /** Of the children to begin with. */
  first(): readonly number[];
  /** Number of a new child for this key; null when there may be none now. */
  take(key: string): number | null;
  /** For a child that nobody waits for, for which none is ended: told once, perhaps later, with null when all seats are taken. */
  spare(done: (number: number | null) => void): void;
  /** The child with this number has ended. */
  leave(number: number): void;
  /** Nobody waits for a child of this key any more. */
  forget(key: string): void;
  close(): void;
}

/** What a seat is taken for: a child of one kind, of one key. */
export function seatKey(key: string, era: ChildEra): string {
  return `${era} ${key}`;
}

export function eraOf(seat: string): ChildEra {
  return seat.startsWith('modern ') ? 'modern' : 'legacy';
}

export function keyOf(seat: string): string {
  return seat.slice(seat.indexOf(' ') + 1);
}

/** Which worker is asked for the children of a key, the same in every worker. */
export function ownerOf(server: string, key: string, workers: number): number {
  // FNV-1a, 32 bit.
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(`${server}\n${key}`)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash % workers;
}

/** The seats of a shared pool are dealt out once, in turn, beginning with another worker for each server. */
export function seatsOf(index: number, max: number, worker: number, workers: number): number[] {
  return Array.from({ length: max }, (_, seat) => seat).filter((seat) => (index + seat) % workers === worker);
}

/** Shared children: so many for the whole gateway, and each worker has its own of them. */
export class SharedSeats implements Seats {
  readonly #min: number;
  readonly #free: Set<number>;

  constructor(numbers: readonly number[], pool: PoolSettings) {
    this.#free = new Set(numbers);
    // One in any case, to learn what the server is.
    this.#min = Math.max(pool.min, 1);
  }

  first(): readonly number[] {
    const first = [...this.#free].filter((number) => number < this.#min);
    for (const number of first) this.#free.delete(number);
    return first;
  }

  take(): number | null {
    if (this.#free.size === 0) return null;
    // Those that are kept first.
    const number = Math.min(...this.#free);
    this.#free.delete(number);
    return number;
  }

  spare(done: (number: number | null) => void): void {
    done(this.take());
  }

  leave(number: number): void {
    this.#free.add(number);
  }

  forget(): void {}

  close(): void {}
}

export interface KeyedSeatsOptions {
  readonly server: string;
  readonly max: number;
  readonly places: Places;
  readonly clock: Clock;
  /** The worker that starts a child before anybody asks, to learn what the server is. */
  readonly isFirst: boolean;
  /** A seat that `take` did not have is there now. */
  onSeat(number: number, key: string): void;
  /** So many seats are wanted and there are none: end a child that nobody needs, here or elsewhere. */
  onShortage(wanted: number): void;
}

/** Children of keys: whichever worker needs one takes a seat of those that all workers share. */
export class KeyedSeats implements Seats {
  readonly #options: KeyedSeatsOptions;
  readonly #placeKey: string;
  readonly #numbers = new Set<number>();
  readonly #tickets = new Map<string, PlaceTicket>();
  #pressing: Timer | null = null;

  constructor(options: KeyedSeatsOptions) {
    this.#options = options;
    this.#placeKey = `children:${options.server}`;
  }

  first(): readonly number[] {
    const number = this.#options.isFirst ? this.take(seatKey('', 'legacy')) : null;
    return number === null ? [] : [number];
  }

  take(key: string): number | null {
    if (this.#tickets.has(key)) return null;
    const { places, max } = this.#options;
    const entry = places.enter(this.#placeKey, max);
    if (entry === 'entered') return this.#number();
    const ticket = places.whenFree(this.#placeKey, max, 'patient', (isEntered) => this.#onPlace(key, isEntered));
    this.#tickets.set(key, ticket);
    this.#pressing ??= this.#options.clock.every(PRESS_MS, () => this.#options.onShortage(this.#tickets.size));
    if (entry === 'full') this.#options.onShortage(this.#tickets.size);
    return null;
  }

  spare(done: (number: number | null) => void): void {
    const { places, max } = this.#options;
    const told = (isEntered: boolean): void => done(isEntered ? this.#number() : null);
    const entry = places.enter(this.#placeKey, max);
    if (entry === 'unknown') places.whenFree(this.#placeKey, max, 'brief', told);
    else told(entry === 'entered');
  }

  leave(number: number): void {
    this.#numbers.delete(number);
    this.#options.places.leave(this.#placeKey);
  }

  forget(key: string): void {
    this.#tickets.get(key)?.cancel();
    this.#tickets.delete(key);
    this.#relax();
  }

  close(): void {
    for (const key of this.#tickets.keys()) this.forget(key);
  }

  #onPlace(key: string, isEntered: boolean): void {
    this.#tickets.delete(key);
    this.#relax();
    // Too many wait already: the call's own deadline ends it, or another asks again.
    if (isEntered) this.#options.onSeat(this.#number(), key);
  }

  #relax(): void {
    if (this.#tickets.size > 0) return;
    this.#pressing?.cancel();
    this.#pressing = null;
  }

  #number(): number {
    let number = 0;
    while (this.#numbers.has(number)) number += 1;
    this.#numbers.add(number);
    return number;
  }
}
