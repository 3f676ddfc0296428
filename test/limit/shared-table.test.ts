import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LimitSpec } from '../../src/core/principal.ts';
import { SharedTable } from '../../src/limit/shared-table.ts';
import { chargeOf, newOutcome, specOf } from './limit-support.ts';

const out = newOutcome();
const failMode = 'local' as const;

function takes(table: SharedTable, key: string, spec: LimitSpec, nowMs: number): boolean {
  table.take([chargeOf(key, spec)], nowMs, out);
  return out.isAllowed;
}

function countAdmitted(table: SharedTable, key: string, spec: LimitSpec, nowMs: number, attempts: number): number {
  let admitted = 0;
  for (let i = 0; i < attempts; i++) if (takes(table, key, spec, nowMs)) admitted++;
  return admitted;
}

describe('SharedTable', () => {
  const spec = { perSecond: 1, burst: 3, failMode };

  it('keeps principals apart', () => {
    const table = new SharedTable({ capacity: 10, idleTtlMs: 1_000 });
    expect(countAdmitted(table, 'api_key:a', spec, 0, 10)).toBe(3);
    expect(countAdmitted(table, 'jwt:a', spec, 0, 10)).toBe(3);
    expect(countAdmitted(table, 'api_key:b', { perSecond: 1, burst: 5, failMode }, 0, 10)).toBe(5);
  });

  it('forgets a bucket only when it is full again and idle for the time to live', () => {
    const table = new SharedTable({ capacity: 10, idleTtlMs: 1_000 });
    countAdmitted(table, 'slow', spec, 0, 3);
    countAdmitted(table, 'quick', { perSecond: 1_000, burst: 3, failMode }, 0, 3);
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
    const quick = { perSecond: 1_000, burst: 1, failMode };
    countAdmitted(table, 'victim', { perSecond: 0.001, burst: 5, failMode }, 0, 5);
    for (let i = 0; i < 500; i++) takes(table, `other-${i}`, quick, i * 10);
    expect(takes(table, 'victim', { perSecond: 0.001, burst: 5, failMode }, 5_000)).toBe(false);
  });

  it('a drained bucket that is pushed out by rotating keys comes back empty, not full', () => {
    const table = new SharedTable({ capacity: 4, idleTtlMs: 1e9 });
    const slow = { perSecond: 0.1, burst: 5, failMode };
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
          const limit = { perSecond, burst, failMode };
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
    expect(takes(table, 'a', { perSecond: 1, burst: 100, failMode }, 0)).toBe(false);
    expect(takes(table, 'a', { perSecond: 1, burst: 100, failMode }, 1_000)).toBe(true);
    expect(out.limit).toBe(100);
  });

  it('gives a token back to the key that took it, and to none that is gone', () => {
    const table = new SharedTable({ capacity: 4, idleTtlMs: 1_000 });
    countAdmitted(table, 'a', spec, 0, 3);
    table.giveBack([chargeOf('a', spec), chargeOf('b', spec)], 0, 0);
    expect(countAdmitted(table, 'a', spec, 0, 5)).toBe(1);
    expect(table.size).toBe(1);
  });

  it('takes all of several charges or none', () => {
    const table = new SharedTable({ capacity: 4, idleTtlMs: 1_000 });
    const wide = chargeOf('wide', specOf(1, 5));
    const narrow = chargeOf('narrow', specOf(1, 2), 1, 'tool');
    const both = [wide, narrow];
    expect([table.take(both, 0, out), out.decidedBy, out.remaining]).toEqual(['taken', 'tool', 1]);
    expect([table.take(both, 0, out), out.decidedBy, out.remaining]).toEqual(['taken', 'tool', 0]);
    for (let i = 0; i < 10; i++) {
      expect([table.take(both, 0, out), out.decidedBy, out.isAllowed, out.limit]).toEqual(['refused', 'tool', false, 2]);
    }
    expect([table.take([wide], 0, out), out.remaining]).toEqual(['taken', 2]);
  });

  it('says of the limit with the smallest share left what is left', () => {
    const table = new SharedTable({ capacity: 4, idleTtlMs: 1_000 });
    table.take([chargeOf('a', specOf(1, 10), 6), chargeOf('b', specOf(1, 100), 50, 'method')], 0, out);
    expect(out).toMatchObject({ isAllowed: true, decidedBy: 'principal', limit: 10, remaining: 4 });
    table.take([chargeOf('a', specOf(1, 10), 1), chargeOf('b', specOf(1, 100), 40, 'method')], 0, out);
    expect(out).toMatchObject({ isAllowed: true, decidedBy: 'method', limit: 100, remaining: 10 });
  });

  it('starts the keys of a table before it with what they can have earned since, not full', () => {
    const table = new SharedTable({ capacity: 8, idleTtlMs: 1_000, emptySinceMs: 10_000 });
    const slow = specOf(2, 10);
    expect(countAdmitted(table, 'a', slow, 10_000, 20)).toBe(0);
    expect(countAdmitted(table, 'b', slow, 12_000, 20)).toBe(4);
    expect(countAdmitted(table, 'c', slow, 15_000, 20)).toBe(10);
    expect(countAdmitted(table, 'd', slow, 1e6, 20)).toBe(10);
  });

  it('calls back who asks when it is known, though it always is', async () => {
    const table = new SharedTable({ capacity: 4, idleTtlMs: 1_000 });
    let isInside = true;
    const called = new Promise((resolve) => table.whenKnown([chargeOf('a', spec)], () => resolve(isInside)));
    isInside = false;
    expect(await called).toBe(false);
    expect(table.stats()).toEqual({ mode: 'remote', asks: 0, waits: 0, timeouts: 0, waiting: 0 });
  });

  it('shows what is refused most first, and for how long', () => {
    const table = new SharedTable({ capacity: 4, idleTtlMs: 1_000 });
    countAdmitted(table, 'calm', spec, 0, 1);
    countAdmitted(table, 'busy', spec, 0, 9);
    expect(table.view(0, 10)).toEqual([
      { key: 'busy', limit: 'principal', perSecond: 1, burst: 3, leased: 0, remaining: 0, refused: 6, deniedForMs: 1_000, mode: 'remote' },
      { key: 'calm', limit: 'principal', perSecond: 1, burst: 3, leased: 2, remaining: 2, refused: 0, deniedForMs: 0, mode: 'remote' },
    ]);
    expect(table.view(2_000, 1)).toMatchObject([{ key: 'busy', remaining: 2, deniedForMs: 0 }]);
    table.close();
  });

  it('grants of another thread reach the bucket, and no token is lost or made between the two', async () => {
    const table = new SharedTable({ capacity: 1, idleTtlMs: 1e9 });
    // Practically no refill: all tokens but the first thousand come from the other thread.
    const frozen = { perSecond: 1e-6, burst: 100_000, failMode };
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
