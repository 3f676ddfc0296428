import { describe, expect, it } from 'vitest';
import { authorityCapacity, workerCapacity } from '../../src/limit/capacity.ts';

describe('capacity', () => {
  it('leaves the authority room for every key that its workers can hold, and one more', () => {
    for (const workers of [0, 1, 4, 64]) {
      for (const maxIdentities of [1, 131_072, 2 ** 21]) {
        const held = workerCapacity(maxIdentities, workers) * Math.max(1, workers);
        expect(authorityCapacity(maxIdentities, workers)).toBe(held + 1);
      }
    }
  });

  it('gives each worker what is configured, as long as that is 4 million keys for all', () => {
    expect(workerCapacity(131_072, 4)).toBe(131_072);
    expect(workerCapacity(2 ** 21, 2)).toBe(2 ** 21);
    expect(workerCapacity(2 ** 21, 64)).toBe(2 ** 16);
    expect(authorityCapacity(2 ** 21, 64)).toBe(2 ** 22 + 1);
  });
});
