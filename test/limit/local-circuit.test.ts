import { describe, expect, it } from 'vitest';
import { LocalCircuit } from '../../src/limit/local-circuit.ts';
import { FakeClock } from '../upstream/fake-clock.ts';

function open(): { circuit: LocalCircuit; clock: FakeClock; states: string[] } {
  const clock = new FakeClock();
  const circuit = new LocalCircuit({ failures: 3, openMs: 10_000 }, clock);
  const states: string[] = [];
  circuit.onChange = () => states.push(circuit.state);
  return { circuit, clock, states };
}

function fail(circuit: LocalCircuit, clock: FakeClock, times: number): void {
  for (let i = 0; i < times; i++) circuit.report('failed', clock.nowMs(), false);
}

describe('LocalCircuit', () => {
  it('opens, says for how long, lets one probe through and closes', () => {
    const { circuit, clock, states } = open();
    fail(circuit, clock, 3);
    expect([circuit.admit(), circuit.retryAfterSecs]).toEqual(['refused', 10]);
    clock.advance(9_500);
    expect([circuit.admit(), circuit.retryAfterSecs]).toEqual(['refused', 1]);
    clock.advance(500);
    expect([circuit.admit(), circuit.admit(), circuit.state]).toEqual(['probe', 'refused', 'half_open']);
    circuit.report('alive', clock.nowMs(), true);
    expect([circuit.admit(), states]).toEqual(['pass', ['open', 'half_open', 'closed']]);
  });

  it('a probe that tells nothing, say because its caller took it back, makes way for the next', () => {
    const { circuit, clock } = open();
    fail(circuit, clock, 3);
    clock.advance(10_000);
    expect(circuit.admit()).toBe('probe');
    circuit.report(null, clock.nowMs(), true);
    expect(circuit.admit()).toBe('probe');
    circuit.report('failed', clock.nowMs(), true);
    expect([circuit.admit(), circuit.retryAfterSecs]).toEqual(['refused', 10]);
  });

  it('slow calls of one caller do not close a server that answers the others', () => {
    const { circuit, clock } = open();
    const slowSince = clock.nowMs();
    clock.advance(30_000);
    circuit.report('alive', clock.nowMs() - 5, false);
    for (let i = 0; i < 100; i++) circuit.report('failed', slowSince, false);
    expect([circuit.state, circuit.admit()]).toEqual(['closed', 'pass']);
  });

  it('counts what failed since the last answer, and what tells nothing not at all', () => {
    const { circuit, clock } = open();
    circuit.report('alive', clock.nowMs(), false);
    clock.advance(1);
    fail(circuit, clock, 2);
    for (let i = 0; i < 10; i++) circuit.report(null, clock.nowMs(), false);
    expect(circuit.state).toBe('closed');
    fail(circuit, clock, 1);
    expect(circuit.state).toBe('open');
  });
});
