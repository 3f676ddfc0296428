import { describe, expect, it } from 'vitest';
import type { UpstreamStatus } from '../../src/core/messages.ts';
import { FleetState } from '../../src/process/fleet-state.ts';

function status(server: string, state: UpstreamStatus['state'], isRequired = true): UpstreamStatus {
  return {
    server,
    transport: 'stdio',
    pathPrefix: null,
    isRequired,
    state,
    circuit: 'closed',
    detail: state === 'ready' ? null : 'broken',
    pids: [],
  };
}

describe('FleetState', () => {
  it('is not ready before every worker has reported', () => {
    const fleet = new FleetState(2);
    fleet.report(0, [status('a', 'ready')]);
    expect(fleet.reason(false)).toBe('starting');
    fleet.report(1, [status('a', 'ready')]);
    expect(fleet.reason(false)).toBe('');
  });

  it('takes the worst state of each upstream over all workers', () => {
    const fleet = new FleetState(2);
    fleet.report(0, [status('a', 'ready'), status('b', 'ready')]);
    fleet.report(1, [status('a', 'down'), status('b', 'ready')]);
    expect(fleet.upstreams().map((each) => each.state)).toEqual(['down', 'ready']);
    expect(fleet.reason(true)).toBe('upstream not ready: a');
  });

  it('ignores upstreams that are not required', () => {
    const fleet = new FleetState(1);
    fleet.report(0, [status('a', 'ready'), status('b', 'down', false)]);
    expect(fleet.reason(true)).toBe('');
  });

  it('stays ready on the remaining workers when one is lost, and is not ready without any', () => {
    const fleet = new FleetState(2);
    fleet.report(0, [status('a', 'ready')]);
    fleet.report(1, [status('a', 'ready')]);
    fleet.forget(1);
    expect(fleet.reason(true)).toBe('');
    fleet.forget(0);
    expect(fleet.reason(true)).toBe('starting');
  });
});
