import { describe, expect, it } from 'vitest';
import { enterPlain, leavePlain, newPlaceNote, type PlaceNote } from '../../src/core/limit.ts';
import { PlaceFleet, type PlaceFleetOptions } from './place-fleet.ts';

/** Mulberry32: a run is replayed by its seed. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

const KEY = 'a';
const MS = 120;

/** One gateway under random load, with workers that die and, on demand, a primary that stops; what it came to. */
class Run {
  readonly max: number;
  readonly fleet: PlaceFleet;
  readonly #random: () => number;
  /** Two of each worker, as after a change of the configuration: one for most requests, and others that come and go. */
  readonly #notes: PlaceNote[][];
  readonly #workers: number;
  /** In progress, by worker; the requests of a dead one are gone. */
  readonly inUse: Set<() => void>[];
  most = 0;
  readonly #mayStop: boolean;

  constructor(seed: number, mayStop: boolean, timesOf: PlaceFleetOptions['timesOf'] = () => 1) {
    this.#random = randomFrom(seed);
    this.#workers = 1 + Math.floor(this.#random() * 5);
    this.max = 1 + Math.floor(this.#random() ** 3 * 40);
    this.#mayStop = mayStop;
    const slowMs = this.#random() * 4;
    this.inUse = Array.from({ length: this.#workers }, () => new Set());
    this.#notes = this.inUse.map(() => [newPlaceNote(), newPlaceNote()]);
    this.fleet = new PlaceFleet({ workers: this.#workers, failMode: 'closed', delayMs: () => this.#random() * slowMs, timesOf });
  }

  get total(): number {
    return this.inUse.reduce((sum, requests) => sum + requests.size, 0);
  }

  async play(): Promise<void> {
    const demand = this.#random() * 3;
    for (let ms = 0; ms < MS; ms++) {
      for (let due = this.#random() * demand * 2; due > 1; due--) this.#request(Math.floor(this.#random() * this.#workers));
      if (this.#random() < 0.03) this.#kill(Math.floor(this.#random() * this.#workers));
      if (this.#mayStop && this.#random() < 0.02) this.#turn();
      await this.fleet.pass(1, 0.5);
    }
    this.fleet.resume();
  }

  /** All requests end. */
  async end(): Promise<void> {
    await this.fleet.pass(250, 1);
    while (this.total > 0) {
      for (const requests of this.inUse) for (const leave of requests) leave();
      await this.fleet.pass(10, 1);
    }
    await this.fleet.pass(2500, 25);
  }

  #request(slot: number): void {
    if (!this.fleet.isAlive(slot)) return;
    const lease = this.fleet.lease(slot);
    const note = this.#noteOf(slot);
    const entry = enterPlain(note) ? 'entered' : lease.enter(KEY, this.max, note);
    if (entry === 'entered') return this.#begin(slot, note);
    if (entry === 'full') return;
    const patience = this.#random() < 0.3 ? 'patient' : 'brief';
    const ticket = lease.whenFree(KEY, this.max, patience, (isEntered) => {
      if (!isEntered || this.fleet.lease(slot) !== lease || !this.fleet.isAlive(slot)) return;
      this.#begin(slot, note);
    });
    if (patience === 'patient') this.fleet.clock.after(this.#random() * 30, () => ticket.cancel());
  }

  #noteOf(slot: number): PlaceNote {
    const notes = this.#notes[slot] as PlaceNote[];
    if (this.#random() < 0.1) notes[1] = newPlaceNote();
    return notes[this.#random() < 0.8 ? 0 : 1] as PlaceNote;
  }

  #begin(slot: number, note: PlaceNote): void {
    const lease = this.fleet.lease(slot);
    const requests = this.inUse[slot] as Set<() => void>;
    const leave = (): void => {
      if (requests.delete(leave) && !leavePlain(note)) lease.leave(KEY, note);
    };
    requests.add(leave);
    this.most = Math.max(this.most, this.total);
    this.fleet.clock.after(this.#random() * 20, leave);
  }

  #turn(): void {
    if (this.fleet.isStopped) this.fleet.resume();
    else this.fleet.isStopped = true;
  }

  #kill(slot: number): void {
    this.inUse[slot]?.clear();
    this.#notes[slot] = [newPlaceNote(), newPlaceNote()];
    this.fleet.kill(slot);
  }
}

const FIRST = Number(process.env['SEED'] ?? 1);
const RUNS = process.env['SEED'] === undefined ? 2000 : 1;

describe('places under random load, delays and deaths of workers', () => {
  it.each([
    ['with a primary that answers', false],
    ['with a primary that stops and goes on, and nothing taken meanwhile', true],
  ])('never more than the maximum are in progress, and all places come back, %s', async (_, mayStop) => {
    let full = 0;
    for (let seed = FIRST; seed < FIRST + RUNS; seed++) {
      const run = new Run(seed, mayStop);
      await run.play();
      if (run.most === run.max) full += 1;
      expect(run.most, `SEED=${seed}: more in progress than may be`).toBeLessThanOrEqual(run.max);
      await run.end();
      expect([run.fleet.authority.heldOf(KEY), run.fleet.authority.size], `SEED=${seed}: places are lost`).toEqual([0, 0]);
    }
    expect(full, 'runs that came to their maximum').toBeGreaterThanOrEqual(Math.floor(RUNS / 4));
  });

  it.each([
    ['places given back count twice', (type: string) => (type === 'back' ? 2 : 1)],
    ['questions are lost, and who waits is never answered', (type: string) => (type === 'ask' ? 0 : 1)],
    ['places given back are lost', (type: string) => (type === 'back' ? 0 : 1)],
  ])('would notice that %s', async (_, timesOf) => {
    let faults = 0;
    for (let seed = 1; seed <= 300; seed++) {
      const run = new Run(seed, false, ({ type }) => timesOf(type));
      await run.play();
      const most = run.most;
      await run.end();
      if (most > run.max || most === 0 || run.fleet.authority.size > 0) faults += 1;
    }
    expect(faults).toBeGreaterThan(0);
  });
});
