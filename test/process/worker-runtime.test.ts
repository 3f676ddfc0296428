import { describe, expect, it } from 'vitest';
import { workerEnv, workerFlags } from '../../src/process/worker-runtime.ts';

describe('the runtime of a worker', () => {
  it('keeps the options the primary was started with, in front of its own', () => {
    const flags = workerFlags(['--inspect=0'], true);
    expect(flags[0]).toBe('--inspect=0');
    expect(flags).toContain('--no-allocation-site-pretenuring');
    expect(flags).toContain('--heap-growing-percent=100');
  });

  it('lets the collector have helpers where a processor is left for them', () => {
    expect(workerFlags([], true)).toContain('--single-threaded-gc');
    expect(workerFlags([], false)).not.toContain('--single-threaded-gc');
  });

  it('leaves settings of the C library alone that the operator made', () => {
    expect(workerEnv({ HOME: '/home' })).toEqual({ MALLOC_ARENA_MAX: '1', MALLOC_TRIM_THRESHOLD_: '131072' });
    expect(workerEnv({ MALLOC_ARENA_MAX: '8' })).toEqual({ MALLOC_TRIM_THRESHOLD_: '131072' });
  });
});
