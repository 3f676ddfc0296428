import { Bench } from 'tinybench';
import { systemClock } from '../src/core/clock.ts';
import type { Charge, Limiter, LimitOutcome } from '../src/core/limit.ts';
import type { LimitSpec } from '../src/core/principal.ts';
import { applyGrant, leaseMemory } from '../src/limit/lease-memory.ts';
import type { LeaseBatch, LeaseClient } from '../src/limit/lease-port.ts';
import { LeasedLimiter } from '../src/limit/leased-limiter.ts';
import { LocalShare } from '../src/limit/local-share.ts';
import { SharedTable } from '../src/limit/shared-table.ts';
import { printTable } from './print-table.ts';

/** Bounds: what the identity budget costs a request. The key is looked up, the bucket refilled, a token taken. */
const BATCH = 1_000;
const KEYS = 100_000;
const WORKERS = 4;
const spec: LimitSpec = { perSecond: 1_000_000, burst: 1_000_000, failMode: 'local' };
const drained: LimitSpec = { perSecond: 0.001, burst: 1, failMode: 'local' };
const out: LimitOutcome = {
  isAllowed: false,
  decidedBy: 'principal',
  limit: 0,
  remaining: 0,
  resetSecs: 0,
  retryAfterSecs: 0,
  mode: 'remote',
};

const keys = Array.from({ length: KEYS }, (_, i) => `api_key:user-${i}`);

/** What a gateway keeps for each caller. */
function chargesOf(count: number, limit: LimitSpec): (readonly Charge[])[] {
  return keys.slice(0, count).map((key) => [{ limit: 'principal', key, spec: limit, tokens: 1, slot: 0, tenure: 0 }]);
}

function filled(count: number): SharedTable {
  const table = new SharedTable({ capacity: 131_072, idleTtlMs: 10_000 });
  for (const charges of chargesOf(count, spec)) table.take(charges, 0, out);
  return table;
}

/** Every ask is granted in full, at once: what is measured is the worker's side while it holds tokens. */
function leased(count: number): { limiter: LeasedLimiter; settle: () => void } {
  let client: LeaseClient | null = null;
  let flush: (() => void) | null = null;
  const answer = ({ sentMs, asks }: LeaseBatch): void => {
    const to = client as unknown as LeaseClient;
    const memory = leaseMemory(to.buffer);
    for (const { slot, generation, want } of asks) applyGrant(memory, slot, generation, want);
    to.answered({
      stamp: systemClock.nowMs(),
      sentMs,
      answers: asks.map(({ slot, generation, want }) => ({ slot, generation, granted: want, waitMs: 0, left: 900_000, mode: 'remote' })),
    });
  };
  const pending: LeaseBatch[] = [];
  const port = {
    attach: (to: LeaseClient) => void (client = to),
    afterTurn: (run: () => void) => void (flush = run),
    send: (batch: LeaseBatch) => void pending.push(batch),
  };
  const limiter = new LeasedLimiter({
    capacity: 131_072,
    idleTtlMs: 10_000,
    workers: WORKERS,
    share: new LocalShare(WORKERS),
    port,
    clock: systemClock,
  });
  const settle = (): void => {
    const run = flush;
    flush = null;
    run?.();
    for (const batch of pending.splice(0)) answer(batch);
  };
  settle();
  for (let i = 0; i < count; i++) {
    const one: readonly Charge[] = [{ limit: 'principal', key: keys[i] as string, spec, tokens: 1 }];
    limiter.take(one, systemClock.nowMs(), out);
    limiter.whenKnown(one, () => limiter.take(one, systemClock.nowMs(), out));
    if (i % 1_000 === 999) settle();
  }
  settle();
  return { limiter, settle };
}

/** Returns a task that takes once from each of the next keys, a step of `stride` apart so that caches do not help. */
function takeFrom(limiter: Limiter, count: number, stride: number, limit = spec, settle: () => void = () => undefined): () => void {
  const charges = chargesOf(count, limit);
  let next = 0;
  let nowMs = systemClock.nowMs();
  return () => {
    for (let i = 0; i < BATCH; i++) {
      next = (next + stride) % count;
      nowMs += 1e-5;
      limiter.take(charges[next] as readonly Charge[], nowMs, out);
    }
    settle();
  };
}

const few = leased(10);
const many = leased(KEYS);
const unknownTable = new SharedTable({ capacity: 4_096, idleTtlMs: 10_000 });
const bench = new Bench({ time: 1_000, warmupTime: 200 });
bench
  .add('known key, 10 keys', takeFrom(filled(10), 10, 1))
  .add('known key, 100,000 keys at random', takeFrom(filled(KEYS), KEYS, 7_919))
  .add('refused key', takeFrom(new SharedTable({ capacity: 16, idleTtlMs: 10_000 }), 1, 1, drained))
  .add('unknown key, table full (evicts)', takeFrom(unknownTable, KEYS, 1))
  .add('leased key, 10 keys', takeFrom(few.limiter, 10, 1, spec, few.settle))
  .add('leased key, 100,000 keys at random', takeFrom(many.limiter, KEYS, 7_919, spec, many.settle));
await bench.run();
printTable('bucket take', bench, BATCH);
if (few.limiter.stats().waiting + few.limiter.stats().timeouts > 0) throw new Error('leases were not refilled');
few.limiter.close();
many.limiter.close();
