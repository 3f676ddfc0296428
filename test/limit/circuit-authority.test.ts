import { describe, expect, it } from 'vitest';
import type { PlaceToWorker } from '../../src/core/place-messages.ts';
import { CircuitAuthority } from '../../src/limit/circuit-authority.ts';
import { SharedCircuit } from '../../src/limit/shared-circuit.ts';
import { FakeClock } from '../upstream/fake-clock.ts';

const DELAY_MS = 0.2;

/** The circuit of one upstream in several workers, with its authority. */
class Workers {
  readonly clock = new FakeClock();
  readonly circuits: SharedCircuit[] = [];
  sent = 0;
  isStopped = false;
  readonly #authority: CircuitAuthority;

  constructor(count: number) {
    const deliver = (slot: number, message: PlaceToWorker): void => {
      this.clock.after(DELAY_MS, () => {
        if (message.type === 'circuit' || message.type === 'probe') this.circuits[slot]?.receive(message);
      });
    };
    this.#authority = new CircuitAuthority(new Map([['one', { failures: 4, openMs: 10_000 }]]), {
      clock: this.clock,
      send: deliver,
      broadcast: (message) => this.circuits.forEach((_, slot) => deliver(slot, message)),
    });
    for (let slot = 0; slot < count; slot++) this.start(slot);
    this.clock.advance(1);
  }

  at(slot: number): SharedCircuit {
    return this.circuits[slot] as SharedCircuit;
  }

  start(slot: number): void {
    const send = (what: Parameters<CircuitAuthority['receive']>[2]): void => {
      this.sent += 1;
      this.clock.after(DELAY_MS, () => this.isStopped || this.#authority.receive(slot, 'one', what));
    };
    this.circuits[slot] = new SharedCircuit({ clock: this.clock, send });
  }

  die(slot: number): void {
    this.#authority.lost(slot);
    this.start(slot);
    this.clock.advance(1);
  }

  fail(slot: number, isProbe = false): void {
    this.at(slot).report('failed', this.clock.nowMs(), isProbe);
    this.clock.advance(1);
  }

  /** Open, for as long as it stays so. */
  open(): void {
    for (const slot of [0, 1, 0, 1]) this.fail(slot);
  }

  admits(): string[] {
    return this.circuits.map((circuit) => circuit.admit());
  }

  probe(slot: number): boolean | undefined {
    let answer: boolean | undefined;
    this.at(slot).askProbe((isGranted) => (answer = isGranted));
    this.clock.advance(1);
    return answer;
  }
}

describe('a circuit over several workers', () => {
  it('counts the failures of all of them together, and opens in all', () => {
    const workers = new Workers(3);
    for (const slot of [0, 1, 2]) workers.fail(slot);
    expect(workers.admits()).toEqual(['pass', 'pass', 'pass']);
    workers.fail(0);
    expect([workers.admits(), workers.at(2).retryAfterSecs]).toEqual([['refused', 'refused', 'refused'], 10]);
  });

  it('a success in any of them begins the count anew', () => {
    const workers = new Workers(2);
    for (let round = 0; round < 10; round++) {
      workers.fail(0);
      workers.fail(0);
      workers.at(1).report('alive', workers.clock.nowMs(), false);
      workers.clock.advance(1);
    }
    expect(workers.admits()).toEqual(['pass', 'pass']);
  });

  it('one of them probes for all', () => {
    const workers = new Workers(2);
    workers.open();
    workers.clock.advance(10_000);
    expect(workers.admits()).toEqual(['ask', 'ask']);
    expect([workers.probe(0), workers.probe(1)]).toEqual([true, false]);
    workers.at(0).report('alive', workers.clock.nowMs(), true);
    workers.clock.advance(1);
    expect(workers.admits()).toEqual(['pass', 'pass']);
  });

  it('a failed probe keeps it open in all of them', () => {
    const workers = new Workers(2);
    workers.open();
    workers.clock.advance(10_000);
    expect(workers.probe(1)).toBe(true);
    workers.fail(1, true);
    expect([workers.admits(), workers.at(0).retryAfterSecs]).toEqual([['refused', 'refused'], 10]);
  });

  it('the probe of a worker that dies is not waited for, and its successor knows that the circuit is open', () => {
    const workers = new Workers(2);
    workers.open();
    workers.die(0);
    expect(workers.admits()).toEqual(['refused', 'refused']);
    workers.clock.advance(10_000);
    expect(workers.probe(0)).toBe(true);
    workers.die(0);
    expect(workers.probe(1)).toBe(true);
  });

  it('a worker that gets no answer does not probe, and the probe it is granted too late passes to another', () => {
    const workers = new Workers(2);
    workers.open();
    workers.clock.advance(10_000);
    let answer: boolean | undefined;
    workers.isStopped = true;
    workers.at(0).askProbe((isGranted) => (answer = isGranted));
    workers.clock.advance(90);
    expect(answer).toBeUndefined();
    workers.clock.advance(15);
    expect(answer).toBe(false);
    workers.isStopped = false;
    workers.at(0).receive({ type: 'probe', server: 'one', isGranted: true });
    workers.clock.advance(1);
    expect(workers.probe(1)).toBe(true);
  });

  it('sends nothing while the upstream answers', () => {
    const workers = new Workers(2);
    const before = workers.sent;
    for (let i = 0; i < 1000; i++) workers.at(i % 2).report('alive', workers.clock.nowMs(), false);
    expect(workers.sent - before).toBe(0);
  });

  it('servers that are not configured have no circuit', () => {
    const clock = new FakeClock();
    const sent: unknown[] = [];
    const authority = new CircuitAuthority(new Map(), { clock, send: (...all) => sent.push(all), broadcast: (all) => sent.push(all) });
    authority.receive(0, 'one', 'failed');
    authority.receive(0, 'one', 'ask_probe');
    expect(sent).toEqual([]);
  });
});
