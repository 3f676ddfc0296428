import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import {
  applyGrant,
  BYTES_PER_LEASE,
  generationOf,
  leaseMemory,
  levelOf,
  MAX_LEVEL,
  resetLease,
  takeLease,
} from '../../src/limit/lease-memory.ts';

describe('lease memory', () => {
  it('takes what was granted and not more', () => {
    const memory = leaseMemory(new SharedArrayBuffer(2 * BYTES_PER_LEASE));
    expect(takeLease(memory, 1, 1)).toBe(-1);
    expect(applyGrant(memory, 1, 0, 5)).toBe(5);
    expect([takeLease(memory, 1, 3), takeLease(memory, 1, 3), takeLease(memory, 1, 2)]).toEqual([2, -1, 0]);
    expect([levelOf(memory, 0), levelOf(memory, 1)]).toEqual([0, 0]);
  });

  it('refuses a grant for a former owner of the slot', () => {
    const memory = leaseMemory(new SharedArrayBuffer(BYTES_PER_LEASE));
    applyGrant(memory, 0, 0, 7);
    expect(resetLease(memory, 0)).toBe(7);
    expect(applyGrant(memory, 0, 0, 7)).toBe(0);
    expect([levelOf(memory, 0), generationOf(memory, 0)]).toEqual([0, 1]);
    expect(applyGrant(memory, 0, 1, 2)).toBe(2);
  });

  it('counts generations around without touching the level', () => {
    const memory = leaseMemory(new SharedArrayBuffer(BYTES_PER_LEASE));
    const seen = new Set<number>();
    for (let i = 0; i < 4_096; i++) {
      seen.add(generationOf(memory, 0));
      expect(applyGrant(memory, 0, generationOf(memory, 0), MAX_LEVEL)).toBe(MAX_LEVEL);
      resetLease(memory, 0);
    }
    expect(seen.size).toBe(4_096);
    expect([generationOf(memory, 0), levelOf(memory, 0)]).toEqual([0, 0]);
  });

  it('loses what does not fit, and never reaches into the generation', () => {
    const memory = leaseMemory(new SharedArrayBuffer(BYTES_PER_LEASE));
    applyGrant(memory, 0, 0, MAX_LEVEL - 1);
    expect(applyGrant(memory, 0, 0, 1_000)).toBe(1);
    expect(applyGrant(memory, 0, 0, 1_000)).toBe(0);
    expect([levelOf(memory, 0), generationOf(memory, 0)]).toEqual([MAX_LEVEL, 0]);
  });

  it.each([-1, 0, Number.NaN, -(2 ** 31)])('adds nothing for a grant of %d', (granted) => {
    const memory = leaseMemory(new SharedArrayBuffer(BYTES_PER_LEASE));
    expect(applyGrant(memory, 0, 0, granted)).toBe(0);
    expect(levelOf(memory, 0)).toBe(0);
  });

  it.each([-1, 1, 2 ** 31])('adds nothing to slot %d of one', (slot) => {
    const memory = leaseMemory(new SharedArrayBuffer(BYTES_PER_LEASE));
    expect(applyGrant(memory, slot, 0, 5)).toBe(0);
    expect(levelOf(memory, 0)).toBe(0);
  });

  it('grants of another thread are neither lost nor doubled while tokens are taken', async () => {
    const buffer = new SharedArrayBuffer(BYTES_PER_LEASE);
    const memory = leaseMemory(buffer);
    const granter = new Worker(
      `const { workerData } = require('node:worker_threads');
       import(workerData.module).then(({ applyGrant, leaseMemory }) => {
         const memory = leaseMemory(workerData.buffer);
         for (let i = 0; i < 100000; i++) applyGrant(memory, 0, 0, 3);
       });`,
      {
        eval: true,
        workerData: { buffer, module: new URL('../../src/limit/lease-memory.ts', import.meta.url).href },
        execArgv: ['--experimental-strip-types', '--no-warnings'],
      },
    );
    let hasEnded = false;
    granter.once('exit', () => (hasEnded = true));
    let taken = 0;
    while (!hasEnded || levelOf(memory, 0) > 0) {
      for (let i = 0; i < 1_000; i++) if (takeLease(memory, 0, 1) >= 0) taken++;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(taken).toBe(300_000);
  });
});
