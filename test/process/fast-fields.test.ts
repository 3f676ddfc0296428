import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { workerFlags } from '../../src/process/worker-runtime.ts';

interface Made {
  readonly values: number;
  readonly hasFields: boolean;
  readonly bytes: number;
}

/** Eighteen fields of eight bytes, and the three words that every object has. */
const BYTES = 18 * 8 + 24;
const ENTRY_BYTES = 16 * 8 + 24;

const program = fileURLToPath(new URL('late-seventh.ts', import.meta.url));

function made(flags: readonly string[], ...args: readonly string[]): Made {
  const options = [...flags, '--experimental-strip-types', '--no-warnings'];
  return JSON.parse(execFileSync(process.execPath, [...options, program, ...args], { encoding: 'utf8' })) as Made;
}

describe('objects of a class of which six were made before a full collection', () => {
  it('become dictionaries as V8 is set by default', () => {
    const { values, hasFields, bytes } = made([]);
    expect([values, hasFields]).toEqual([18, false]);
    expect(bytes).toBeGreaterThan(3 * BYTES);
  });

  it('keep fields in a worker', () => {
    const { values, hasFields, bytes } = made(workerFlags([], true));
    expect([values, hasFields]).toEqual([18, true]);
    expect(bytes).toBeLessThan(2 * BYTES);
  });

  it('are as small as others when what they need was settled before', () => {
    const { values, hasFields, bytes } = made([], 'settled');
    expect([values, hasFields]).toEqual([18, true]);
    expect(bytes).toBeLessThan(1.1 * BYTES);
  });

  it('are settled for requests to a server, of which an idle gateway makes a few', () => {
    const { hasFields, bytes } = made([], 'entry');
    expect(hasFields).toBe(true);
    expect(bytes).toBeLessThan(1.1 * ENTRY_BYTES);
  });
});
