import { describe, expect, it } from 'vitest';
import type { LimitOutcome } from '../../src/core/limit.ts';
import { Bench, specOf } from './limit-support.ts';

/** Too small for leases: each request is asked for. */
const exact = specOf(25, 10);
const strict = specOf(25, 10, 'closed');

/** Requests that wait while what they ask for is held up for `lateMs`; how each went. */
async function askedLate(bench: Bench, count: number, lateMs: number, spec = exact): Promise<[string, LimitOutcome['mode']][]> {
  bench.isHeld = true;
  const requests = Array.from(
    { length: count },
    async (): Promise<[string, LimitOutcome['mode']]> => [await bench.request('a', spec), bench.out.mode],
  );
  bench.turn();
  bench.clock.advance(lateMs);
  bench.isHeld = false;
  bench.turn();
  return Promise.all(requests);
}

describe('LeaseDesk', () => {
  it('waits for a primary that is busy for a moment: nobody is refused whose limit has tokens', async () => {
    for (const spec of [exact, strict]) {
      const bench = new Bench();
      expect(await askedLate(bench, 3, 90, spec)).toEqual(Array.from({ length: 3 }, () => ['taken', 'remote']));
      expect(bench.limiter.stats()).toMatchObject({ timeouts: 0, mode: 'remote' });
    }
  });

  it('takes a primary that is slower than that, again and again, for lost', async () => {
    const bench = new Bench();
    for (let i = 0; i < 4; i++) await askedLate(bench, 1, 150, strict);
    expect(bench.limiter.stats().timeouts).toBeGreaterThan(0);
    bench.isHeld = true;
    bench.pass(700);
    expect([bench.take('b', strict), bench.out.mode]).toEqual(['refused', 'closed']);
  });

  it('has less patience with a connection on which nothing has been heard', () => {
    const bench = new Bench();
    bench.cut();
    const takes: string[] = [];
    void bench.request('a', strict).then((take) => takes.push(take));
    bench.turn();
    bench.clock.advance(19);
    expect(bench.limiter.stats()).toMatchObject({ waiting: 1, timeouts: 0 });
    bench.clock.advance(1);
    expect(bench.limiter.stats()).toMatchObject({ waiting: 0, timeouts: 1 });
  });
});
