import type { Clock, Timer } from '../core/clock.ts';
import type { Entry, PlaceFigures, PlaceNote, Places, PlaceTicket } from '../core/limit.ts';
import type { PlaceToPrimary, PlaceToWorker } from '../core/place-messages.ts';
import type { FailMode } from '../core/principal.ts';
import { HeldPlaces, type Waiter } from './held-places.ts';

/**
 * How long a request waits for the authority; then the fail mode decides. Longer than for tokens, because places that are taken
 * without the authority exceed the limit: a primary that is busy for a moment is waited for, one that stands still is not.
 */
const ANSWER_MS = 200;
/** Of places that were free for as long all but one go back: another worker may need them all at once. */
const IDLE_MS = 1000;
/** With more keys than this the last one does too: what is kept for callers who come back is bounded. */
const CROWDED_KEYS = 20_000;
const SWEEP_MS = 250;
/** A sweep looks at this many keys, or at an eighth of them, whichever is more: each is looked at every two seconds. */
const SWEEP_KEYS = 1024;
/** After a recall, places go back as they become free for so long: another worker waits for them. */
const RECALL_MS = 100;
/** Requests that wait here, of all keys. */
const MAX_WAITING = 10_000;

export interface PlaceLeaseOptions {
  readonly clock: Clock;
  readonly workers: number;
  /** Most keys with requests or places. */
  readonly maxKeys: number;
  /** Without the authority: the worker's share of the places (`local`), only those it holds (`closed`), all of them (`open`). */
  readonly failMode: FailMode;
  /**
   * The last free place goes back after as long. Long, because asking anew costs many times what a request costs: of 10,000 callers
   * each returns after a second or more.
   */
  readonly idleMs: number;
  readonly send: (message: PlaceToPrimary) => void;
}

/**
 * One worker's places, leased from the primary: a free place is taken here without asking, what is missing is asked for. A key
 * is kept while it has requests or places.
 */
export class PlaceLease implements Places {
  readonly #options: PlaceLeaseOptions;
  readonly #keys = new Map<string, HeldPlaces>();
  /** The authority did not answer in time and has not been heard since. */
  #isSilent = false;
  #sweeper: Timer | null = null;
  #swept: Iterator<HeldPlaces, undefined> = this.#keys.values();
  #asks = 0;
  #waiting = 0;
  #timeouts = 0;
  #unleased = 0;

  constructor(options: PlaceLeaseOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#keys.size;
  }

  get isSilent(): boolean {
    return this.#isSilent;
  }

  figures(): PlaceFigures {
    return { keys: this.#keys.size, asks: this.#asks, waiting: this.#waiting, timeouts: this.#timeouts, unleased: this.#unleased };
  }

  enter(key: string, max: number, note?: PlaceNote | null): Entry {
    const places = this.#find(key, note);
    if (places === undefined) return this.#enterUnknown(key, max);
    if (places.free > 0 && !places.isAwaited) {
      places.take();
      // With one place ahead, asking for it at each request would cost more than to wait when it is missing.
      if (places.ahead > 1 && places.free < places.ahead / 2) this.#ask(places);
      return 'entered';
    }
    if (this.#isSilent) return this.#enterSilent(places);
    return !places.isAwaited && this.#options.clock.nowMs() < places.deniedUntilMs ? 'full' : 'unknown';
  }

  leave(key: string, note?: PlaceNote | null): void {
    const places = this.#find(key, note);
    if (places === undefined || places.inUse === 0) throw new RangeError('leave without enter');
    places.release();
    if (this.#isRecalled(places)) this.#giveBack(places, places.free, false);
    else if (!this.#serve(places)) this.#giveBackSurplus(places);
    if (places.isAwaited) this.#ask(places);
  }

  whenFree(key: string, max: number, patience: 'brief' | 'patient', done: (isEntered: boolean) => void): PlaceTicket {
    const waiter: Waiter = { done, isPatient: patience === 'patient', late: null };
    if (this.#waiting >= MAX_WAITING || !this.#hasRoom(key)) {
      queueMicrotask(() => waiter.done?.(false));
      return { cancel: () => void (waiter.done = null) };
    }
    const places = this.#open(key, max);
    this.#waiting += 1;
    places.wait(waiter);
    if (!waiter.isPatient) waiter.late = this.#options.clock.after(ANSWER_MS, () => this.#onLate(places, waiter));
    this.#ask(places);
    return { cancel: () => this.#cancel(places, waiter) };
  }

  isTaken(key: string): boolean {
    return !this.#isSilent && this.#keys.get(key)?.isTaken === true;
  }

  /** What the primary says. */
  receive(message: Extract<PlaceToWorker, { type: 'granted' | 'recall' }>): void {
    if (message.type === 'granted') this.#onGranted(message);
    else this.#onRecall(message.key);
    if (this.#isSilent) this.#onHeard();
  }

  /** What was noted of its places holds no more. */
  close(): void {
    for (const places of this.#keys.values()) places.close();
    this.#stopSweeping();
  }

  #stopSweeping(): void {
    this.#sweeper?.cancel();
    this.#sweeper = null;
  }

  /** Requests in progress are counted in the note from here on, and with those within its bounds nobody comes here. */
  #find(key: string, note: PlaceNote | null | undefined): HeldPlaces | undefined {
    const found = this.#keys.get(key);
    if (note && found?.isCountedIn(note) === false) found.countIn(note);
    return found;
  }

  #enterUnknown(key: string, max: number): Entry {
    if (!this.#hasRoom(key)) return 'full';
    return this.#isSilent ? this.#enterSilent(this.#open(key, max)) : 'unknown';
  }

  /** While the authority is silent, keys whose asks it has not answered stay. */
  #hasRoom(key: string): boolean {
    return this.#keys.size < this.#options.maxKeys || this.#keys.has(key);
  }

  #open(key: string, max: number): HeldPlaces {
    const known = this.#keys.get(key);
    if (known !== undefined) return known;
    const places = new HeldPlaces(key, max, this.#options.workers);
    this.#keys.set(key, places);
    this.#sweeper ??= this.#options.clock.every(SWEEP_MS, () => this.#sweep());
    return places;
  }

  /** Asks for what is missing, unless an ask is on its way. */
  #ask(places: HeldPlaces): void {
    const need = places.waiters.length;
    const want = need + places.ahead - Math.max(places.free, 0);
    const isPatient = need > 0 && places.waiters.every((waiter) => waiter.isPatient);
    if (places.isAsked || want <= 0) return;
    places.isAsked = true;
    this.#asks += 1;
    this.#options.send({ type: 'ask', key: places.key, max: places.max, need, want, isPatient });
  }

  #onGranted({ key, places: count, waitMs, isCertain }: Extract<PlaceToWorker, { type: 'granted' }>): void {
    const places = this.#keys.get(key);
    if (places === undefined) return this.#options.send({ type: 'back', key, places: count, isRecall: false });
    places.isAsked = false;
    places.isTaken = count === 0 && isCertain;
    places.held += count;
    places.idleSinceMs = this.#options.clock.nowMs();
    if (count === 0) this.#onDenied(places, waitMs);
    else if (!this.#serve(places) || !places.isAwaited) this.#giveBackSurplus(places);
    if (places.isAwaited) this.#ask(places);
  }

  #onDenied(places: HeldPlaces, waitMs: number): void {
    places.deniedUntilMs = this.#options.clock.nowMs() + waitMs;
    for (const waiter of places.waiters.filter((one) => !one.isPatient)) this.#settle(places, waiter, false);
  }

  #onRecall(key: string): void {
    const places = this.#keys.get(key);
    if (places === undefined) return this.#options.send({ type: 'back', key, places: 0, isRecall: true });
    places.isRecalled = true;
    places.recalledUntilMs = this.#options.clock.nowMs() + RECALL_MS;
    this.#giveBack(places, places.free, true);
  }

  /** Looks at the clock only where it matters: few keys are called back. */
  #isRecalled(places: HeldPlaces): boolean {
    if (places.isRecalled) places.isRecalled = this.#options.clock.nowMs() < places.recalledUntilMs;
    return places.isRecalled;
  }

  /** Lets in who waits, first come first; false when nobody waited. */
  #serve(places: HeldPlaces): boolean {
    if (!places.isAwaited) return false;
    while (places.free > 0) {
      const waiter = places.waiters[0];
      if (waiter === undefined) break;
      places.take();
      this.#settle(places, waiter, true);
    }
    return true;
  }

  /** Ends a wait. In a turn of its own: whoever frees a place is in the middle of something. */
  #settle(places: HeldPlaces, waiter: Waiter, isEntered: boolean): void {
    this.#remove(places, waiter);
    queueMicrotask(() => {
      const { done } = waiter;
      waiter.done = null;
      if (done !== null) done(isEntered);
      else if (isEntered) this.leave(places.key);
    });
  }

  #remove(places: HeldPlaces, waiter: Waiter): void {
    if (!places.unwait(waiter)) return;
    this.#waiting -= 1;
    waiter.late?.cancel();
  }

  #cancel(places: HeldPlaces, waiter: Waiter): void {
    waiter.done = null;
    this.#remove(places, waiter);
    if (places.isAsked && !places.isAwaited) this.#options.send({ type: 'withdraw', key: places.key });
  }

  #giveBack(places: HeldPlaces, count: number, isRecall: boolean): void {
    const back = Math.max(count, 0);
    if (back === 0 && !isRecall) return;
    places.held -= back;
    this.#options.send({ type: 'back', key: places.key, places: back, isRecall });
  }

  /** Not each time that requests come and go: between half and twice of what is kept ahead nothing is said. */
  #giveBackSurplus(places: HeldPlaces): void {
    if (places.free > 2 * places.ahead) this.#giveBack(places, places.free - places.ahead, false);
  }

  /** The answer may have arrived while this loop was busy: it is read before anybody is called silent. */
  #onLate(places: HeldPlaces, waiter: Waiter): void {
    this.#options.clock.after(0, () => {
      if (waiter.done === null || !places.waiters.includes(waiter)) return;
      this.#timeouts += 1;
      this.#isSilent = true;
      this.#settle(places, waiter, this.#enterSilent(places) === 'entered');
    });
  }

  /** Without the authority. What is entered here beyond what is held is told when it answers again. */
  #enterSilent(places: HeldPlaces): Entry {
    this.#ask(places);
    const { failMode, workers } = this.#options;
    const share = failMode === 'open' ? places.max : failMode === 'local' ? Math.max(Math.floor(places.max / workers), 1) : 0;
    if (places.free <= 0 && places.inUse >= share) return 'full';
    if (places.free <= 0) this.#unleased += 1;
    places.take();
    return 'entered';
  }

  #onHeard(): void {
    this.#isSilent = false;
    for (const places of this.#keys.values()) {
      const unleased = -places.free;
      if (unleased <= 0) continue;
      places.held += unleased;
      this.#options.send({ type: 'took', key: places.key, max: places.max, places: unleased });
    }
  }

  #sweep(): void {
    const nowMs = this.#options.clock.nowMs();
    const lastMs = this.#keys.size > CROWDED_KEYS ? IDLE_MS : this.#options.idleMs;
    for (let visits = Math.min(this.#keys.size, Math.max(SWEEP_KEYS, Math.ceil(this.#keys.size / 8))); visits > 0; visits--) {
      const places = this.#next();
      if (places === null) break;
      this.#sweepOne(places, nowMs, lastMs);
    }
    if (this.#keys.size === 0) this.#stopSweeping();
  }

  /** Where the last sweep left off; from the first one on again behind the last. */
  #next(): HeldPlaces | null {
    const next = this.#swept.next();
    if (!next.done) return next.value;
    this.#swept = this.#keys.values();
    return this.#swept.next().value ?? null;
  }

  #sweepOne(places: HeldPlaces, nowMs: number, lastMs: number): void {
    places.forget();
    if (places.endUse()) places.idleSinceMs = nowMs;
    const idleMs = nowMs - places.idleSinceMs;
    if (places.free > 0 && idleMs >= lastMs) this.#giveBack(places, places.free, false);
    else if (places.free > 1 && idleMs >= IDLE_MS) this.#giveBack(places, places.free - 1, false);
    if (places.isEmpty && nowMs >= places.deniedUntilMs && nowMs >= places.recalledUntilMs) this.#forget(places);
  }
  /** Notes of it hold no more. */
  #forget(places: HeldPlaces): void {
    places.close();
    this.#keys.delete(places.key);
  }
}
