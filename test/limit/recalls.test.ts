import { beforeEach, describe, expect, it } from 'vitest';
import type { LimitSpec } from '../../src/core/principal.ts';
import { MemoryAuthority } from '../../src/limit/memory-authority.ts';
import { FakeClock } from '../upstream/fake-clock.ts';
import { Bench, specOf } from './limit-support.ts';

const WORKERS = 2;
/** Two tokens for each of two workers. */
const SMALL = specOf(100, 10);

let clock: FakeClock;
let authority: MemoryAuthority;
let workers: Bench[];

function at(worker: number): Bench {
  return workers[worker] as Bench;
}

/** What is sent reaches the others until nothing moves. */
function settle(): void {
  for (let round = 0; round < 4; round++) for (const worker of workers) worker.turn();
}

async function flood(worker: number, count: number, spec: LimitSpec, key = 'a'): Promise<number> {
  const requests = Array.from({ length: count }, () => at(worker).request(key, spec));
  settle();
  const takes = await Promise.all(requests);
  return takes.filter((take) => take === 'taken').length;
}

function asksOf(worker: number): number {
  return at(worker).limiter.stats().asks;
}

beforeEach(() => {
  clock = new FakeClock();
  authority = new MemoryAuthority({ holders: WORKERS, capacity: 256, idleTtlMs: 1_000, clock });
  workers = Array.from(
    { length: WORKERS },
    (_, holder) => new Bench({ workers: WORKERS, holder, authority, clock, hasRecalls: true, idleTtlMs: 100_000 }),
  );
  authority.startRecalls((holder, key, recall) => at(holder).recall(key, recall));
});

describe('a small limit that is fast', () => {
  it('is spent from a lease, without waiting, once it is known', async () => {
    expect(await flood(0, 1, SMALL)).toBe(1);
    expect(at(0).take('a', SMALL)).toBe('taken');
    expect(at(0).take('a', SMALL)).toBe('taken');
    expect(at(0).limiter.stats().waits).toBe(1);
  });

  it('is exact all the same: what lies at another worker is called back for who lacks it', async () => {
    expect(await flood(1, 1, SMALL)).toBe(1);
    expect(await flood(0, 30, SMALL)).toBe(9);
    expect(await flood(1, 5, SMALL)).toBe(0);
  });

  it('leaves out a worker that does not answer: its tokens are missing, and nobody waits for long', async () => {
    expect(await flood(1, 1, SMALL)).toBe(1);
    at(1).isHeld = true;
    const requests = Array.from({ length: 30 }, () => at(0).request('a', SMALL));
    settle();
    clock.advance(20);
    settle();
    const takes = await Promise.all(requests);
    // Two were refilled in the 20 ms.
    expect(takes.filter((take) => take === 'taken').length).toBeLessThanOrEqual(9);
    expect(takes.filter((take) => take === 'taken').length).toBeGreaterThanOrEqual(7);
  });

  it('gives nothing to a worker that has a recall to answer', async () => {
    expect(await flood(1, 1, SMALL)).toBe(1);
    at(1).isHeld = true;
    void flood(0, 30, SMALL);
    clock.advance(60);
    settle();
    const before = at(1).sent.length;
    authority.ask(1, { key: 'a', limit: 'principal', spec: SMALL, want: 2, atLeast: 2, have: 0, ahead: 2 }, ({ granted, waitMs }) => {
      expect(granted).toBe(0);
      expect(waitMs).toBeGreaterThan(0);
    });
    expect(at(1).sent).toHaveLength(before);
    expect(
      at(1)
        .sent.flatMap(({ returns }) => returns)
        .some(({ recall }) => recall > 0),
    ).toBe(true);
  });

  it('is asked for by each request for a while after it ran short, so that nobody has to call back', async () => {
    expect(await flood(0, 12, SMALL)).toBe(10);
    clock.advance(30);
    settle();
    expect(await flood(0, 1, SMALL)).toBe(1);
    const asks = asksOf(0);
    expect(await flood(0, 1, SMALL)).toBe(1);
    expect(asksOf(0)).toBeGreaterThan(asks);
    expect(at(0).limiter.view(clock.nowMs(), 10)[0]).toMatchObject({ leased: 0, deniedForMs: 0 });
  });

  it('holds nothing for a key that could not be called back: one that travels as a digest, or is no text', async () => {
    for (const key of ['x'.repeat(600), 'lone \ud800']) {
      expect(await flood(0, 1, SMALL, key)).toBe(1);
      const view = at(0)
        .limiter.view(clock.nowMs(), 10)
        .find((bucket) => bucket.key === key);
      expect(view?.leased).toBe(0);
    }
  });

  it('keeps what is granted for requests that wait for another limit as well', async () => {
    expect(await flood(0, 1, SMALL, 'b')).toBe(1);
    expect(at(0).recall('b', 99)).toBe(true);
    settle();
    const answer = at(0)
      .sent.flatMap(({ returns }) => returns)
      .find(({ recall }) => recall === 99);
    expect(answer).toMatchObject({ key: 'b', have: 0 });
    expect(at(0).recall('never seen', 100)).toBe(true);
    settle();
    const unknown = at(0)
      .sent.flatMap(({ returns }) => returns)
      .find(({ recall }) => recall === 100);
    expect(unknown).toMatchObject({ tokens: 0, have: 2 ** 30 });
  });
});

describe('a small limit that is slow', () => {
  it('is asked for each time, and nothing of it lies anywhere', async () => {
    const slow = specOf(19, 10);
    expect(await flood(1, 1, slow)).toBe(1);
    expect(at(1).limiter.view(clock.nowMs(), 10)[0]?.leased).toBe(0);
    expect(await flood(0, 30, slow)).toBe(9);
  });
});
