import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { workerEnv, workerFlags } from '../../src/process/worker-runtime.ts';
import { waitUntil } from '../e2e/wait.ts';

/** A program that is idle, and what it has printed so far of its collections. */
function idle(flags: readonly string[]): () => string {
  const file = fileURLToPath(new URL('idle-program.ts', import.meta.url));
  const child = spawn(process.execPath, [...flags, '--trace-gc', '--experimental-strip-types', '--no-warnings', file], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  onTestFinished(() => void child.kill('SIGKILL'));
  return () => text;
}

describe('the runtime of a worker', () => {
  it('keeps the options the primary was started with, in front of its own', () => {
    const flags = workerFlags(['--inspect=0'], true);
    expect(flags[0]).toBe('--inspect=0');
    expect(flags).toContain('--no-allocation-site-pretenuring');
    expect(flags).toContain('--heap-growing-percent=100');
    expect(flags).toContain('--max-inlined-bytecode-size=1000');
    expect(flags).toContain('--max-inlined-bytecode-size-cumulative=1500');
  });

  it('is not emptied in a pause of some seconds, for which compiled code would go with what it was made for', {
    timeout: 120_000,
  }, async () => {
    const own = idle(workerFlags([], true));
    const usual = idle(['--max-semi-space-size=2', '--heap-growing-percent=100']);
    const wasEmptied = (): boolean => own().includes('made 400') && usual().includes('(reduce)');
    await waitUntil(wasEmptied, { what: 'the usual collection', timeoutMs: 100_000 });
    expect(own()).not.toContain('(reduce)');
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
