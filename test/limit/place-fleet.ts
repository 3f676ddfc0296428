import type { PlaceToPrimary, PlaceToWorker } from '../../src/core/place-messages.ts';
import type { FailMode } from '../../src/core/principal.ts';
import { PlaceAuthority } from '../../src/limit/place-authority.ts';
import { PlaceLease } from '../../src/limit/place-lease.ts';
import { FakeClock } from '../upstream/fake-clock.ts';

/** Free places go back after this long. */
export const IDLE_MS = 1000;

export interface PlaceFleetOptions {
  readonly workers: number;
  readonly failMode?: FailMode;
  /** One way, drawn for each message; the order of a channel is kept. Default: 0.2 ms. */
  readonly delayMs?: () => number;
  readonly maxKeys?: number;
  /** How often a message to the primary arrives: faults that a test must notice. Default: once. */
  readonly timesOf?: (message: PlaceToPrimary) => number;
}

/** A real authority and real leases, with the channel between them and time in the hands of a test. */
export class PlaceFleet {
  readonly clock: FakeClock = new FakeClock();
  readonly authority: PlaceAuthority;
  readonly leases: PlaceLease[] = [];
  /** Messages to the primary, by type. */
  readonly sent: Map<string, number> = new Map();
  /** The primary does not run: what it is sent waits. */
  isStopped = false;
  readonly #options: PlaceFleetOptions;
  readonly #delayMs: () => number;
  #waiting: (() => void)[] = [];
  readonly #lastAtMs = new Map<string, number>();
  readonly #births: number[] = [];
  readonly #dead = new Set<number>();

  constructor(options: PlaceFleetOptions) {
    this.#options = options;
    this.#delayMs = options.delayMs ?? (() => 0.2);
    this.authority = new PlaceAuthority({
      clock: this.clock,
      maxKeys: options.maxKeys ?? 1000,
      send: (slot, message) => this.#toWorker(slot, message),
    });
    for (let slot = 0; slot < options.workers; slot++) this.#start(slot);
  }

  lease(slot: number): PlaceLease {
    return this.leases[slot] as PlaceLease;
  }

  /** The worker dies with all that was under way to and from it; the primary notices, then another takes its slot. */
  kill(slot: number): void {
    if (!this.isAlive(slot)) return;
    this.lease(slot).close();
    this.#births[slot] = (this.#births[slot] ?? 0) + 1;
    this.#dead.add(slot);
    const lost = (): void => {
      this.authority.lost(slot);
      this.#dead.delete(slot);
      this.#start(slot);
    };
    this.#inOrder(`up${slot}`, () => this.#atPrimary(lost));
  }

  isAlive(slot: number): boolean {
    return !this.#dead.has(slot);
  }

  resume(): void {
    this.isStopped = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const deliver of waiting) deliver();
  }

  /** Lets time pass in small steps, microtasks between them. */
  async pass(ms: number, stepMs = 0.1): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      this.clock.advance(Math.min(stepMs, left));
      await Promise.resolve();
      await Promise.resolve();
    }
  }

  #start(slot: number): void {
    const { workers, failMode = 'local', maxKeys = 1000 } = this.#options;
    const birth = this.#births[slot] ?? 0;
    const send = (message: PlaceToPrimary): void => {
      if (birth !== (this.#births[slot] ?? 0)) return;
      this.sent.set(message.type, (this.sent.get(message.type) ?? 0) + 1);
      for (let times = this.#options.timesOf?.(message) ?? 1; times > 0; times--) {
        this.#inOrder(`up${slot}`, () => this.#atPrimary(() => this.#receive(slot, birth, message)));
      }
    };
    this.leases[slot] = new PlaceLease({ clock: this.clock, workers, failMode, maxKeys, idleMs: IDLE_MS, send });
  }

  #receive(slot: number, birth: number, message: PlaceToPrimary): void {
    if (message.type !== 'circuit' && birth === (this.#births[slot] ?? 0)) this.authority.receive(slot, message);
  }

  #atPrimary(deliver: () => void): void {
    if (this.isStopped) this.#waiting.push(deliver);
    else deliver();
  }

  #toWorker(slot: number, message: PlaceToWorker): void {
    const birth = this.#births[slot] ?? 0;
    if (!this.isAlive(slot)) return;
    this.#inOrder(`down${slot}`, () => {
      if (birth !== (this.#births[slot] ?? 0)) return;
      if (message.type === 'granted' || message.type === 'recall') this.lease(slot).receive(message);
    });
  }

  #inOrder(channel: string, deliver: () => void): void {
    const nowMs = this.clock.nowMs();
    const atMs = Math.max(nowMs + this.#delayMs(), (this.#lastAtMs.get(channel) ?? 0) + 1e-6);
    this.#lastAtMs.set(channel, atMs);
    this.clock.after(atMs - nowMs, deliver);
  }
}
