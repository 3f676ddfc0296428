import { describe, expect, it } from 'vitest';
import { BYTES_PER_LEASE } from '../../src/limit/lease-memory.ts';
import { REPORT_EVERY_MS, SHARE_AFTER_MS } from '../../src/limit/lease-port.ts';
import { MAX_WAITERS_PER_SLOT } from '../../src/limit/waiters.ts';
import { Bench, chargeOf, specOf } from './limit-support.ts';

/** Of four workers: a tenth of 400 is a lease of ten for each. */
const leased = specOf(100, 400);
/** The same leases, of which a quarter may be gone in three milliseconds. */
const fast = specOf(1_000, 400);
/** Ten times the leases: a hundred for each. */
const wide = specOf(1_000, 4_000);
/** Too small for leases. */
const exact = specOf(25, 10);

describe('LeasedLimiter', () => {
  it('counts 9, 8, 7 … for a burst of 10 that is asked for one by one, and then refuses', async () => {
    const bench = new Bench();
    const remaining: number[] = [];
    for (let i = 0; i < 10; i++) {
      const take = bench.request('a', exact);
      bench.turn();
      expect(await take).toBe('taken');
      remaining.push(bench.out.remaining);
    }
    expect(remaining).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    const refused = bench.request('a', exact);
    bench.turn();
    expect([await refused, bench.out.retryAfterSecs, bench.out.mode]).toEqual(['refused', 1, 'remote']);
  });

  it('admits from its lease without waiting or asking, and asks ahead of need when half is gone', async () => {
    const bench = new Bench();
    expect(await bench.flood(1, 'a', leased)).toBe(1);
    const asksBefore = bench.limiter.stats().asks;
    for (let i = 0; i < 5; i++) expect(bench.take('a', leased)).toBe('taken');
    expect(bench.limiter.stats().asks).toBe(asksBefore);
    expect(bench.take('a', leased)).toBe('taken');
    bench.pass(10);
    expect(bench.limiter.stats().asks).toBe(asksBefore);
    bench.pass(REPORT_EVERY_MS);
    expect(bench.limiter.stats().asks).toBe(asksBefore + 1);
    expect(bench.limiter.view(bench.clock.nowMs(), 1)).toMatchObject([{ leased: 10, refused: 0 }]);
  });

  it('asks much sooner when the rest may be gone before an answer, and takes along what could have waited', async () => {
    const bench = new Bench();
    for (const key of ['a', 'b', 'c']) await bench.flood(1, key, fast);
    const before = bench.sent.filter(({ asks }) => asks.length > 0).length;
    for (let i = 0; i < 6; i++) bench.take('a', fast);
    for (let i = 0; i < 7; i++) bench.take('b', fast);
    bench.pass(2);
    expect(bench.sent.filter(({ asks }) => asks.length > 0).length).toBe(before);
    bench.take('b', fast);
    bench.pass(2);
    expect(
      bench.sent
        .filter(({ asks }) => asks.length > 0)
        .slice(before)
        .map(({ asks }) => asks.map(({ key }) => key)),
    ).toEqual([['a', 'b']]);
  });

  it('asks ahead for several keys in one batch, and at once when somebody waits', async () => {
    const bench = new Bench();
    for (const key of ['a', 'b', 'c']) await bench.flood(1, key, leased);
    const batches = (): number[] => bench.sent.map(({ asks }) => asks.length).filter((count) => count > 0);
    const before = batches().length;
    for (const key of ['a', 'b']) {
      for (let i = 0; i < 6; i++) expect(bench.take(key, leased)).toBe('taken');
      bench.turn();
    }
    expect(batches().slice(before)).toEqual([]);
    for (let i = 0; i < 10; i++) expect(bench.take('c', leased)).toBe('taken');
    const waits = bench.request('c', leased);
    bench.turn();
    expect([await waits, ...batches().slice(before)]).toEqual(['taken', 3]);
  });

  it('asks with a batch for a lease that would run low before another one, and not for one that lasts', async () => {
    const bench = new Bench();
    await bench.flood(1, 'slow', wide);
    bench.pass(100);
    await bench.flood(1, 'quick', wide);
    const asked = (): string[] => {
      const batches = bench.sent.splice(0).filter(({ asks }) => asks.length > 0);
      return batches.map(({ asks }) => asks.map(({ key, have }) => `${key} ${have}`).join(', '));
    };
    asked();
    for (let i = 0; i < 20; i++) bench.take('slow', wide);
    for (let i = 0; i < 39; i++) bench.take('quick', wide);
    bench.pass(REPORT_EVERY_MS - 100);
    await bench.flood(1, 'other', wide);
    expect(asked()).toEqual(['quick 61, other 0']);
    for (let i = 0; i < 20; i++) bench.take('slow', wide);
    bench.pass(2 * REPORT_EVERY_MS);
    expect(asked()).toEqual([]);
    bench.take('slow', wide);
    bench.pass(2 * REPORT_EVERY_MS);
    expect(asked()).toEqual(['slow 59']);
  });

  it('does not ask for a few tokens with each of many batches', async () => {
    const bench = new Bench();
    await bench.flood(1, 'a', wide);
    const asked = (): string[] =>
      bench.sent
        .splice(0)
        .flatMap((batch) => batch.asks)
        .filter(({ key }) => key === 'a')
        .map(({ have }) => `a ${have}`);
    asked();
    for (let ms = 5; ms <= 60; ms += 5) {
      bench.take('a', wide);
      bench.take('a', wide);
      bench.pass(5);
      // Of a limit without leases: a batch each time.
      await bench.flood(1, `exact ${ms}`, exact);
    }
    expect(asked()).toEqual([]);
    bench.take('a', wide);
    bench.pass(5);
    await bench.flood(1, 'exact', exact);
    expect(asked()).toEqual(['a 75']);
  });

  it('asks ahead a turn after the last batch, whenever that left', async () => {
    const bench = new Bench();
    await bench.flood(1, 'a', leased);
    bench.pass(100);
    await bench.flood(1, 'b', leased);
    const { asks } = bench.limiter.stats();
    for (let i = 0; i < 6; i++) bench.take('a', leased);
    bench.pass(REPORT_EVERY_MS - 10);
    expect(bench.limiter.stats().asks).toBe(asks);
    bench.pass(20);
    expect(bench.limiter.stats().asks).toBe(asks + 1);
  });

  it('is never silent for longer than a turn, nor sends more than one batch in it for nothing', async () => {
    for (let phaseMs = 0; phaseMs <= 500; phaseMs += 15) {
      const bench = new Bench();
      bench.pass(phaseMs);
      await bench.flood(1, 'a', leased);
      bench.sent.splice(0, bench.sent.length - 1);
      bench.pass(2000);
      const gaps = bench.sent.slice(1).map(({ sentMs }, at) => sentMs - (bench.sent[at]?.sentMs ?? 0));
      expect(gaps.length).toBeGreaterThanOrEqual(7);
      expect(Math.min(...gaps)).toBeGreaterThanOrEqual(REPORT_EVERY_MS - 10);
      expect(Math.max(...gaps)).toBeLessThanOrEqual(REPORT_EVERY_MS + 1);
    }
  });

  it('asks for nothing more when it closes, and returns what it would have asked ahead for', async () => {
    const bench = new Bench();
    await bench.flood(1, 'a', leased);
    for (let i = 0; i < 6; i++) bench.take('a', leased);
    const { asks } = bench.limiter.stats();
    bench.limiter.close();
    bench.release();
    expect(bench.limiter.stats().asks).toBe(asks);
    expect(bench.sent.flatMap((batch) => batch.returns)).toEqual([{ key: 'a', tokens: 4, have: 0, recall: 0 }]);
  });

  it('keeps a tenth of the burst at all workers together, and shows all of it as remaining', async () => {
    const bench = new Bench();
    await bench.flood(1, 'a', leased);
    expect(bench.limiter.view(bench.clock.nowMs(), 1)).toMatchObject([{ leased: 10, remaining: 399, burst: 400 }]);
    expect(bench.out).toMatchObject({ limit: 400, remaining: 399, mode: 'remote' });
  });

  it('asks once per turn for all who wait, and admits exactly the burst', async () => {
    const bench = new Bench();
    const before = bench.sent.length;
    expect(await bench.flood(30, 'a', exact)).toBe(10);
    const asks = bench.sent.slice(before).flatMap((batch) => batch.asks);
    expect(asks[0]).toMatchObject({ key: 'a', want: 10, atLeast: 1, have: 0 });
    expect(asks.length).toBeLessThanOrEqual(2);
  });

  it('calls those who wait in the order in which they came', async () => {
    const bench = new Bench();
    const order: number[] = [];
    const requests = Array.from({ length: 12 }, async (_, i) => {
      if ((await bench.request('a', exact)) === 'taken') order.push(i);
    });
    bench.turn();
    await Promise.all(requests);
    expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('keeps a denial in mind: a flood stays local', async () => {
    const bench = new Bench();
    await bench.flood(20, 'a', exact);
    const { asks } = bench.limiter.stats();
    for (let i = 0; i < 1_000; i++) expect(bench.take('a', exact)).toBe('refused');
    bench.turn();
    expect(bench.limiter.stats().asks).toBe(asks);
    bench.pass(40);
    expect(await bench.flood(5, 'a', exact)).toBe(1);
  });

  it('does not take a denial of many tokens for one of a few', async () => {
    const bench = new Bench();
    const spec = specOf(1, 20);
    expect(await bench.flood(12, 'a', spec)).toBe(12);
    const dear = bench.request('a', spec, 15);
    bench.turn();
    expect(await dear).toBe('refused');
    expect(bench.out.retryAfterSecs).toBe(7);
    expect(await bench.flood(9, 'a', spec)).toBe(8);
  });

  it('refuses at once what can never be admitted', () => {
    const bench = new Bench();
    expect(bench.take('a', exact, 11)).toBe('refused');
    expect(bench.limiter.stats().asks).toBe(0);
  });

  it('takes all of several charges or none, and names the one that refused', async () => {
    const bench = new Bench();
    const charges = [chargeOf('who', leased), chargeOf('tool', specOf(1, 2), 1, 'tool')];
    const again = (): void => void bench.limiter.take(charges, bench.clock.nowMs(), bench.out);
    for (let i = 0; i < 2; i++) {
      expect(bench.limiter.take(charges, bench.clock.nowMs(), bench.out)).toBe('unknown');
      bench.limiter.whenKnown(charges, again);
      bench.turn();
      expect(bench.out).toMatchObject({ isAllowed: true, decidedBy: 'tool', limit: 2, remaining: 1 - i });
    }
    bench.limiter.whenKnown(charges, again);
    bench.turn();
    expect(bench.out).toMatchObject({ isAllowed: false, decidedBy: 'tool', limit: 2 });
    expect(bench.limiter.view(bench.clock.nowMs(), 5)).toMatchObject([
      { key: 'tool', limit: 'tool', refused: 1, remaining: 0 },
      { key: 'who', limit: 'principal', refused: 0, remaining: 398 },
    ]);
  });

  it('asks for all that a request lacks in one batch', async () => {
    const bench = new Bench();
    const charges = [chargeOf('who', exact), chargeOf('tool', exact, 1, 'tool'), chargeOf('method', exact, 1, 'method')];
    expect(bench.limiter.take(charges, bench.clock.nowMs(), bench.out)).toBe('unknown');
    const before = bench.sent.length;
    let calls = 0;
    bench.limiter.whenKnown(charges, () => {
      calls++;
      expect(bench.limiter.take(charges, bench.clock.nowMs(), bench.out)).toBe('taken');
    });
    bench.turn();
    expect(calls).toBe(1);
    expect(bench.sent.slice(before).map((batch) => batch.asks.length)).toEqual([3]);
  });

  it('never holds, over all workers, more than the burst in any window: two workers share one', async () => {
    const first = new Bench();
    const second = new Bench({ holder: 1, authority: first.authority });
    expect((await first.flood(8, 'a', exact)) + (await second.flood(8, 'a', exact))).toBe(10);
  });

  describe('while nobody answers', () => {
    it('lets a request wait for 100 ms, then the fail mode decides', () => {
      const bench = new Bench();
      bench.isHeld = true;
      const takes: unknown[] = [];
      for (const failMode of ['local', 'closed', 'open'] as const) {
        const charges = [chargeOf(failMode, specOf(25, 10, failMode))];
        expect(bench.limiter.take(charges, bench.clock.nowMs(), bench.out)).toBe('unknown');
        bench.limiter.whenKnown(charges, () => {
          const take = bench.limiter.take(charges, bench.clock.nowMs(), bench.out);
          takes.push([take, bench.out.mode, bench.out.retryAfterSecs, bench.clock.nowMs()]);
        });
      }
      bench.turn();
      bench.clock.advance(99);
      expect(bench.limiter.stats()).toMatchObject({ waits: 3, waiting: 3, timeouts: 0 });
      bench.clock.advance(1);
      expect(takes).toEqual([
        ['refused', 'local', 1, 1_100],
        ['refused', 'closed', 1, 1_100],
        ['taken', 'open', 0, 1_100],
      ]);
      expect(bench.limiter.stats()).toMatchObject({ waits: 3, waiting: 0, timeouts: 3, mode: 'open' });
    });

    it('lets nobody wait once nothing was heard for three turns', async () => {
      const bench = new Bench();
      bench.isHeld = true;
      bench.pass(3 * REPORT_EVERY_MS);
      const { waits } = bench.limiter.stats();
      expect(bench.take('a', specOf(25, 10, 'closed'))).toBe('refused');
      expect(bench.out.mode).toBe('closed');
      expect(bench.take('b', specOf(25, 10, 'open'))).toBe('taken');
      expect(bench.take('c', specOf(25, 10))).toBe('refused');
      expect(bench.limiter.stats().waits).toBe(waits);
    });

    it('notices it without any request, and asks nothing but a probe each second', () => {
      const bench = new Bench();
      bench.isHeld = true;
      bench.pass(800);
      const before = bench.sent.length;
      bench.pass(10_000);
      expect(bench.sent.length - before).toBeLessThanOrEqual(10);
      expect(bench.sent.slice(before).every((batch) => batch.asks.length === 0)).toBe(true);
    });

    it('gives each worker its part of rate and burst, starting empty', () => {
      const bench = new Bench();
      bench.take('a', specOf(40, 40));
      bench.isHeld = true;
      bench.pass(SHARE_AFTER_MS + 50);
      expect(bench.take('new', specOf(40, 40))).toBe('refused');
      bench.pass(30_000);
      const takes = Array.from({ length: 20 }, () => bench.take('a', specOf(40, 40)));
      expect(takes.filter((take) => take === 'taken')).toHaveLength(10);
      expect(bench.out).toMatchObject({ mode: 'local', retryAfterSecs: 1 });
      bench.pass(300);
      expect(Array.from({ length: 5 }, () => bench.take('a', specOf(40, 40))).filter((take) => take === 'taken')).toHaveLength(3);
    });

    it('spends its lease first', async () => {
      const bench = new Bench();
      await bench.flood(1, 'a', specOf(0.001, 400));
      bench.isHeld = true;
      bench.pass(700);
      const takes = Array.from({ length: 20 }, () => bench.take('a', specOf(0.001, 400)));
      expect(takes.filter((take) => take === 'taken')).toHaveLength(10);
    });

    it('comes back with the first answer in time, and forgets what it had saved', async () => {
      const bench = new Bench();
      bench.isHeld = true;
      bench.pass(5_000);
      bench.isHeld = false;
      bench.release();
      bench.pass(1_300);
      expect(bench.limiter.stats().mode).toBe('remote');
      bench.pass(2_000);
      expect(await bench.flood(30, 'a', exact)).toBe(10);
      expect(bench.out.mode).toBe('remote');
    });
  });

  it('gives up what it holds when its connection is lost, and greets before it asks again', async () => {
    const bench = new Bench();
    await bench.flood(1, 'a', specOf(0.001, 400));
    bench.cut();
    expect(bench.limiter.view(bench.clock.nowMs(), 1)).toMatchObject([{ leased: 0 }]);
    const waiting = bench.request('a', specOf(0.001, 400));
    const before = bench.sent.length;
    bench.reconnect();
    expect(bench.sent.slice(before)[0]).toMatchObject({ isReset: true, asks: [], returns: [] });
    expect(await waiting).toBe('taken');
    expect(bench.limiter.view(bench.clock.nowMs(), 1)).toMatchObject([{ leased: 10, remaining: 388 }]);
  });

  it('does not greet again while it holds something', async () => {
    const bench = new Bench();
    await bench.flood(1, 'a', leased);
    const before = bench.sent.length;
    bench.limiter.connected();
    bench.turn();
    expect(bench.sent.slice(before)).toEqual([]);
  });

  it('returns the lease of a key that is idle, and of all keys when it closes', async () => {
    const bench = new Bench();
    await bench.flood(1, 'a', leased);
    await bench.flood(1, 'b', leased);
    bench.pass(500);
    expect(bench.take('b', leased)).toBe('taken');
    bench.pass(600);
    bench.limiter.sweep(bench.clock.nowMs());
    bench.turn();
    expect(bench.limiter.size).toBe(1);
    expect(bench.sent.flatMap((batch) => batch.returns)).toEqual([{ key: 'a', tokens: 10, have: 0, recall: 0 }]);
    bench.limiter.close();
    bench.release();
    expect(bench.sent.flatMap((batch) => batch.returns).at(-1)).toEqual({ key: 'b', tokens: 9, have: 0, recall: 0 });
  });

  it('tells what it spent of small limits, so that they fill up again', async () => {
    const bench = new Bench();
    expect(await bench.flood(10, 'a', exact)).toBe(10);
    bench.pass(200);
    expect(bench.sent.flatMap((batch) => batch.returns)).toEqual([{ key: 'a', tokens: 0, have: 0, recall: 0 }]);
    bench.pass(400);
    expect(await bench.flood(12, 'a', exact)).toBe(10);
  });

  it('returns what was granted for a request whose client has gone', async () => {
    const bench = new Bench();
    bench.take('a', exact);
    bench.limiter.whenKnown([chargeOf('a', exact)], () => undefined);
    bench.turn();
    bench.pass(REPORT_EVERY_MS + 10);
    expect(bench.sent.flatMap((batch) => batch.returns)).toEqual([{ key: 'a', tokens: 1, have: 0, recall: 0 }]);
    expect(await bench.flood(12, 'a', exact)).toBe(10);
  });

  it('gives a token back, but none that was reported as spent since', async () => {
    const bench = new Bench();
    const spec = specOf(0.001, 10);
    expect(await bench.flood(10, 'a', spec)).toBe(10);
    const takenMs = bench.clock.nowMs();
    bench.clock.advance(1);
    bench.limiter.giveBack([chargeOf('a', spec)], bench.clock.nowMs(), takenMs);
    expect(bench.limiter.view(bench.clock.nowMs(), 1)).toMatchObject([{ leased: 0 }]);
    const late = specOf(0.001, 400);
    await bench.flood(1, 'b', late);
    bench.clock.advance(1);
    expect(bench.take('b', late)).toBe('taken');
    const before = bench.limiter.view(bench.clock.nowMs(), 9).find(({ key }) => key === 'b')?.leased;
    bench.limiter.giveBack([chargeOf('b', late), chargeOf('nobody', late)], bench.clock.nowMs(), bench.clock.nowMs());
    expect(bench.limiter.view(bench.clock.nowMs(), 9).find(({ key }) => key === 'b')?.leased).toBe((before ?? 0) + 1);
    // Eleven were granted, one of them for the request that waited.
    for (let i = 0; i < 50; i++) bench.limiter.giveBack([chargeOf('b', late)], bench.clock.nowMs(), bench.clock.nowMs());
    expect(bench.limiter.view(bench.clock.nowMs(), 9).find(({ key }) => key === 'b')?.leased).toBe(11);
  });

  it('lets only so many wait for a key, and decides about the others at once', () => {
    const bench = new Bench();
    bench.isHeld = true;
    const charges = [chargeOf('a', specOf(25, 10, 'closed'))];
    for (let i = 0; i < MAX_WAITERS_PER_SLOT; i++) {
      expect(bench.limiter.take(charges, bench.clock.nowMs(), bench.out)).toBe('unknown');
      bench.limiter.whenKnown(charges, () => undefined);
    }
    for (let i = 0; i < 100; i++) expect(bench.limiter.take(charges, bench.clock.nowMs(), bench.out)).toBe('refused');
    expect(bench.out.mode).toBe('closed');
    expect(bench.limiter.stats()).toMatchObject({ waits: MAX_WAITERS_PER_SLOT, waiting: MAX_WAITERS_PER_SLOT });
  });

  it('calls everybody who waits when it closes', () => {
    const bench = new Bench();
    bench.isHeld = true;
    let calls = 0;
    for (let i = 0; i < 5; i++) bench.limiter.whenKnown([chargeOf(`k${i}`, exact)], () => calls++);
    bench.limiter.close();
    expect([calls, bench.limiter.stats().waiting]).toEqual([5, 0]);
  });

  it('finds the tokens of a charge again by its key, whatever another limiter noted in the charge', async () => {
    const [one, other] = [new Bench(), new Bench()];
    const shared = chargeOf('shared', leased);
    await one.flood(1, 'first of one', leased);
    await other.flood(1, 'first of the other', leased);
    for (const bench of [one, other]) {
      expect(bench.limiter.take([shared], bench.clock.nowMs(), bench.out)).toBe('unknown');
      const known = new Promise<void>((resolve) => bench.limiter.whenKnown([shared], resolve));
      bench.turn();
      await known;
    }
    for (let i = 0; i < 5; i++) {
      for (const bench of [one, other]) {
        expect(bench.limiter.take([shared], bench.clock.nowMs(), bench.out)).toBe('taken');
        const { leased: left = -1 } = bench.limiter.view(bench.clock.nowMs(), 2).find(({ key }) => key === 'shared') ?? {};
        expect(left).toBe(9 + 1 - i);
      }
    }
  });

  it('says and does the same for a charge whose slot is noted as for a new one, also while nobody answers', async () => {
    for (const spec of [leased, fast, exact]) {
      const [one, other] = [new Bench(), new Bench()];
      const kept = chargeOf('a', spec);
      const seen = new Set<string>();
      for (const bench of [one, other]) await bench.flood(1, 'a', spec);
      for (let i = 0; i < 120; i++) {
        const takes = [kept, chargeOf('a', spec)].map((charge, at) => {
          const bench = at === 0 ? one : other;
          const take = bench.limiter.take([charge], bench.clock.nowMs(), bench.out);
          if (take === 'unknown') bench.limiter.whenKnown([charge], () => undefined);
          bench.isHeld = i >= 60;
          bench.pass(i >= 60 || i % 4 === 0 ? 40 : 1);
          return { take, out: { ...bench.out }, view: bench.limiter.view(bench.clock.nowMs(), 1), asks: bench.limiter.stats().asks };
        });
        expect(takes[0]).toEqual(takes[1]);
        seen.add(`${takes[0]?.take} ${one.out.mode}`);
      }
      expect([...seen]).toEqual(expect.arrayContaining(['taken remote', 'taken local']));
    }
  });

  it('takes plainly what it takes otherwise, tells the same of it, and leaves the rest to the other', async () => {
    for (const [spec, hasRecalls, leastPlain] of [
      [leased, false, 30],
      [fast, true, 30],
      [exact, false, 0],
    ] as const) {
      const [one, other] = [new Bench({ hasRecalls }), new Bench({ hasRecalls })];
      const [kept, twin] = [chargeOf('a', spec), chargeOf('a', spec)];
      for (const bench of [one, other]) await bench.flood(1, 'a', spec);
      let plain = 0;
      for (let i = 0; i < 120; i++) {
        const told = { limit: -1, limitRemaining: -1, limitResetSecs: -1 };
        const isPlain = one.limiter.takePlain(kept, one.clock.nowMs(), told);
        const takes = [one, other].map((bench) => {
          const charge = bench === one ? kept : twin;
          const take = bench === one && isPlain ? 'taken' : bench.limiter.take([charge], bench.clock.nowMs(), bench.out);
          if (take === 'unknown') bench.limiter.whenKnown([charge], () => undefined);
          return { take, view: bench.limiter.view(bench.clock.nowMs(), 1), asks: bench.limiter.stats().asks };
        });
        expect(takes[0]).toEqual(takes[1]);
        const { limit, remaining: limitRemaining, resetSecs: limitResetSecs, mode } = other.out;
        expect(told).toEqual(isPlain ? { limit, limitRemaining, limitResetSecs } : { limit: -1, limitRemaining: -1, limitResetSecs: -1 });
        if (isPlain) expect(mode).toBe('remote');
        plain += isPlain ? 1 : 0;
        for (const bench of [one, other]) {
          bench.isHeld = i >= 60;
          bench.pass(i >= 60 || i % 4 === 0 ? 40 : 1);
        }
      }
      expect(plain).toBeGreaterThanOrEqual(leastPlain);
      expect(plain).toBeLessThan(120);
    }
  });

  it('takes nothing plainly of a slot that has another owner or another limit by now', async () => {
    const bench = new Bench({ capacity: 1 });
    const told = { limit: -1, limitRemaining: -1, limitResetSecs: -1 };
    const evicted = chargeOf('evicted', leased);
    expect(bench.limiter.takePlain(evicted, bench.clock.nowMs(), told)).toBe(false);
    await bench.flood(1, 'evicted', leased);
    bench.limiter.take([evicted], bench.clock.nowMs(), bench.out);
    expect(bench.limiter.takePlain(evicted, bench.clock.nowMs(), told)).toBe(true);
    const changed = chargeOf('evicted', specOf(100, 800));
    bench.limiter.take([changed], bench.clock.nowMs(), bench.out);
    expect(bench.limiter.takePlain(evicted, bench.clock.nowMs(), told)).toBe(false);
    bench.pass(200);
    bench.limiter.take([evicted], bench.clock.nowMs(), bench.out);
    bench.pass(200);
    expect(await bench.flood(1, 'owner', leased)).toBe(1);
    bench.pass(200);
    expect(bench.limiter.takePlain(evicted, bench.clock.nowMs(), told)).toBe(false);
    expect(bench.limiter.view(bench.clock.nowMs(), 1)).toMatchObject([{ key: 'owner', leased: 10 }]);
  });

  it('takes nothing of the key that has got the slot of an evicted one', async () => {
    const bench = new Bench({ capacity: 1 });
    const evicted = chargeOf('evicted', leased);
    expect(await bench.flood(1, 'evicted', leased)).toBe(1);
    expect(bench.limiter.take([evicted], bench.clock.nowMs(), bench.out)).toBe('taken');
    bench.pass(200);
    expect(await bench.flood(1, 'owner', leased)).toBe(1);
    bench.pass(200);
    const before = bench.limiter.view(bench.clock.nowMs(), 1);
    expect(before).toMatchObject([{ key: 'owner', leased: 10 }]);
    expect(bench.limiter.take([evicted], bench.clock.nowMs(), bench.out)).not.toBe('taken');
    expect(bench.limiter.view(bench.clock.nowMs(), 1)[0]).not.toMatchObject({ key: 'owner', leased: 9 });
  });

  it('takes over a limit that changed, for a charge that is kept and for a new one', async () => {
    const bench = new Bench();
    const [kept, renewed] = [chargeOf('a', leased), chargeOf('a', specOf(100, 800))];
    expect(await bench.flood(1, 'a', leased)).toBe(1);
    for (const [charge, limit] of [
      [kept, 400],
      [kept, 400],
      [renewed, 800],
      [kept, 400],
    ] as const) {
      expect(bench.limiter.take([charge], bench.clock.nowMs(), bench.out)).toBe('taken');
      expect(bench.out.limit).toBe(limit);
      expect(bench.limiter.view(bench.clock.nowMs(), 1)).toMatchObject([{ burst: limit }]);
    }
  });

  it('never holds more keys than its capacity, and returns what it evicts', async () => {
    const bench = new Bench({ capacity: 8 });
    for (let i = 0; i < 100; i++) {
      expect(await bench.flood(1, `k${i}`, leased)).toBe(1);
      bench.pass(10);
    }
    expect(bench.limiter.size).toBe(8);
    expect(bench.limiter.buffer.byteLength).toBe(8 * BYTES_PER_LEASE);
    const returned = bench.sent.flatMap((batch) => batch.returns);
    expect(returned).toHaveLength(92);
    expect(returned.every(({ tokens, have }) => tokens === 10 && have === 0)).toBe(true);
  });

  it('never takes from a slot that has another owner by now, though a charge has noted it', async () => {
    const bench = new Bench({ capacity: 2 });
    const leasedOf = (key: string): number | undefined =>
      bench.limiter.view(bench.clock.nowMs(), 9).find((bucket) => bucket.key === key)?.leased;
    const kept = [chargeOf('a', leased)];
    for (const key of ['z', 'a']) await bench.flood(1, key, leased);
    bench.pass(10);
    expect(bench.limiter.take(kept, bench.clock.nowMs(), bench.out)).toBe('taken');
    for (const key of ['b', 'c']) await bench.flood(1, key, leased);
    bench.pass(200);
    expect([leasedOf('a'), leasedOf('b'), leasedOf('c')]).toEqual([undefined, 10, 10]);
    bench.isHeld = true;
    expect(bench.limiter.take(kept, bench.clock.nowMs(), bench.out)).toBe('unknown');
    expect([leasedOf('b'), leasedOf('c')].toSorted()).toEqual([10, undefined]);
    // Its note is the new slot now: what it takes there is its own.
    bench.limiter.whenKnown(kept, () => undefined);
    bench.isHeld = false;
    bench.turn();
    expect(bench.limiter.take(kept, bench.clock.nowMs(), bench.out)).toBe('taken');
    expect([leasedOf('a'), leasedOf('b') ?? leasedOf('c')]).toEqual([10, 10]);
    expect(kept[0]?.slot).toBeTypeOf('number');
  });

  it('decides by the fail mode about a key for which there is no room', () => {
    const bench = new Bench({ capacity: 1 });
    bench.isHeld = true;
    bench.limiter.whenKnown([chargeOf('a', exact)], () => undefined);
    expect(bench.take('a', exact)).toBe('unknown');
    bench.limiter.whenKnown([chargeOf('a', exact)], () => undefined);
    expect([bench.take('b', specOf(1, 5, 'closed')), bench.out.mode, bench.out.limit]).toEqual(['refused', 'closed', 5]);
    expect([bench.take('c', specOf(1, 5, 'open')), bench.out.mode]).toEqual(['taken', 'open']);
    expect([bench.take('d', specOf(1, 5)), bench.out.mode]).toEqual(['refused', 'local']);
  });
});

describe('a million identities', () => {
  it('go through tables of 65,536 with no more memory than those have', async () => {
    const bench = new Bench({ capacity: 65_536 });
    const spec = specOf(100, 400);
    const { out } = bench;
    let admitted = 0;
    const sizes: number[] = [];
    for (let i = 0; i < 2 ** 20; i++) {
      const charges = [chargeOf(`address:${i}`, spec, 1, 'address')];
      const again = (): void => {
        if (bench.limiter.take(charges, bench.clock.nowMs(), out) === 'taken') admitted++;
      };
      if (bench.limiter.take(charges, bench.clock.nowMs(), out) === 'unknown') bench.limiter.whenKnown(charges, again);
      if (i % 512 !== 511) continue;
      bench.turn();
      bench.sent.length = 0;
      bench.clock.advance(10);
      if (i % 262_144 === 262_143) sizes.push(bench.limiter.size, bench.authority.size);
    }
    expect(admitted).toBe(2 ** 20);
    expect(Math.max(...sizes.filter((_, i) => i % 2 === 0))).toBe(65_536);
    expect(Math.max(...sizes.filter((_, i) => i % 2 === 1))).toBe(4 * 65_536 + 1);
  }, 60_000);
});
