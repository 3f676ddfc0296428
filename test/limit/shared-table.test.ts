import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LimitOutcome } from '../../src/core/limit.ts';
import type { LimitSpec } from '../../src/core/principal.ts';
import { SharedTable } from '../../src/limit/shared-table.ts';

const out: LimitOutcome = { isAllowed: false, limit: 0, remaining: 0, resetSecs: 0, retryAfterSecs: 0 };

function takes(table: SharedTable, key: string, spec: LimitSpec, nowMs: number): boolean {
  table.take(key, spec, nowMs, out);
  return out.isAllowed;
}

function countAdmitted(table: SharedTable, key: string, spec: LimitSpec, nowMs: number, attempts: number): number {
  let admitted = 0;
  for (let i = 0; i < attempts; i++) if (takes(table, key, spec, nowMs)) admitted++;
  return admitted;
}

describe('SharedTable', () => {
  const spec = { perSecond: 1, burst: 3 };

  it('keeps principals apart', () => {
    const table = new SharedTable({ capacity: 10, idleTtlMs: 1_000 });
    expect(countAdmitted(table, 'api_key:a', spec, 0, 10)).toBe(3);
    expect(countAdmitted(table, 'jwt:a', spec, 0, 10)).toBe(3);
    expect(countAdmitted(table, 'api_key:b', { perSecond: 1, burst: 5 }, 0, 10)).toBe(5);
  });

  it('forgets a bucket only when it is full again and idle for the time to live', () => {
    const table = new SharedTable({ capacity: 10, idleTtlMs: 1_000 });
    countAdmitted(table, 'slow', spec, 0, 3);
    countAdmitted(table, 'quick', { perSecond: 1_000, burst: 3 }, 0, 3);
    table.sweep(999);
    expect(table.size).toBe(2);
    table.sweep(1_001);
    expect(table.size).toBe(1);
    table.sweep(2_999);
    expect(table.size).toBe(1);
    table.sweep(3_000);
    expect(table.size).toBe(0);
    expect(countAdmitted(table, 'slow', spec, 3_000, 10)).toBe(3);
  });

  it('releases 100,000 idle principals, three times over', () => {
    const table = new SharedTable({ capacity: 131_072, idleTtlMs: 1_000 });
    for (let round = 0; round < 3; round++) {
      const nowMs = round * 1e6;
      for (let i = 0; i < 100_000; i++) takes(table, `api_key:${round}-${i}`, spec, nowMs);
      expect(table.size).toBe(100_000);
      for (let i = 0; i < 13; i++) table.sweep(nowMs + 5_000);
      expect(table.size).toBe(0);
    }
  });

  it('gives back the memory of idle principals: the third round needs no more than the first', () => {
    const program = fileURLToPath(new URL('idle-rounds.ts', import.meta.url));
    const lines = execFileSync(process.execPath, ['--experimental-strip-types', '--no-warnings', program], { encoding: 'utf8' })
      .trim()
      .split('\n');
    const rounds = lines.map((line) => JSON.parse(line) as { held: number; size: number; heapBytes: number; rssBytes: number });
    expect(rounds.map(({ held, size }) => [held, size])).toEqual([
      [100_000, 0],
      [100_000, 0],
      [100_000, 0],
    ]);
    const [first, , third] = rounds;
    expect((third?.rssBytes ?? Infinity) / (first?.rssBytes ?? 0)).toBeLessThanOrEqual(1.05);
    expect((third?.heapBytes ?? Infinity) / (first?.heapBytes ?? 0)).toBeLessThanOrEqual(1.05);
  });

  it('never holds more keys than its capacity', () => {
    const table = new SharedTable({ capacity: 100, idleTtlMs: 1_000 });
    for (let i = 0; i < 10_000; i++) takes(table, `key-${i}`, spec, 0);
    expect(table.size).toBe(100);
    expect(table.buffer.byteLength).toBe(3_200);
  });

  it('evicts full buckets before drained ones', () => {
    const table = new SharedTable({ capacity: 10, idleTtlMs: 1e9 });
    const quick = { perSecond: 1_000, burst: 1 };
    countAdmitted(table, 'victim', { perSecond: 0.001, burst: 5 }, 0, 5);
    for (let i = 0; i < 500; i++) takes(table, `other-${i}`, quick, i * 10);
    expect(takes(table, 'victim', { perSecond: 0.001, burst: 5 }, 5_000)).toBe(false);
  });

  it('a drained bucket that is pushed out by rotating keys comes back empty, not full', () => {
    const table = new SharedTable({ capacity: 4, idleTtlMs: 1e9 });
    const slow = { perSecond: 0.1, burst: 5 };
    expect(countAdmitted(table, 'attacker', slow, 0, 10)).toBe(5);
    for (let i = 0; i < 100; i++) takes(table, `rotated-${i}`, slow, 1);
    expect(countAdmitted(table, 'attacker', slow, 2, 10)).toBe(0);
  });

  it('starts unknown keys full again once every evicted bucket would have been', () => {
    const table = new SharedTable({ capacity: 2, idleTtlMs: 1 });
    for (let i = 0; i < 10; i++) countAdmitted(table, `key-${i}`, spec, 0, 3);
    for (let i = 0; i < 3; i++) table.sweep(10_000);
    expect(countAdmitted(table, 'fresh', spec, 10_000, 10)).toBe(3);
  });

  it('admits each key at most burst + rate × T, however keys are rotated through a table too small for them', () => {
    const steps = fc.array(
      fc.record({ key: fc.integer({ min: 0, max: 11 }), gapMs: fc.constantFrom(0, 0, 1, 50, 400, 3_000), isSwept: fc.boolean() }),
      {
        minLength: 50,
        maxLength: 400,
      },
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 6 }),
        steps,
        (capacity, perSecond, burst, schedule) => {
          const table = new SharedTable({ capacity, idleTtlMs: 100 });
          const limit = { perSecond, burst };
          const admitted = new Map<number, number[]>();
          let nowMs = 0;
          for (const { key, gapMs, isSwept } of schedule) {
            nowMs += gapMs;
            if (isSwept) table.sweep(nowMs);
            if (takes(table, `k${key}`, limit, nowMs)) admitted.set(key, [...(admitted.get(key) ?? []), nowMs]);
          }
          for (const times of admitted.values()) {
            times.forEach((from, i) => {
              for (let j = i; j < times.length; j++) {
                expect(j - i + 1).toBeLessThanOrEqual(burst + (perSecond * ((times[j] as number) - from)) / 1000 + 1e-6);
              }
            });
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('applies a changed limit to a bucket in use without filling it', () => {
    const table = new SharedTable({ capacity: 4, idleTtlMs: 1_000 });
    countAdmitted(table, 'a', spec, 0, 3);
    expect(takes(table, 'a', { perSecond: 1, burst: 100 }, 0)).toBe(false);
    expect(takes(table, 'a', { perSecond: 1, burst: 100 }, 1_000)).toBe(true);
    expect(out.limit).toBe(100);
  });

  it('gives a token back to the key that took it, and to none that is gone', () => {
    const table = new SharedTable({ capacity: 4, idleTtlMs: 1_000 });
    countAdmitted(table, 'a', spec, 0, 3);
    table.giveBack('a', spec, 0);
    table.giveBack('b', spec, 0);
    expect(countAdmitted(table, 'a', spec, 0, 5)).toBe(1);
    expect(table.size).toBe(1);
  });

  it('grants of another thread reach the bucket, and no token is lost or made between the two', async () => {
    const table = new SharedTable({ capacity: 1, idleTtlMs: 1e9 });
    // Practically no refill: all tokens but the first thousand come from the other thread.
    const frozen = { perSecond: 1e-6, burst: 100_000 };
    let admitted = countAdmitted(table, 'a', frozen, 0, 100_000);
    const granter = new Worker(
      `const { workerData } = require('node:worker_threads');
       const ints = new Int32Array(workerData);
       for (let i = 0; i < 50000; i++) Atomics.add(ints, 0, 1 << ints[2]);`,
      { eval: true, workerData: table.buffer },
    );
    const ended = new Promise((resolve) => granter.once('exit', resolve));
    let isRunning = true;
    void ended.then(() => (isRunning = false));
    while (isRunning) {
      admitted += countAdmitted(table, 'a', frozen, 0, 1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    admitted += countAdmitted(table, 'a', frozen, 0, 100_000);
    expect(admitted).toBe(150_000);
  });

  it('refuses a capacity that is none', () => {
    expect(() => new SharedTable({ capacity: 0, idleTtlMs: 1 })).toThrow(RangeError);
    expect(() => new SharedTable({ capacity: 1.5, idleTtlMs: 1 })).toThrow(RangeError);
  });
});
